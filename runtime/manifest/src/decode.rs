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
    /// Box predictions to boxes with a mask each.
    Instances(InstanceSpec),
    /// Logits N×C×H×W to a class for each pixel.
    Semantic(SemanticSpec),
    /// Box predictions to boxes with keypoints.
    Pose(PoseSpec),
    /// Box predictions to boxes of any direction.
    Obb(DetectSpec),
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
    /// Ultralytics since YOLOv8: `predictions` N×(4+C+E)×A with `[cx, cy, w, h]` in pixels of the
    /// tensor, C class probabilities, and what the task needs beside: the coefficients of a mask,
    /// keypoints, or for oriented boxes the angle in radians.
    Yolo,
    /// Boxes that the graph has chosen itself, for one picture: `boxes` K×4 `[x1, y1, x2, y2]` in
    /// pixels of the tensor, `labels` K (i64), `scores` K, best first.
    Boxes,
}

/// Predictions to boxes with a mask each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSpec {
    /// The boxes.
    #[serde(rename = "boxes")]
    pub detect: DetectSpec,
    /// How a box gets its mask.
    pub masks: MaskHead,
    /// A pixel belongs to a mask above this probability, in 0 ..= 1.
    pub min_mask: f32,
}

/// How a box gets its mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "layout", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum MaskHead {
    /// YOLACT (Bolya et al. 2019, arXiv:1904.02689): `prototypes` N×P×h×w over the whole tensor; a mask
    /// is the sigmoid of their sum weighted by the box's P coefficients, cut to the box.
    Prototypes {
        /// P.
        count: usize,
    },
    /// Mask R-CNN (He et al. 2017, arXiv:1703.06870): `masks` K×1×M×M, probabilities over the box,
    /// which is enlarged by the pixel that the resampling needs around it.
    Soft,
}

/// Logits N×C×H×W to a class for each pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SemanticSpec {
    /// The file with one class name a line; without it a class is its index in decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// `softmax`: the best class of each pixel. `sigmoid`: each class on its own, above `min_mask`; `none`
    /// the same where the graph answers probabilities.
    pub activation: Activation,
    /// A pixel belongs to a class of its own above this probability, in 0 ..= 1.
    pub min_mask: f32,
}

/// Predictions to boxes with keypoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoseSpec {
    /// The boxes.
    #[serde(rename = "boxes")]
    pub detect: DetectSpec,
    /// Keypoints a box.
    pub keypoints: usize,
    /// Numbers a keypoint: x and y in pixels of the tensor, and third whether it is seen, in 0 ..= 1.
    pub dims: usize,
}

impl Decode {
    /// The files this section names.
    pub(crate) fn files(&self) -> Vec<&str> {
        match self {
            Self::Generate(spec) => spec.chat_template.as_deref().into_iter().collect(),
            Self::Transcribe(spec) => vec![spec.tokenizer()],
            _ => self.labels().into_iter().collect(),
        }
    }

    /// The file with one label a line, where the answer has labels and they have names.
    pub fn labels(&self) -> Option<&str> {
        match self {
            Self::Classify(spec) => spec.labels.as_deref(),
            Self::Tag(spec) => Some(spec.labels.as_str()),
            Self::Semantic(spec) => spec.labels.as_deref(),
            _ => self.detect().map(|spec| spec.labels.as_str()),
        }
    }

    /// How boxes are found, for every task that finds some.
    pub fn detect(&self) -> Option<&DetectSpec> {
        match self {
            Self::Detect(spec) | Self::Obb(spec) => Some(spec),
            Self::Instances(InstanceSpec { detect, .. }) | Self::Pose(PoseSpec { detect, .. }) => {
                Some(detect)
            }
            _ => None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[decode] {what}")));
        let fraction = |name: &str, value: f32| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => invalid(&format!("{name} must be in 0 ..= 1")),
        };
        if let Some(spec) = self.detect() {
            fraction("min_score", spec.min_score)?;
            fraction("iou", spec.iou)?;
            if let BoxHead::YoloxGrid { strides } = &spec.head
                && (strides.is_empty() || strides.contains(&0))
            {
                return invalid("strides must be given and not zero");
            }
        }
        match self {
            Self::Instances(spec) => fraction("min_mask", spec.min_mask)?,
            Self::Semantic(spec) => fraction("min_mask", spec.min_mask)?,
            Self::Pose(spec) if spec.keypoints == 0 || !(2..=3).contains(&spec.dims) => {
                return invalid("keypoints must be given, of 2 or 3 numbers each");
            }
            _ => {}
        }
        match self {
            Self::Generate(spec) => spec.check(),
            Self::Transcribe(spec) => spec.check(),
            _ => Ok(()),
        }
    }
}
