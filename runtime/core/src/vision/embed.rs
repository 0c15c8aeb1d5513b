//! Picture to a vector.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `pixels` (the graph's first input) | N×3×H×W | f32 | normalised pixels |
//! | `last_hidden_state` | N×T×D | f32 | one vector per patch |
//! | the first output | N×D | f32 | instead of it, where the graph pools by itself |

use bevel_manifest::{Decode, EmbedSpec, Task as TaskName};
use bevel_prep::image::{ImageView, Preprocess};

use crate::bundle::Bundle;
use crate::embedding::{Embedding, embeddings};
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::pixels::Pixels;

/// Pictures to vectors whose cosine tells how alike they are.
pub struct Embed {
    pixels: Pixels,
    spec: EmbedSpec,
}

impl Task for Embed {
    type Item<'a> = ImageView<'a>;
    type Answer = Embedding;
    type Scratch = Preprocess;

    const NAME: TaskName = TaskName::Embed;

    fn item<'a>(sample: Sample<'a>) -> Option<ImageView<'a>> {
        sample.image()
    }

    fn wrap(answer: Embedding) -> Answer {
        Answer::Embed(answer)
    }

    fn load(bundle: &Bundle, _: &Options) -> Result<Self> {
        let Decode::Embed(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `embed`"));
        };
        Ok(Self {
            pixels: Pixels::load(bundle)?,
            spec: spec.clone(),
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
    ) -> Result<Vec<Embedding>> {
        embeddings(&self.spec, outputs, images.len(), None)
    }
}
