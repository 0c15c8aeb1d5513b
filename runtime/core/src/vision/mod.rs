//! Vision tasks.

mod boxes;
mod classify;
mod detect;
mod embed;
mod heads;
mod load;
mod pixels;

pub use bevel_prep::image::{ImageError, ImageView};
pub use boxes::Detection;
pub use classify::{Classes, Classify, Label};
pub use detect::{Detect, Detections};
pub use embed::Embed;
pub use load::{decode_image, load_image};
