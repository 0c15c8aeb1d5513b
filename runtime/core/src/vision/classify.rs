//! Picture to labels.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `pixels` (the graph's first input) | N×3×H×W | f32 | normalised pixels |
//! | `logits` (the graph's first output) | N×C | f32 | one logit per class |

use bevel_manifest::Task as TaskName;
use bevel_prep::image::{ImageView, Preprocess};

use crate::bundle::Bundle;
use crate::classes::{Classes, Labels};
use crate::error::Result;
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::pixels::Pixels;

/// Pictures to labels.
pub struct Classify {
    pixels: Pixels,
    labels: Labels,
}

impl Task for Classify {
    type Item<'a> = ImageView<'a>;
    type Answer = Classes;
    type Scratch = Preprocess;

    const NAME: TaskName = TaskName::Classify;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Classes) -> Answer {
        Answer::Classify(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        Ok(Self {
            labels: Labels::load(bundle, options)?,
            pixels: Pixels::load(bundle)?,
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.pixels.fit(session)
    }

    fn preprocess(
        &self,
        images: &[ImageView<'_>],
        scratch: &mut Preprocess,
        slots: &mut Slots,
    ) -> Result<()> {
        self.pixels.write(images, scratch, slots, |_| {});
        Ok(())
    }

    fn postprocess(
        &self,
        images: &[ImageView<'_>],
        _: &mut Preprocess,
        _: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Classes>> {
        self.labels.answers(outputs, images.len())
    }
}
