//! Picture to boxes with keypoints.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W | f32 | normalised pixels |
//! | the graph's first output | N×(4+C+K·D)×A | f32 | boxes, scores, and K keypoints of D numbers |

use bevel_manifest::{Decode, PoseSpec, Task as TaskName};
use bevel_prep::image::{Fit, ImageView};
use serde::Serialize;

use crate::error::Result;
use crate::registry::Answer;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};
use crate::vision::found::{Find, Found, NotThis, Picture, Thing};

/// Pictures to labelled boxes with keypoints.
pub type Pose = Find<Posed>;

/// What one picture holds.
pub type Poses = Found<Posed>;

/// One thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Posed {
    /// Where it is and what.
    #[serde(flatten)]
    pub detection: Detection,
    /// `[x, y, score]` of each: pixels of the picture, within it, and how surely it is seen, in 0 ..= 1;
    /// 1 where the model does not say.
    pub keypoints: Vec<[f32; 3]>,
}

impl Thing for Posed {
    type Settings = PoseSpec;

    const TASK: TaskName = TaskName::Pose;

    fn settings(decode: &Decode) -> Result<(usize, PoseSpec), NotThis> {
        match decode {
            Decode::Pose(spec) => Ok((spec.keypoints.saturating_mul(spec.dims), spec.clone())),
            _ => Err(NotThis::Kind("pose")),
        }
    }

    fn find(
        boxes: &Boxes,
        spec: &PoseSpec,
        picture: &Picture<'_, '_, '_>,
        scratch: &mut BoxScratch,
    ) -> Result<Vec<Self>> {
        let (found, fit) = boxes.find(picture.outputs, picture.place, scratch)?;
        let extras = boxes.extras(picture.outputs, picture.place)?;
        let mut extra = Vec::new();
        let posed = |found| {
            extra.clear();
            extra.extend(extras.of(found));
            Self {
                detection: boxes.detection(found, &fit, picture.image),
                keypoints: keypoints(&extra, spec.dims, &fit, picture.image),
            }
        };
        Ok(found.iter().map(posed).collect())
    }

    fn wrap(found: Poses) -> Answer {
        Answer::Pose(found)
    }
}

/// Points in pixels of the tensor as `[x, y, score]` in the picture.
fn keypoints(extra: &[f32], dims: usize, fit: &Fit, image: &ImageView<'_>) -> Vec<[f32; 3]> {
    let size = [image.width() as f32, image.height() as f32];
    let points = extra.chunks_exact(dims.max(2));
    let point = |point: &[f32]| {
        let [x, y, ..] = fit.to_picture([point[0], point[1], point[0], point[1]]);
        let score = point.get(2).copied().unwrap_or(1.0);
        [x.clamp(0.0, size[0]), y.clamp(0.0, size[1]), score]
    };
    points.map(point).collect()
}
