//! Masks over pictures: soft ones laid where they belong, and flat ones written shorter.

mod paste;
mod rle;

pub use paste::Paste;
pub use rle::Rle;
