use serde::{Deserialize, Serialize};

use crate::{Error, GenerateSpec, TranscribeSpec};

/// How output tensors become an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Decode {
    /// Token vectors to one vector.
    Embed(EmbedSpec),
    /// Logits N×C to labels.
    Classify(ClassifySpec),
    /// Logits N×T×C to entities.
    Tag(LabelSpec),
    /// `start_logits`, `end_logits` N×T to a span.
    Answer,
    /// Logits N×T×V at the mask to candidates.
    Fill,
    /// Logits N×T×V to text, token by token.
    Generate(GenerateSpec),
    /// Box predictions to boxes.
    Detect(DetectSpec),
    /// Token ids to text.
    Transcribe(TranscribeSpec),
    /// Named tensors as they are.
    Tensors,
}

/// Labels of a head, one per line of a text file, in the order of the logits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSpec {
    /// The file with one label a line.
    pub labels: String,
}

/// `last_hidden_state` N×T×D, or a vector that the graph answers, to one vector of D.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedSpec {
    /// Which tokens count.
    pub pooling: Pooling,
    /// Whether the vector is divided by its Euclidean length.
    pub normalize: bool,
}

/// How token vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Mean over the tokens whose `attention_mask` is 1.
    Mean,
    /// The first token.
    Cls,
    /// None: the graph's first output is one vector an item, N×D.
    Graph,
}

/// Logits to labels, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifySpec {
    /// The file with one label a line; without it a label is its index in decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// How a logit becomes a score.
    pub activation: Activation,
    /// How many labels are answered.
    pub top_k: usize,
}

/// How a logit becomes a score in 0 ..= 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// One label is right: scores sum to 1.
    Softmax,
    /// Each label stands alone.
    Sigmoid,
    /// The graph already answers scores.
    None,
}

/// Predictions to boxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectSpec {
    /// How the graph lays out its predictions.
    pub head: BoxHead,
    /// The file with one class name a line.
    pub labels: String,
    /// Boxes below this score are dropped, in 0 ..= 1.
    pub min_score: f32,
    /// Of two boxes of a class that overlap by more than this IoU the weaker one is dropped.
    pub iou: f32,
    /// How many boxes are answered per picture.
    pub max_boxes: usize,
}

/// Layout of a detector's predictions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "layout", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum BoxHead {
    /// YOLOX (Ge et al. 2021): N×A×(5+C) with `[dx, dy, log w, log h, objectness, classes…]` in
    /// units of the cell's stride, A cells of all strides in row order; objectness and classes are
    /// probabilities, the score is their product.
    YoloxGrid {
        /// Cell sizes in pixels, in the order of the cells.
        strides: Vec<u32>,
    },
}

impl Decode {
    /// The files this section names.
    pub(crate) fn files(&self) -> Vec<&str> {
        match self {
            Self::Classify(spec) => spec.labels.iter().map(String::as_str).collect(),
            Self::Tag(spec) => vec![spec.labels.as_str()],
            Self::Detect(spec) => vec![spec.labels.as_str()],
            Self::Generate(spec) => spec.chat_template.as_deref().into_iter().collect(),
            Self::Transcribe(spec) => vec![spec.tokenizer()],
            Self::Embed(_) | Self::Answer | Self::Fill | Self::Tensors => Vec::new(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[decode] {what}")));
        match self {
            Self::Detect(spec) if !(0.0..=1.0).contains(&spec.min_score) => {
                invalid("min_score must be in 0 ..= 1")
            }
            Self::Detect(spec) if !(0.0..=1.0).contains(&spec.iou) => {
                invalid("iou must be in 0 ..= 1")
            }
            Self::Detect(DetectSpec {
                head: BoxHead::YoloxGrid { strides },
                ..
            }) if strides.is_empty() || strides.contains(&0) => {
                invalid("strides must be given and not zero")
            }
            Self::Generate(spec) => spec.check(),
            Self::Transcribe(spec) => spec.check(),
            _ => Ok(()),
        }
    }
}
