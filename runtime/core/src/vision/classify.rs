//! Picture to labels.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `pixels` (the graph's first input) | N×3×H×W | f32 | normalised pixels |
//! | `logits` (the graph's first output) | N×C | f32 | one logit per class |

use bevel_manifest::{Activation, ClassifySpec, Decode, Task as TaskName};
use bevel_prep::image::{ImageView, Preprocess};
use bevel_prep::score::{sigmoid, softmax, top_k};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::vision::pixels::Pixels;

/// Pictures to labels.
pub struct Classify {
    pixels: Pixels,
    spec: ClassifySpec,
    labels: Vec<String>,
}

/// What one picture shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classes {
    /// Labels, best first.
    pub labels: Vec<Label>,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Label {
    /// Name, or the index in decimal where the model has no names.
    pub label: String,
    /// Index of the class.
    pub index: usize,
    /// In 0 ..= 1.
    pub score: f32,
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
        let Decode::Classify(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `classify`"));
        };
        let mut spec = spec.clone();
        spec.top_k = options.top_k.unwrap_or(spec.top_k).max(1);
        let labels = spec
            .labels
            .as_deref()
            .map(|name| bundle.labels(name))
            .transpose()?;
        Ok(Self {
            pixels: Pixels::load(bundle)?,
            spec,
            labels: labels.unwrap_or_default(),
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
        let logits = outputs.first_f32()?;
        let (&[n, c], Some(values)) = (logits.shape(), logits.as_slice()) else {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {:?}, expected N×C",
                logits.shape()
            )));
        };
        if n != images.len() || c == 0 || !(self.labels.is_empty() || self.labels.len() == c) {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {:?} for {} pictures and {} labels",
                logits.shape(),
                images.len(),
                self.labels.len()
            )));
        }
        Ok(values
            .chunks_exact(c)
            .map(|row| self.classes(row.to_vec()))
            .collect())
    }
}

impl Classify {
    fn classes(&self, mut scores: Vec<f32>) -> Classes {
        match self.spec.activation {
            Activation::Softmax => softmax(&mut scores),
            Activation::Sigmoid => scores.iter_mut().for_each(|v| *v = sigmoid(*v)),
            Activation::None => {}
        }
        let label = |index: usize| Label {
            label: self
                .labels
                .get(index)
                .cloned()
                .unwrap_or_else(|| index.to_string()),
            index,
            score: scores[index],
        };
        Classes {
            labels: top_k(&scores, self.spec.top_k)
                .into_iter()
                .map(label)
                .collect(),
        }
    }
}
