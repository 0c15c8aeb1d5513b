/// The loudest sample that is taken for sound, in units of full scale (+30 dB). Float files may
/// exceed 1 where they clip; beyond this they are scaled to integers, or broken.
pub const MAX_AMPLITUDE: f32 = 32.0;

/// A sample that is not sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loud {
    /// Index of the sample in the slice.
    pub at: usize,
    /// Its value: NaN, infinite or beyond [`MAX_AMPLITUDE`].
    pub value: f32,
}

/// Averages interleaved channels into one and appends it: `out[t] = mean over c of in[t·C + c]`.
/// Samples of an incomplete last frame are dropped; no channels make no samples.
pub fn mix_down(interleaved: &[f32], channels: usize, out: &mut Vec<f32>) {
    match channels {
        0 => {}
        1 => out.extend_from_slice(interleaved),
        _ => {
            let scale = 1.0 / channels as f32;
            let frames = interleaved.chunks_exact(channels);
            out.extend(frames.map(|frame| frame.iter().sum::<f32>() * scale));
        }
    }
}

/// Checks that every sample is a number no louder than [`MAX_AMPLITUDE`].
///
/// # Errors
/// The first sample that is not. One NaN would silence a whole recording inside a model, so it is
/// told instead of being zeroed.
pub fn check_samples(samples: &[f32]) -> Result<(), Loud> {
    // NaN is in no range.
    let sound = |s: &f32| (-MAX_AMPLITUDE..=MAX_AMPLITUDE).contains(s);
    match samples.iter().position(|s| !sound(s)) {
        Some(at) => Err(Loud {
            at,
            value: samples[at],
        }),
        None => Ok(()),
    }
}

/// A stand-in for a voice activity detector: how loud a window is, as a probability. It rises
/// linearly from 0 at −60 dB of full scale to 1 at −30 dB (root mean square); −45 dB gives 0.5.
pub fn level_probability(window: &[f32]) -> f32 {
    let energy: f32 = window.iter().map(|s| s * s).sum();
    let mean = energy / window.len().max(1) as f32;
    // 10 · log10 of the mean square is the level in dB; silence is −∞ and clamps to 0.
    ((10.0 * mean.log10() + 60.0) / 30.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_averaged() {
        struct Case {
            name: &'static str,
            channels: usize,
            input: &'static [f32],
            expected: &'static [f32],
        }
        let cases = [
            Case {
                name: "mono",
                channels: 1,
                input: &[0.5, -1.0],
                expected: &[0.5, -1.0],
            },
            Case {
                name: "stereo",
                channels: 2,
                input: &[1.0, 0.0, -0.5, 0.5],
                expected: &[0.5, 0.0],
            },
            Case {
                name: "half a frame",
                channels: 2,
                input: &[1.0, 1.0, 1.0],
                expected: &[1.0],
            },
            Case {
                name: "eight",
                channels: 8,
                input: &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
                expected: &[0.5],
            },
            Case {
                name: "none",
                channels: 0,
                input: &[1.0],
                expected: &[],
            },
        ];
        for case in cases {
            let mut out = Vec::new();
            mix_down(case.input, case.channels, &mut out);
            assert_eq!(out, case.expected, "{}", case.name);
        }
    }

    #[test]
    fn what_is_not_sound_is_found() {
        assert_eq!(check_samples(&[0.0, 1.5, -32.0]), Ok(()));
        for (value, name) in [
            (f32::NAN, "NaN"),
            (f32::NEG_INFINITY, "infinite"),
            (12_000.0, "an integer"),
        ] {
            let at = check_samples(&[0.0, value]).unwrap_err().at;
            assert_eq!(at, 1, "{name}");
        }
    }

    #[test]
    fn silence_has_no_probability_and_speech_has() {
        assert_eq!(level_probability(&[0.0; 512]), 0.0);
        assert_eq!(level_probability(&[]), 0.0);
        assert_eq!(level_probability(&[0.5; 512]), 1.0);
        // −45 dB
        assert!((level_probability(&[0.005_623_4; 512]) - 0.5).abs() < 1e-3);
    }
}
