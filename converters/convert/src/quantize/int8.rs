//! Symmetric int8: `q = clamp(round(x / scale), −127, 127)`, `x ≈ q · scale`, one scale for each
//! channel. −128 is left out, so that negating a weight negates its code. [`Codes`] are those of
//! activations: one scale, and a zero point.

use super::range::Range;

/// Codes in the order of the elements, and one scale for each channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantized {
    pub codes: Vec<i8>,
    pub scales: Vec<f32>,
}

/// Largest code.
const MAX_CODE: f32 = 127.0;

/// A rows×cols matrix with one scale for each row.
pub(super) fn per_row(elements: &[f32], cols: usize) -> Quantized {
    let rows = elements.len() / cols.max(1);
    per_channel(elements, cols, &vec![0.0; rows])
}

/// A rows×cols matrix with one scale for each column.
pub(super) fn per_column(elements: &[f32], cols: usize) -> Quantized {
    per_channel(elements, 1, &vec![0.0; cols])
}

/// A tensor whose channels, as many as `least`, follow each other in runs of `inner` elements; `least`
/// are the scales that they must at least have.
pub(super) fn per_channel(elements: &[f32], inner: usize, least: &[f32]) -> Quantized {
    let channels = || (0..least.len()).cycle();
    let runs = || elements.chunks_exact(inner.max(1)).zip(channels());
    let mut largest = vec![0.0f32; least.len()];
    for (run, channel) in runs() {
        largest[channel] = run.iter().fold(largest[channel], |m, x| m.max(x.abs()));
    }
    let scales = largest.iter().zip(least);
    let scales: Vec<f32> = scales.map(|(x, least)| scale(*x).max(*least)).collect();
    let codes = runs()
        .flat_map(|(run, channel)| run.iter().map(move |x| (x, channel)))
        .map(|(x, channel)| code(*x, scales[channel]))
        .collect();
    Quantized { codes, scales }
}

/// A channel of zeros gets the scale 1: any scale is right, and none may be 0.
fn scale(largest: f32) -> f32 {
    let scale = largest / MAX_CODE;
    if scale.is_normal() { scale } else { 1.0 }
}

fn code(x: f32, scale: f32) -> i8 {
    (x / scale).round_ties_even().clamp(-MAX_CODE, MAX_CODE) as i8
}

/// Affine codes of 8 bits: `x ≈ (q − zero) · scale`, zero is a code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Codes {
    pub scale: f32,
    pub zero: i32,
    /// Whether the codes are −128 … 127 rather than 0 … 255.
    pub signed: bool,
}

impl Codes {
    /// 256 codes over a range. Signed ones are the unsigned ones less 128.
    pub fn new(range: Range, signed: bool) -> Self {
        let scale = range.high / 255.0 - range.low / 255.0;
        let scale = if scale.is_normal() { scale } else { 1.0 };
        let zero = (-range.low / scale).round_ties_even().clamp(0.0, 255.0) as i32;
        Self {
            scale,
            zero: zero + if signed { -128 } else { 0 },
            signed,
        }
    }

    fn lowest(self) -> i32 {
        if self.signed { -128 } else { 0 }
    }

    pub fn code(self, x: f32) -> i32 {
        let steps = (x / self.scale).round_ties_even() as i32;
        let lowest = self.lowest();
        steps.saturating_add(self.zero).clamp(lowest, lowest + 255)
    }

    pub fn value(self, code: i32) -> f32 {
        (code - self.zero) as f32 * self.scale
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix() -> impl Strategy<Value = (usize, Vec<f32>)> {
        (1usize..9, 1usize..9).prop_flat_map(|(rows, cols)| {
            let elements = proptest::collection::vec(-1e3f32..1e3, rows * cols);
            (Just(cols), elements)
        })
    }

    proptest! {
        #[test]
        fn no_element_moves_by_more_than_half_a_step((cols, elements) in matrix()) {
            let rows = per_row(&elements, cols);
            let columns = per_column(&elements, cols);
            for (i, x) in elements.iter().enumerate() {
                for (quantized, scale) in [
                    (&rows, rows.scales[i / cols]),
                    (&columns, columns.scales[i % cols]),
                ] {
                    let error = (f32::from(quantized.codes[i]) * scale - x).abs();
                    prop_assert!(error <= scale * 0.5001, "{x}: {error} of {scale}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn activations_move_by_no_more_than_half_a_step(
            ends in (-1e3f32..1e3, -1e3f32..1e3),
            part in 0.0f32..1.0,
            signed in any::<bool>(),
        ) {
            let range = Range::holding_zero(ends.0.min(ends.1), ends.0.max(ends.1));
            let codes = Codes::new(range, signed);
            prop_assert_eq!(codes.value(codes.code(0.0)), 0.0);
            let inside = range.low + (range.high - range.low) * part;
            // At the ends the zero point, rounded to a code, takes up to another half.
            let shifted = codes.zero as f32 - codes.lowest() as f32 + range.low / codes.scale;
            for (x, ends) in [(inside, false), (range.low, true), (range.high, true)] {
                let slack = if ends { shifted.abs() } else { 0.0 };
                let error = (codes.value(codes.code(x)) - x).abs() / codes.scale;
                let held = codes.value(codes.lowest()) <= x && x <= codes.value(codes.lowest() + 255);
                prop_assert!(error <= 0.501 + slack || !held, "{x} of {range:?}: {error} steps");
            }
        }
    }

    #[test]
    fn extremes_keep_their_codes() {
        struct Case {
            name: &'static str,
            row: [f32; 3],
            codes: [i8; 3],
            scale: f32,
        }
        let cases = [
            Case {
                name: "largest is 127",
                row: [-2.0, 1.0, 0.0],
                codes: [-127, 64, 0],
                scale: 2.0 / 127.0,
            },
            Case {
                name: "zeros",
                row: [0.0; 3],
                codes: [0; 3],
                scale: 1.0,
            },
            Case {
                name: "too small for a normal scale",
                row: [1e-40, 0.0, 0.0],
                codes: [0; 3],
                scale: 1.0,
            },
        ];
        for case in cases {
            let got = per_row(&case.row, 3);
            assert_eq!(got.codes, case.codes, "{}", case.name);
            assert_eq!(got.scales, [case.scale], "{}", case.name);
            let columns = per_column(&case.row, 1);
            assert_eq!(columns.codes, got.codes, "{}", case.name);
        }
    }
}
