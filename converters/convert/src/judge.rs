//! The quality gate: what a variant must reach, measured by someone who can run graphs.

use std::path::Path;

use bevel_manifest::{Manifest, Measured};

use crate::error::BoxError;

/// Runs the variants of an unfinished bundle against fp32. The runtime implements it; this crate
/// links no inference engine.
pub trait Judge {
    /// Measures the variants of the bundle in `bundle_dir`. Answers variant name and measurement,
    /// for all variants or for those besides fp32.
    ///
    /// # Errors
    /// Whatever keeps the bundle from being run; the conversion fails with it.
    fn judge(
        &mut self,
        bundle_dir: &Path,
        manifest: &Manifest,
    ) -> Result<Vec<(String, Measured)>, BoxError>;
}

/// Metric and the least mean that passes. Cosine of sentence vectors moves less than 0.02 before
/// retrieval does; a classifier may answer otherwise on 3 of 100 inputs, which are close calls.
const GATES: [(&str, f64); 2] = [("cosine", 0.98), ("top1-agreement", 0.97)];

/// For any other figure of agreement with fp32.
const GATE: f64 = 0.97;

/// The least mean of a metric that passes.
pub fn gate(metric: &str) -> f64 {
    let row = GATES.iter().find(|(name, _)| *name == metric);
    row.map_or(GATE, |(_, least)| *least)
}

/// Not-a-number never passes.
pub(crate) fn passes(measured: &Measured) -> bool {
    measured.value >= gate(&measured.metric)
}
