//! ResNet and its relatives.

pub(super) mod body;
