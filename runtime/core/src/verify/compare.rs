use serde::Serialize;

use crate::tensors::{Tensor, TensorData};

/// How far apart two values may be: `|a − b| ≤ atol + rtol · |b|`, b the recorded one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Allowed difference.
    pub atol: f64,
    /// Allowed difference per unit of the recorded value.
    pub rtol: f64,
    /// The least cosine of an output of floating point with the recorded one, asked for instead of
    /// small differences. `logits` must have the same top-1, too.
    pub cosine: Option<f64>,
}

impl Default for Tolerance {
    /// What a faithful fp32 conversion stays within.
    fn default() -> Self {
        Self {
            atol: 1e-4,
            rtol: 1e-4,
            cosine: None,
        }
    }
}

impl Tolerance {
    /// For ids.
    pub const EXACT: Self = Self {
        atol: 0.0,
        rtol: 0.0,
        cosine: None,
    };

    /// For the same graph on another machine, whose kernels add up in another order and may multiply
    /// bytes in other steps. Scores of things found may differ by 0.001.
    pub const DEVICE: Self = Self {
        atol: 1e-3,
        rtol: 0.0,
        cosine: Some(0.999),
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
    /// Of all values with the recorded ones, −1 ..= 1; what `ok` asks for instead of small differences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f64>,
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
        let float = matches!(b.data, TensorData::F32(_) | TensorData::F64(_));
        let least = tolerance.cosine.filter(|_| same_shape && float);
        let cosine = least.map(|_| cosine(&a.data.to_f64(), &b.data.to_f64()));
        let near = match (cosine, least) {
            (Some(cosine), Some(least)) => {
                cosine >= least && (!name.ends_with(LOGITS) || best(a) == best(b))
            }
            _ => max_excess <= 0.0,
        };
        Self {
            name: name.to_owned(),
            shape: a.shape.clone(),
            values: b.data.len(),
            max_abs,
            max_excess,
            iou: None,
            cosine,
            ok: same_shape && near,
        }
    }
}

/// The output whose last axis is classes, alone or behind the role of its graph.
const LOGITS: &str = "logits";

/// The cosine of two vectors; 1 for two of zeros, and not a number where one of them is none.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    if a == b {
        return 1.0;
    }
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

/// The best class of each row of N×C, of the last position of each row of N×T×C; nothing of other shapes,
/// which do not end with classes.
fn best(logits: &Tensor) -> Vec<usize> {
    let (rows, classes) = match logits.shape.as_slice() {
        [_, classes] => (1, *classes),
        [_, positions, classes] => (*positions, *classes),
        _ => return Vec::new(),
    };
    let values = logits.data.to_f64();
    let items = values.chunks_exact((rows * classes).max(1));
    let top = |item: &[f64]| {
        let last = item[item.len() - classes..].iter().enumerate();
        last.max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(at, _)| at)
    };
    items.map(top).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_may_differ_by_angle_and_not_by_answer() {
        struct Case {
            name: &'static str,
            output: &'static str,
            shape: &'static [usize],
            found: &'static [f32],
            recorded: &'static [f32],
            ok: bool,
        }
        let cases = [
            Case {
                name: "a hundredth longer",
                output: "hidden",
                shape: &[1, 2],
                found: &[3.03, 4.04],
                recorded: &[3.0, 4.0],
                ok: true,
            },
            Case {
                name: "by 0.1 rad",
                output: "hidden",
                shape: &[1, 2],
                found: &[0.995, 0.0998],
                recorded: &[1.0, 0.0],
                ok: false,
            },
            Case {
                name: "another first, and no classes",
                output: "hidden",
                shape: &[1, 2],
                found: &[1.0, 1.001],
                recorded: &[1.001, 1.0],
                ok: true,
            },
            Case {
                name: "another first of classes",
                output: "model_logits",
                shape: &[1, 2],
                found: &[1.0, 1.001],
                recorded: &[1.001, 1.0],
                ok: false,
            },
            Case {
                name: "the last position counts",
                output: "logits",
                shape: &[1, 2, 2],
                found: &[1.0, 1.001, 0.0, 1.0],
                recorded: &[1.001, 1.0, 0.0, 1.0],
                ok: true,
            },
            Case {
                name: "nothing of everything",
                output: "hidden",
                shape: &[2],
                found: &[0.0, 0.0],
                recorded: &[0.0, 1.0],
                ok: false,
            },
            Case {
                name: "silence twice",
                output: "hidden",
                shape: &[2],
                found: &[0.0, 0.0],
                recorded: &[0.0, 0.0],
                ok: true,
            },
            Case {
                name: "no number",
                output: "hidden",
                shape: &[2],
                found: &[f32::NAN, 0.0],
                recorded: &[1.0, 0.0],
                ok: false,
            },
        ];
        for case in cases {
            let tensor = |values: &[f32]| Tensor {
                shape: case.shape.to_vec(),
                data: TensorData::F32(values.to_vec()),
            };
            let (a, b) = (tensor(case.found), tensor(case.recorded));
            let row = Compared::new(case.output, &a, &b, Tolerance::DEVICE);
            assert_eq!(row.ok, case.ok, "{}: {row:?}", case.name);
        }
        let ids = |values: &[i64]| Tensor {
            shape: vec![values.len()],
            data: TensorData::I64(values.to_vec()),
        };
        let row = Compared::new("ids", &ids(&[7, 8]), &ids(&[7, 9]), Tolerance::DEVICE);
        assert!(!row.ok && row.cosine.is_none(), "{row:?}");
    }
}
