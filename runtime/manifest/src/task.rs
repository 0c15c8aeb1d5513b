use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a model answers. The names are those of `--task` and of `"task"` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// Text or image to a vector.
    Embed,
    /// Text or image to labels.
    Classify,
    /// Text to labelled entities.
    Tag,
    /// Question and context to a span.
    Answer,
    /// Masked text to candidates.
    Fill,
    /// Text to the text that follows.
    Generate,
    /// Image to labelled boxes.
    Detect,
    /// Image to regions: one for each thing, or one for each class.
    Segment,
    /// Image to boxes with keypoints.
    Pose,
    /// Image to boxes of any direction.
    Obb,
    /// Speech to text.
    Transcribe,
    /// Any model: named tensors in, named tensors out.
    Tensors,
}

impl Task {
    const NAMES: [(Self, &'static str); 12] = [
        (Self::Embed, "embed"),
        (Self::Classify, "classify"),
        (Self::Tag, "tag"),
        (Self::Answer, "answer"),
        (Self::Fill, "fill"),
        (Self::Generate, "generate"),
        (Self::Detect, "detect"),
        (Self::Segment, "segment"),
        (Self::Pose, "pose"),
        (Self::Obb, "obb"),
        (Self::Transcribe, "transcribe"),
        (Self::Tensors, "tensors"),
    ];

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(t, _)| *t == self)
            .map_or("tensors", |(_, n)| n)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Self::NAMES
            .iter()
            .find(|(_, n)| *n == s)
            .map(|(t, _)| *t)
            .ok_or_else(|| {
                let known: Vec<_> = Self::NAMES.iter().map(|(_, n)| *n).collect();
                format!("no task `{s}`; known: {}", known.join(", "))
            })
    }
}
