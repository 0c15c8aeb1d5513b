//! Whisper's front end: the case of `../shared/golden`, and its memory.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel_manifest::MelSpec;
use bevel_prep::audio::LogMel;
use bevel_tests::{Tolerance, golden, needs, shared};

fn whisper() -> LogMel {
    let spec = MelSpec {
        window_samples: 400,
        hop_samples: 160,
        bins: 80,
        frames: Some(3000),
    };
    LogMel::new(&spec, 16_000)
}

#[test]
fn whisper_log_mel_passes() {
    let path = needs!(shared("golden/speech/whisper-log-mel/io.safetensors"));
    let tensors = golden(&path);
    let (_, samples) = &tensors["input.pcm_16khz"];
    let samples: Vec<_> = samples.iter().map(|v| *v as f32).collect();
    let (shape, expected) = &tensors["output.input_features"];
    let mut found = Vec::new();
    let [bins, frames] = whisper().write(&samples, &mut found);
    assert_eq!(*shape, [1, bins, frames]);
    let found: Vec<_> = found.into_iter().map(f64::from).collect();
    Tolerance::Close.check("input_features", &found, expected);
}

#[test]
fn nothing_is_allocated_after_warm_up() {
    let mut mel = whisper();
    let sound: Vec<_> = (0..480_000_u32).map(|i| (i % 97) as f32 / 97.0).collect();
    let mut out = Vec::new();
    mel.write(&sound, &mut out);
    let counted = allocation_counter::measure(|| {
        for samples in [1, 399, 16_000, 480_000] {
            mel.write(&sound[..samples], &mut out);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
