/// Added to the variance, so that silence stays silence.
const EPSILON: f64 = 1e-7;

/// Brings samples to mean 0 and variance 1: `(x − mean) / √(variance + 1e-7)`, as
/// `Wav2Vec2FeatureExtractor` of transformers 5.23 does it.
pub fn normalize(samples: &mut [f32]) {
    let count = samples.len().max(1) as f64;
    let mean = samples.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let squares = samples.iter().map(|x| (f64::from(*x) - mean).powi(2));
    let scale = 1.0 / (squares.sum::<f64>() / count + EPSILON).sqrt();
    for sample in samples {
        *sample = ((f64::from(*sample) - mean) * scale) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_transformers_normalises() {
        struct Case {
            name: &'static str,
            samples: &'static [f32],
            /// `Wav2Vec2FeatureExtractor()(samples)` of transformers 5.23.
            expected: &'static [f32],
        }
        let cases = [
            Case {
                name: "sound",
                samples: &[0.5, -0.25, 0.125, 0.0, 0.75],
                expected: &[
                    0.770_153_76,
                    -1.330_265_6,
                    -0.280_055_9,
                    -0.630_125_8,
                    1.470_293_5,
                ],
            },
            Case {
                name: "almost silence",
                samples: &[0.001, 0.0, -0.001],
                expected: &[1.142_080_4, 0.0, -1.142_080_4],
            },
            Case {
                name: "nothing but an offset",
                samples: &[0.25, 0.25],
                expected: &[0.0, 0.0],
            },
            Case {
                name: "nothing",
                samples: &[],
                expected: &[],
            },
        ];
        for case in cases {
            let mut samples = case.samples.to_vec();
            normalize(&mut samples);
            for (found, expected) in samples.iter().zip(case.expected) {
                let allowed = 1e-4 + 1e-4 * expected.abs();
                let name = case.name;
                assert!((found - expected).abs() <= allowed, "{name}: {samples:?}");
            }
        }
    }
}
