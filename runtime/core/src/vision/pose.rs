//! Picture to boxes with keypoints.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W | f32 | normalised pixels |
//! | the graph's first output | N×(4+C+K·D)×A | f32 | boxes, scores, and K keypoints of D numbers |

use bevel_manifest::{Decode, PoseSpec, Task as TaskName};
use bevel_prep::image::{Fit, ImageView};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};

/// Pictures to labelled boxes with keypoints.
pub struct Pose {
    boxes: Boxes,
    spec: PoseSpec,
}

/// What one picture holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Poses {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Boxes, best first.
    pub boxes: Vec<Posed>,
}

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

impl Task for Pose {
    type Item<'a> = ImageView<'a>;
    type Answer = Poses;
    type Scratch = BoxScratch;

    const NAME: TaskName = TaskName::Pose;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Poses) -> Answer {
        Answer::Pose(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Pose(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `pose`"));
        };
        let extra = spec.keypoints.saturating_mul(spec.dims);
        Ok(Self {
            boxes: Boxes::load(bundle, &spec.detect, extra, options)?,
            spec: spec.clone(),
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.boxes.fit(session)
    }

    fn preprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut BoxScratch,
        slots: &mut Slots,
    ) -> Result<()> {
        self.boxes.write(images, scratch, slots);
        Ok(())
    }

    fn postprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut BoxScratch,
        _: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Poses>> {
        let answer = |(at, image): (usize, &ImageView<'_>)| {
            let picture = [at, images.len()];
            let (found, fit) = self.boxes.find(outputs, picture, scratch)?;
            let posed = |found| {
                let extra = self.boxes.extra(outputs, picture, found)?;
                Ok(Posed {
                    detection: self.boxes.detection(found, &fit, image),
                    keypoints: keypoints(&extra, self.spec.dims, &fit, image),
                })
            };
            Ok(Poses {
                width: image.width(),
                height: image.height(),
                boxes: found.iter().map(posed).collect::<Result<_>>()?,
            })
        };
        images.iter().enumerate().map(answer).collect()
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
