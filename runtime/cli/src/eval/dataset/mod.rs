//! Datasets as people have them, as samples with what their answers should be. Pictures and sound are
//! read when their turn comes.

mod coco;
mod columns;
mod entities;
mod files;
mod labels;
pub mod masks;
mod pictures;
mod questions;
mod speech;
mod table;
mod texts;
mod yolo;

use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel::vision::load_image;
use bevel::{AnyPipeline, Bundle};
use bevel_manifest::{Decode, ErrorKind};

pub use columns::Columns;
use labels::Labels;

use super::truth::Truth;
use crate::failure::fail;
use crate::inputs;

/// Samples in order.
#[derive(Debug, Clone)]
pub struct Dataset {
    samples: Vec<Sample>,
}

/// One sample.
#[derive(Debug, Clone)]
pub struct Sample {
    item: Item,
    /// What its answer should be.
    pub truth: Truth,
    /// The part of the samples it belongs to.
    pub group: Option<String>,
    /// Where it was found, for messages.
    pub place: String,
}

/// What a sample is, not read yet.
#[derive(Debug, Clone)]
enum Item {
    Text(String),
    Pair([String; 2]),
    Picture(PathBuf),
    Sound(PathBuf),
    Question { question: String, context: String },
}

/// What the readers of datasets need to know.
struct Opening<'a> {
    path: &'a Path,
    bundle: &'a Bundle,
    labels: Labels,
    columns: &'a Columns,
}

impl Dataset {
    /// Finds out what is there for the task of the bundle.
    ///
    /// # Errors
    /// Where nothing usable is there, a file is broken, a label is not one of the model's or there are no
    /// samples.
    pub fn open(path: &Path, bundle: &Bundle, columns: &Columns) -> anyhow::Result<Self> {
        if !path.exists() {
            let what = format!("the dataset {} does not exist", path.display());
            return Err(fail(ErrorKind::Input, what));
        }
        let opening = Opening {
            path,
            bundle,
            labels: Labels::of(bundle)?,
            columns,
        };
        let samples = match &bundle.manifest().decode {
            Decode::Classify(_) => opening.classes()?,
            Decode::Detect(_) | Decode::Instances(_) | Decode::Pose(_) | Decode::Obb(_) => {
                opening.things()?
            }
            Decode::Semantic(_) => opening.maps()?,
            Decode::Embed(_) => opening.vectors()?,
            Decode::Transcribe(_) => opening.speech()?,
            Decode::Generate(_) => opening.texts(&Truth::Itself)?,
            Decode::Tag(_) => opening.tagged()?,
            Decode::Answer => opening.questions()?,
            Decode::Tensors => {
                return Err(fail(
                    ErrorKind::Unsupported,
                    "a model of bare tensors has no metric; compare its outputs with recorded ones: \
                     bevel verify BUNDLE --io FILE.safetensors",
                ));
            }
            _ => {
                let what = format!("`{}` cannot be evaluated yet", bundle.manifest().task);
                return Err(fail(ErrorKind::Unsupported, what));
            }
        };
        if samples.is_empty() {
            let what = format!("{} has no samples", path.display());
            return Err(fail(ErrorKind::Input, what));
        }
        Ok(Self { samples })
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// What a pipeline takes for a sample: two texts for a pair.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn items(&self, at: usize) -> anyhow::Result<Vec<inputs::Item>> {
        self.samples.get(at).map_or(Ok(Vec::new()), Sample::read)
    }

    /// What the answers should be, in order.
    pub fn truths(&self) -> Vec<Truth> {
        self.samples.iter().map(|s| s.truth.clone()).collect()
    }

    /// Only so many samples, the first ones.
    pub fn truncate(&mut self, limit: usize) {
        self.samples.truncate(limit);
    }

    /// Whether nobody has said what the answers should be.
    pub fn is_unlabelled(&self) -> bool {
        self.samples
            .iter()
            .all(|sample| matches!(sample.truth, Truth::Unknown))
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Sample {
    fn new(item: Item, truth: Truth, place: String) -> Self {
        Self {
            item,
            truth,
            group: None,
            place,
        }
    }

    /// A picture, and where it is.
    fn picture(path: PathBuf, truth: Truth) -> Self {
        let place = path.display().to_string();
        Self::new(Item::Picture(path), truth, place)
    }

    fn sound(path: PathBuf, truth: Truth) -> Self {
        let place = path.display().to_string();
        Self::new(Item::Sound(path), truth, place)
    }

    /// Whether it goes well with others in one run.
    pub(super) fn is_text(&self) -> bool {
        matches!(
            self.item,
            Item::Text(_) | Item::Pair(_) | Item::Question { .. }
        )
    }

    /// What a pipeline takes for it: two texts for a pair.
    pub(super) fn read(&self) -> anyhow::Result<Vec<inputs::Item>> {
        Ok(match &self.item {
            Item::Text(text) => vec![inputs::Item::Text(text.clone())],
            Item::Pair(texts) => texts.iter().cloned().map(inputs::Item::Text).collect(),
            Item::Picture(path) => {
                let image = load_image(path).with_context(|| self.place.clone())?;
                vec![inputs::Item::Image(image)]
            }
            Item::Question { question, context } => {
                vec![inputs::Item::Question(inputs::Asked {
                    question: question.clone(),
                    context: context.clone(),
                })]
            }
            Item::Sound(path) => vec![inputs::Item::Sound(path.clone())],
        })
    }

    /// How likely the pipeline finds the text.
    pub(super) fn likelihood(
        &self,
        pipeline: &mut dyn AnyPipeline,
    ) -> anyhow::Result<bevel::Likelihood> {
        let Item::Text(text) = &self.item else {
            return Err(fail(
                ErrorKind::Input,
                format!("{}: not a text", self.place),
            ));
        };
        pipeline
            .likelihood(text)
            .with_context(|| self.place.clone())
    }
}

/// The error for a dataset that is none of those that are known.
fn unknown(path: &Path, expected: &str) -> anyhow::Error {
    let what = format!("{}: expected {expected}", path.display());
    fail(ErrorKind::Input, what)
}

#[cfg(test)]
mod tests;
