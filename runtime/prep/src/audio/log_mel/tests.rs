use super::*;

/// Whisper's numbers.
fn whisper(bins: u32, frames: Option<u32>) -> LogMel {
    let spec = MelSpec {
        window_samples: 400,
        hop_samples: 160,
        bins,
        frames,
    };
    LogMel::new(&spec, 16_000)
}

/// The sound of `tests/golden/log-mel/make.py`.
fn sound(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut at = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (f64::from(state >> 8) / 16_777_216.0 - 0.5) / 64.0;
        let saw = ((i * 37 % 256) as f64 - 128.0) / 512.0;
        ((saw + noise) * 0.25_f64.powi((i / 1600 % 8) as i32)) as f32
    };
    (0..count).map(&mut at).collect()
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    let chunks = bytes.chunks_exact(4);
    chunks
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

/// Against transformers; see `tests/golden/log-mel/make.py`.
#[test]
fn features_are_those_of_transformers() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/log-mel/log-mel.safetensors"
    );
    let bytes = std::fs::read(path).unwrap();
    let golden = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut cases = 0;
    for key in golden.names() {
        let Some(name) = key.strip_suffix(".features") else {
            continue;
        };
        cases += 1;
        let parts: Vec<_> = name.split('.').collect();
        let samples = match parts[0] {
            "silence" => vec![0.0; 16_000],
            count => sound(count.parse().unwrap()),
        };
        let bins = parts[1][1..].parse().unwrap();
        let frames = (parts.get(2) != Some(&"whole")).then_some(3000);
        let mut found = Vec::new();
        let [_, columns] = whisper(bins, frames).write(&samples, &mut found);
        let expected = f32s(golden.tensor(key).unwrap().data());
        let kept = golden.tensor(&format!("{name}.frames")).unwrap();
        let kept: Vec<_> = kept
            .data()
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize)
            .collect();
        let mut worst = 0.0_f32;
        for (row, expected) in expected.chunks(kept.len()).enumerate() {
            for (frame, expected) in kept.iter().zip(expected) {
                worst = worst.max((found[row * columns + frame] - expected).abs());
            }
        }
        eprintln!("{name}: {worst:e}");
        assert!(worst <= 1e-4, "{name}: {worst}");
    }
    assert_eq!(cases, 18);
}

#[test]
fn frames_are_even_and_sound_of_any_length_is_heard() {
    let mut mel = whisper(80, None);
    let mut out = Vec::new();
    for (samples, frames) in [
        (0, 2),
        (1, 2),
        (160, 2),
        (320, 2),
        (321, 4),
        (16_000, 100),
        (16_001, 102),
    ] {
        assert_eq!(
            mel.write(&sound(samples), &mut out),
            [80, frames],
            "{samples}"
        );
        assert!(out.iter().all(|v| v.is_finite()), "{samples}");
    }
    // A window that is much longer than the sound.
    let spec = MelSpec {
        window_samples: 4096,
        hop_samples: 16,
        bins: 3,
        frames: Some(2),
    };
    let mut mel = LogMel::new(&spec, 8_000);
    assert_eq!(mel.write(&[0.5; 100], &mut out), [3, 2]);
    assert!(out.iter().all(|v| v.is_finite()));
}

#[test]
fn what_lies_behind_the_last_frame_changes_nothing() {
    let mut mel = whisper(80, Some(100));
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    mel.write(&sound(20_000), &mut whole);
    mel.write(&sound(16_000), &mut cut);
    assert_eq!(whole, cut);
}

#[test]
fn the_ends_are_mirrored_without_their_own_sample() {
    let places: Vec<_> = (-4..8).map(|at| mirrored(at, 4)).collect();
    assert_eq!(places, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
    assert_eq!(mirrored(-3, 1), 1);
}
