//! Graph to quantised graph. Each scheme is one file; [`int8`] holds the arithmetic they share.

pub(crate) mod dynamic;
mod int8;
