//! Vision tasks.

mod classify;
mod detect;
mod embed;

mod load;
mod pixels;

pub use bevel_prep::image::{ImageError, ImageView};
pub use classify::{Classes, Classify, Label};
pub use detect::{Detect, Detection, Detections};
pub use embed::Embed;
pub use load::{decode_image, load_image};
