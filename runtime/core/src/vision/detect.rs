//! Picture to boxes.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | the graph's first input | N×3×H×W | f32 | normalised pixels |
//! | the graph's first output | as `[decode] head` says | f32 | predictions |

use bevel_manifest::{Decode, Task as TaskName};
use bevel_prep::image::ImageView;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::boxes::{BoxScratch, Boxes, Detection};

/// Pictures to labelled boxes.
pub struct Detect {
    boxes: Boxes,
}

/// What one picture holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detections {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Boxes, best first.
    pub boxes: Vec<Detection>,
}

impl Task for Detect {
    type Item<'a> = ImageView<'a>;
    type Answer = Detections;
    type Scratch = BoxScratch;

    const NAME: TaskName = TaskName::Detect;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Detections) -> Answer {
        Answer::Detect(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Detect(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `detect`"));
        };
        Ok(Self {
            boxes: Boxes::load(bundle, spec, 0, options)?,
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
    ) -> Result<Vec<Detections>> {
        let answer = |(at, image): (usize, &ImageView<'_>)| {
            let (found, fit) = self.boxes.find(outputs, [at, images.len()], scratch)?;
            Ok(Detections {
                width: image.width(),
                height: image.height(),
                boxes: found
                    .iter()
                    .map(|found| self.boxes.detection(found, &fit, image))
                    .collect(),
            })
        };
        images.iter().enumerate().map(answer).collect()
    }
}
