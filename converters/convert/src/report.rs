use std::fmt;
use std::path::PathBuf;

use bevel_manifest::{Measured, Task};
use serde::Serialize;

use crate::judge::Quality;

/// What a conversion did, for people and for `--json`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The bundle.
    pub out: PathBuf,
    /// Model name.
    pub name: String,
    /// What the model answers.
    pub task: Task,
    /// Architecture family.
    pub family: String,
    /// The checkpoint file.
    pub checkpoint: PathBuf,
    /// Its size.
    pub checkpoint_bytes: u64,
    /// Tensors that went into the graph.
    pub tensors_read: usize,
    /// Tensors that the graph does not need, by name.
    pub tensors_unused: Vec<String>,
    /// Every variant that was built, also those that were dropped.
    pub variants: Vec<VariantReport>,
    /// The variant that runs by default.
    pub chosen: String,
    /// Why it was chosen.
    pub reason: String,
    /// What variants were calibrated on, where there was data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// What people should know, one sentence each.
    pub notes: Vec<String>,
    /// Stages in order, with their time.
    pub stages: Vec<StageReport>,
    /// Wall time of the whole conversion.
    pub seconds: f64,
}

/// What a conversion is at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// What is done within it; empty at its beginning.
    pub what: String,
    /// Steps that are done.
    pub done: usize,
    /// Steps there are; 0 where nobody knows.
    pub of: usize,
}

/// The data that variants were calibrated on.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Calibration {
    /// Where it came from.
    pub source: String,
    /// How many samples.
    pub samples: usize,
    /// SHA-256 over all samples in order, in lower-case hexadecimal.
    pub sha256: String,
}

/// One attempt at a variant.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Trial {
    /// How it was quantised.
    pub way: String,
    /// How many layers stayed in float.
    pub layers_kept: usize,
    /// The squared error of the outputs as a share of their variance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// How well it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Its time divided by fp32's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ratio: Option<f64>,
    /// Graph and weights.
    pub size_bytes: u64,
    /// Why the gate is shut; nothing when it is open, or when it was not scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<String>,
}

/// One variant of the model.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VariantReport {
    /// Name in the bundle.
    pub name: String,
    /// How the weights were made.
    pub scheme: String,
    /// Graph and weights.
    pub size_bytes: u64,
    /// Whether it is in the bundle.
    pub kept: bool,
    /// Why it was dropped; nothing when it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// What was measured, where there was a judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Layers that the scheme could take and that stay in float.
    pub layers_kept_float: Vec<String>,
    /// What was tried on the way to it, in order.
    pub trials: Vec<Trial>,
}

/// How long a stage took.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StageReport {
    /// The stage.
    pub stage: Stage,
    /// Wall time.
    pub seconds: f64,
}

/// Steps of a conversion, announced when they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// The checkpoint is opened and recognised.
    Read,
    /// The graph is built from it.
    Build,
    /// Graphs and side files are written.
    Write,
    /// Files and checkpoint are hashed.
    Hash,
    /// fp32 answers the calibration data.
    Calibrate,
    /// Ways to quantise are tried.
    Quantize,
    /// Variants are compared with fp32.
    Measure,
    /// The bundle gets its place.
    Finish,
}

impl Stage {
    /// How many stages there are.
    pub const COUNT: u64 = Self::Finish as u64 + 1;
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Build => "build",
            Self::Calibrate => "calibrate",
            Self::Quantize => "quantize",
            Self::Write => "write",
            Self::Hash => "hash",
            Self::Measure => "measure",
            Self::Finish => "finish",
        })
    }
}
