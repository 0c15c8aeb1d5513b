//! What a conversion asks of somebody who can run graphs.

use std::collections::BTreeMap;
use std::path::Path;

use bevel_manifest::Manifest;
use serde::Serialize;

use crate::error::BoxError;

/// Runs graphs for the converter. The runtime implements it; this crate links no inference engine.
///
/// The fp32 bundle answers the calibration data once, and what went into each of its graphs is
/// [`record`](Self::record)ed. Everything else replays these inputs on one graph: observing what its
/// values are, comparing outputs, taking times. So models of several graphs need no code here.
pub trait Judge {
    /// Compares the fp32 bundle with a recording of what it should answer, where the user has one.
    /// Answers what differs.
    ///
    /// # Errors
    /// Whatever keeps the bundle from being run, or the recording from being read.
    fn check(&mut self, _bundle: &Path) -> Result<Option<String>, BoxError> {
        Ok(None)
    }

    /// Answers the calibration data with the fp32 variant of the bundle and keeps what went into each
    /// graph. `None` where there is no data for this kind of input.
    ///
    /// # Errors
    /// Whatever keeps the bundle from being run; the conversion fails with it.
    fn record(&mut self, bundle: &Path, manifest: &Manifest) -> Result<Option<Recorded>, BoxError>;

    /// Runs `graph`, which has the inputs of the graph `role`, on the first `runs` recorded runs of it.
    /// `see` hears of each f32 output.
    ///
    /// # Errors
    /// Whatever keeps the graph from being run.
    fn replay(
        &mut self,
        role: &str,
        graph: &Path,
        runs: usize,
        see: See<'_>,
    ) -> Result<(), BoxError>;

    /// The median times of one run of `graphs` in milliseconds, taken in turn on the recorded runs of
    /// `role`, so that a busy machine slows them alike.
    ///
    /// # Errors
    /// Whatever keeps a graph from being run.
    fn time(&mut self, role: &str, graphs: &[&Path]) -> Result<Vec<f64>, BoxError>;

    /// How well a variant of the bundle answers; `None` where nobody can tell.
    ///
    /// # Errors
    /// Whatever keeps the bundle from being run.
    fn score(
        &mut self,
        bundle: &Path,
        manifest: &Manifest,
        variant: &str,
    ) -> Result<Option<Quality>, BoxError>;

    /// Processor and threads, for the report.
    fn machine(&self) -> String;
}

/// What calibration left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Where the data came from, for people.
    pub source: String,
    /// How many samples were answered.
    pub samples: usize,
    /// SHA-256 over all samples in order, in lower-case hexadecimal.
    pub sha256: String,
    /// Role to how often its graph ran in all, 0 for one that did not run.
    pub runs: BTreeMap<String, usize>,
}

/// Hears of an output: which recorded run, the output's name, its dimensions, its elements.
pub type See<'a> = &'a mut dyn FnMut(usize, &str, &[usize], &[f32]);

/// How well a variant answers; see [`Gate`](crate::Gate) for the metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// `mAP50-95`, `top1`, `wer`, `cosine` …
    pub metric: String,
    /// Over all samples.
    pub value: f64,
    /// The 95 % confidence interval.
    pub interval: [f64; 2],
    /// fp32's value on the same samples; 1 (or 0 for errors) where fp32's answers are the truth.
    pub reference: f64,
    /// The worst sample, for metrics that have a value a sample.
    pub worst: Option<f64>,
    /// The share of samples that it answers as fp32 does, for labels on labelled data: two models of
    /// the same top-1 may be right about different pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// How many samples.
    pub samples: usize,
}
