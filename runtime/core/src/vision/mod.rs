//! Vision tasks.

mod boxes;
mod classify;
mod detect;
mod embed;
mod found;
mod heads;
mod instances;
mod load;
mod mask;
mod obb;
mod pixels;
mod pose;
mod prototypes;
mod regions;

pub use crate::classes::{Classes, Label};
pub use bevel_prep::image::{ImageError, ImageView};
pub use boxes::Detection;
pub use classify::Classify;
pub use detect::{Detect, Detections};
pub use embed::Embed;
pub use found::{Find, Found, Thing};
pub use instances::{Instance, Instances, SegmentInstances};
pub use load::{decode_image, load_image};
pub use mask::Mask;
pub use obb::{Obb, Oriented, OrientedDetection};
pub use pose::{Pose, Posed, Poses};
pub use regions::{Region, Regions, SegmentRegions};

use crate::bundle::Bundle;
use crate::error::Result;
use crate::pipeline::Options;
use crate::registry::{AnyPipeline, boxed};

/// The pipeline that the decoding of a segmenter asks for: of things, or of classes.
pub(crate) fn open_segmenter(bundle: &Bundle, options: &Options) -> Result<Box<dyn AnyPipeline>> {
    match bundle.manifest().decode {
        bevel_manifest::Decode::Semantic(_) => boxed::<SegmentRegions>(bundle, options),
        _ => boxed::<SegmentInstances>(bundle, options),
    }
}
