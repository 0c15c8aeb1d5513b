use serde::Serialize;

use crate::tensors::Tensor;

/// How far apart two values may be: `|a − b| ≤ atol + rtol · |b|`, b the recorded one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Allowed difference.
    pub atol: f64,
    /// Allowed difference per unit of the recorded value.
    pub rtol: f64,
}

impl Default for Tolerance {
    /// What a faithful fp32 conversion stays within.
    fn default() -> Self {
        Self {
            atol: 1e-4,
            rtol: 1e-4,
        }
    }
}

impl Tolerance {
    /// For ids.
    pub const EXACT: Self = Self {
        atol: 0.0,
        rtol: 0.0,
    };
}

/// How one output differs from what was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Its recorded name.
    pub name: String,
    /// Its shape as the graph gave it.
    pub shape: Vec<usize>,
    /// How many values were recorded.
    pub values: usize,
    /// The largest `|a − b|`.
    pub max_abs: f64,
    /// The largest `|a − b| − (atol + rtol · |b|)`; above zero is a breach.
    pub max_excess: f64,
    /// The worst overlap of two boxes or masks that stand for one thing, 0 ..= 1; what `ok` asks for
    /// instead of small differences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iou: Option<f64>,
    /// Whether shapes are equal and no value is a breach.
    pub ok: bool,
}

impl Compared {
    /// Found beside recorded.
    pub fn new(name: &str, a: &Tensor, b: &Tensor, tolerance: Tolerance) -> Self {
        let (mut max_abs, mut max_excess) = (0.0f64, f64::NEG_INFINITY);
        let same_shape = a.shape == b.shape;
        if same_shape {
            for (a, b) in a.data.to_f64().into_iter().zip(b.data.to_f64()) {
                // Equal covers infinities; a NaN on one side only must not pass as small.
                let gap = match a == b || (a.is_nan() && b.is_nan()) {
                    true => 0.0,
                    false if a.is_nan() || b.is_nan() => f64::INFINITY,
                    false => (a - b).abs(),
                };
                let allowed = match b.is_finite() {
                    true => tolerance.atol + tolerance.rtol * b.abs(),
                    false => tolerance.atol,
                };
                max_abs = max_abs.max(gap);
                max_excess = max_excess.max(gap - allowed);
            }
        } else {
            (max_abs, max_excess) = (f64::INFINITY, f64::INFINITY);
        }
        Self {
            name: name.to_owned(),
            shape: a.shape.clone(),
            values: b.data.len(),
            max_abs,
            max_excess,
            iou: None,
            ok: same_shape && max_excess <= 0.0,
        }
    }
}
