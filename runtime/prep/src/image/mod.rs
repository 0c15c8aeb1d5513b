//! Pictures to tensors: views over pixels, and the one pass that resizes and normalises them.

mod fit;
mod resample;
mod view;

pub use fit::{Fit, Preprocess};
pub use view::{ImageError, ImageView};
