use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

fn whole(from: u32, to: u32, input: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(from, to).unwrap();
    let mut out = Vec::new();
    resampler.push(input, &mut out).unwrap();
    resampler.finish(&mut out).unwrap();
    out
}

/// A second and a bit of a sum of sines in Hz, each of amplitude 0.3.
fn tones(rate: u32, seconds: f64, hz: &[f64]) -> Vec<f32> {
    let at = |t: f64| hz.iter().map(|f| 0.3 * (TAU * f * t).sin()).sum::<f64>() as f32;
    (0..(seconds * f64::from(rate)) as usize)
        .map(|i| at(i as f64 / f64::from(rate)))
        .collect()
}

/// Against mathematics: tones are where they would be had they been sampled at the other rate, and
/// what the other rate cannot hold is gone. The ends are left out, where a tone starts at once.
#[test]
fn tones_keep_their_place() {
    for (from, to) in [
        (44_100, 16_000),
        (48_000, 16_000),
        (22_050, 16_000),
        (8_000, 16_000),
        (192_000, 16_000),
        (11_025, 16_000),
        (16_000, 44_100),
        (44_101, 16_000),
    ] {
        let band = [100.0, 1_000.0, 3_000.0];
        let out = whole(from, to, &tones(from, 3.0, &band));
        let expected = tones(to, 3.0, &band);
        assert_eq!(out.len(), expected.len(), "{from} → {to}");
        let edge = out.len() / 4;
        let inside = edge..out.len() - edge;
        let worst = out[inside.clone()]
            .iter()
            .zip(&expected[inside.clone()])
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-4, "{from} → {to}: {worst}");
        if from > 2 * to {
            let gone = whole(from, to, &tones(from, 3.0, &[9_000.0, 15_000.0]));
            let left = gone[inside].iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(
                left < 1e-4,
                "{from} → {to}: {left} of what is above the limit is left"
            );
        }
    }
}

/// Against scipy, on speech; see `tests/golden/resample/make.py`.
#[test]
fn speech_is_resampled_as_by_scipy() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/resample/resample.safetensors"
    );
    let bytes = std::fs::read(path).unwrap();
    let golden = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let f32s = |name: &str| -> Vec<f32> {
        let data = golden.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    };
    for to in [16_000, 48_000] {
        let out = whole(22_050, to, &f32s("input"));
        let expected = f32s(&format!("to_{to}"));
        assert_eq!(out.len(), expected.len());
        let worst = out.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0, f32::max);
        assert!(worst < 1e-4, "22050 → {to}: {worst}");
    }
}

#[test]
fn lengths_are_exact() {
    for samples in [0, 1, 2, 100, 1763, 1764, 1765, 44_100] {
        let out = whole(44_100, 16_000, &vec![0.1; samples]);
        assert_eq!(out.len(), (samples * 160).div_ceil(441), "{samples}");
    }
    assert_eq!(whole(16_000, 16_000, &[0.5, -0.5]), [0.5, -0.5]);
}

#[test]
fn it_is_as_new_after_the_end() {
    let input = tones(44_100, 0.2, &[500.0]);
    let mut resampler = Resampler::new(44_100, 16_000).unwrap();
    let mut runs = [Vec::new(), Vec::new()];
    for out in &mut runs {
        resampler.push(&input, out).unwrap();
        resampler.finish(out).unwrap();
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn absurd_rates_are_refused() {
    for rate in [0, 1, 999, 384_001, u32::MAX] {
        let error = Resampler::new(rate, 16_000).err().unwrap().to_string();
        assert!(error.contains("384000"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn chunked_is_whole(
        rate in prop::sample::select(vec![8_000_u32, 11_025, 16_000, 22_050, 44_100, 48_000]),
        blocks in prop::collection::vec(0_usize..3_000, 1..12),
    ) {
        let total: usize = blocks.iter().sum();
        let input: Vec<f32> = (0..total).map(|i| ((i * i) as f32 * 0.37).sin() * 0.5).collect();
        let mut resampler = Resampler::new(rate, 16_000).unwrap();
        let (mut out, mut rest) = (Vec::new(), input.as_slice());
        for block in blocks {
            let (now, later) = rest.split_at(block);
            resampler.push(now, &mut out).unwrap();
            rest = later;
        }
        resampler.finish(&mut out).unwrap();
        prop_assert_eq!(out, whole(rate, 16_000, &input));
    }
}
