//! Symmetric int8: `q = clamp(round(x / scale), −127, 127)`, `x ≈ q · scale`, one scale for each
//! channel. −128 is left out, so that negating a weight negates its code.

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
    let scales: Vec<f32> = elements.chunks_exact(cols).map(scale).collect();
    let rows = elements.chunks_exact(cols).zip(&scales);
    let codes = rows
        .flat_map(|(row, scale)| row.iter().map(|x| code(*x, *scale)))
        .collect();
    Quantized { codes, scales }
}

/// A rows×cols matrix with one scale for each column.
pub(super) fn per_column(elements: &[f32], cols: usize) -> Quantized {
    let mut largest = vec![0.0f32; cols];
    for row in elements.chunks_exact(cols) {
        for (largest, x) in largest.iter_mut().zip(row) {
            *largest = largest.max(x.abs());
        }
    }
    let scales: Vec<f32> = largest.iter().map(|x| scale(&[*x])).collect();
    let codes = elements
        .chunks_exact(cols)
        .flat_map(|row| row.iter().zip(&scales).map(|(x, scale)| code(*x, *scale)))
        .collect();
    Quantized { codes, scales }
}

/// A channel of zeros gets the scale 1: any scale is right, and none may be 0.
fn scale(channel: &[f32]) -> f32 {
    let largest = channel.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let scale = largest / MAX_CODE;
    if scale.is_normal() { scale } else { 1.0 }
}

fn code(x: f32, scale: f32) -> i8 {
    (x / scale).round_ties_even().clamp(-MAX_CODE, MAX_CODE) as i8
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
