//! Whisper base against transformers; needs the bundle that `make test` converts.

use std::path::Path;

use bevel_manifest::{Decode, Input};
use bevel_prep::audio::Resampler;
use bevel_tests::{bundle, needs, root, shared};

use super::*;
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::model::tests::whisper;
use crate::speech::sound::Sound;
use crate::speech::tokens::Tokens;

fn load(folder: &Path, max_tokens: Option<usize>) -> Whisper {
    let options = Options {
        variant: Some("fp32".into()),
        max_tokens,
        ..Options::default()
    };
    let bundle = Bundle::load(folder).unwrap();
    let manifest = bundle.manifest();
    let (Input::Audio(input), Decode::Transcribe(spec)) = (&manifest.input, &manifest.decode)
    else {
        panic!("{manifest:?}");
    };
    let path = bundle.file(spec.tokenizer()).unwrap();
    let mut tokens = |_| Tokens::load(path, spec);
    Whisper::load(&bundle, &options, input, spec, "en", &mut tokens).unwrap()
}

/// A whole file at 16 kHz, without looking for pauses.
fn samples(path: &Path) -> Vec<f32> {
    let mut file = Sound::open(path).unwrap();
    let (mut block, mut out) = (Vec::new(), Vec::new());
    while file.read(&mut block).unwrap() {}
    let mut resampler = Resampler::new(file.sample_rate_hz(), SAMPLE_RATE_HZ).unwrap();
    resampler.push(&block, &mut out).unwrap();
    resampler.finish(&mut out).unwrap();
    out
}

/// As `generate` of transformers prompts a multilingual and an English-only checkpoint.
#[test]
fn a_model_of_one_language_is_not_told_it() {
    let many = whisper(&[("en", 10), ("de", 11)]);
    assert_eq!(prompt(&many, "de"), [1, 11, 3, 4]);
    assert_eq!(prompt(&whisper(&[]), "en"), [1, 4]);
}

/// See `tests/golden/whisper-base/make.py`.
#[test]
fn tokens_are_those_of_transformers() {
    let folder = needs!(bundle("whisper-base"));
    let speech = needs!(shared("data/speech"));
    let mut whisper = load(&folder, None);
    let golden = std::fs::read(root().join("tests/golden/whisper-base/greedy.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    for (file, expected) in golden["files"].as_object().unwrap() {
        let mut timing = Timing::default();
        let samples = samples(&speech.join(file));
        let ids = whisper.ids(&samples, &mut timing).unwrap();
        let expected_ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
        assert_eq!(ids, expected_ids, "{file}");
        assert_eq!(
            whisper.tokens.text(&ids).unwrap(),
            expected["text"],
            "{file}"
        );
    }
}

/// The caller's limit cuts the same tokens, and nothing of one piece is left for the next.
#[test]
fn a_limit_cuts_and_pieces_are_apart() {
    let folder = needs!(bundle("whisper-base"));
    let speech = needs!(shared("data/speech"));
    let mut whisper = load(&folder, Some(3));
    assert_eq!(whisper.prompt, [50258, 50259, 50359, 50363]);
    for (file, expected) in [
        ("spk1_snt1.wav", [440, 1440, 1920]),
        ("spk1_snt6.wav", [440, 30857, 362]),
    ] {
        let mut timing = Timing::default();
        let samples = samples(&speech.join(file));
        let ids = whisper.ids(&samples, &mut timing).unwrap();
        assert_eq!(ids, expected, "{file}");
        assert!(!timing.prepare.is_zero() && !timing.run.is_zero());
    }
}
