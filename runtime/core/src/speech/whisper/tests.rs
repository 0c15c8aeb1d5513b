//! Whisper base against transformers; needs the bundle that `make test` converts.

use std::path::Path;

use bevel_manifest::{Decode, Input};
use bevel_prep::audio::Resampler;
use bevel_tests::{bundle, needs, root, shared};

use super::*;
use crate::bundle::ModelFile;
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::model::tests::whisper;
use crate::speech::sound::Sound;
use crate::speech::tokens::Tokens;

fn load(folder: &Path, max_tokens: Option<usize>) -> Whisper {
    let options = Options {
        max_tokens,
        ..Options::default()
    };
    load_with(folder, "en", options)
}

fn load_with(folder: &Path, language: &str, mut options: Options) -> Whisper {
    options.variant = Some("fp32".into());
    let bundle = Bundle::load(folder).unwrap();
    let manifest = bundle.manifest();
    let (Input::Audio(input), Decode::Transcribe(spec)) = (&manifest.input, &manifest.decode)
    else {
        panic!("{manifest:?}");
    };
    let file = bundle.file(spec.tokenizer()).unwrap();
    let mut tokens = |_| Tokens::load(file, spec);
    Whisper::load(&bundle, &options, input, spec, language, &mut tokens).unwrap()
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
    let file = root().join("tests/golden/optimum/whisper/tokenizer.json");
    let tokens = Tokens::load(&ModelFile::from(file.as_path()), &whisper(&[])).unwrap();
    let options = Options::default();
    let many = Prompt::new(&whisper(&[("en", 10), ("de", 11)]), &options, &tokens).unwrap();
    assert_eq!(many.ids(Some(11)), [1, 11, 3, 4]);
    let one = Prompt::new(&whisper(&[]), &options, &tokens).unwrap();
    assert_eq!(one.ids(None), [1, 4]);
    let mut options = Options::default();
    options.speech.timestamps = Timestamps::Segments;
    let times = Prompt::new(&whisper(&[("en", 10)]), &options, &tokens).unwrap();
    assert_eq!(times.ids(Some(10)), [1, 10, 3]);
    options.speech.translate = true;
    let refused = Prompt::new(&whisper(&[]), &options, &tokens).unwrap_err();
    assert_eq!(refused.kind(), bevel_manifest::ErrorKind::Unsupported);
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
        let (decoded, text) = whisper.hear(&[&samples], &mut timing).unwrap().remove(0);
        let expected_ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
        assert_eq!(decoded.ids, expected_ids, "{file}");
        assert_eq!(text, expected["text"], "{file}");
    }
}

/// The caller's limit cuts the same tokens, and nothing of one piece is left for the next.
#[test]
fn a_limit_cuts_and_pieces_are_apart() {
    let folder = needs!(bundle("whisper-base"));
    let speech = needs!(shared("data/speech"));
    let mut whisper = load(&folder, Some(3));
    let language = whisper.language.get().map(|(_, id)| id);
    assert_eq!(whisper.prompt.ids(language), [50258, 50259, 50359, 50363]);
    for (file, expected) in [
        ("spk1_snt1.wav", [440, 1440, 1920]),
        ("spk1_snt6.wav", [440, 30857, 362]),
    ] {
        let mut timing = Timing::default();
        let samples = samples(&speech.join(file));
        let (decoded, _) = whisper.hear(&[&samples], &mut timing).unwrap().remove(0);
        assert_eq!(decoded.ids, expected, "{file}");
        assert!(!timing.prepare.is_zero() && !timing.run.is_zero());
    }
}

/// What openai-whisper makes of the same files: see `tests/golden/whisper-base/make_times.py`.
fn times() -> serde_json::Value {
    let golden = std::fs::read(root().join("tests/golden/whisper-base/times.json")).unwrap();
    serde_json::from_slice(&golden).unwrap()
}

fn asking(timestamps: Timestamps) -> Options {
    let mut options = Options::default();
    options.speech.timestamps = timestamps;
    options
}

#[test]
fn segments_are_those_of_openai_whisper() {
    let folder = needs!(bundle("whisper-base"));
    let speech = needs!(shared("data/speech"));
    let mut whisper = load_with(&folder, "en", asking(Timestamps::Segments));
    for (file, expected) in times()["files"].as_object().unwrap() {
        let samples = match file.as_str() {
            // As make_times.py joins them.
            "joined" => {
                let clips = (1..=6).flat_map(|i| {
                    let clip = samples(&speech.join(format!("spk1_snt{i}.wav")));
                    [clip, vec![0.0; 8_000]].concat()
                });
                let mut joined = clips.collect::<Vec<_>>().repeat(2);
                joined.truncate(joined.len() - 8_000);
                joined
            }
            file => samples(&speech.join(file)),
        };
        let found = whisper.segments(&samples, &mut Timing::default()).unwrap();
        eprintln!("{file} {found:?}\n{}", expected["segments"]);
        let expected = expected["segments"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{file}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.text, expected[2].as_str().unwrap(), "{file}");
            // Behind the first window the reference hears another spectrogram: the whole file's.
            if expected[1].as_f64().unwrap() > 30.0 {
                continue;
            }
            for (found, expected) in [(found.start, &expected[0]), (found.end, &expected[1])] {
                let expected = expected.as_f64().unwrap().min(seconds(&samples));
                assert!(
                    (found - expected).abs() < 0.021,
                    "{file}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn words_and_language_are_those_of_openai_whisper() {
    let folder = needs!(bundle("whisper-base"));
    let speech = needs!(shared("data/speech"));
    let mut whisper = load_with(&folder, "auto", asking(Timestamps::Words));
    for (file, expected) in times()["files"].as_object().unwrap() {
        let Some(words) = expected["words"].as_array() else {
            continue;
        };
        whisper.start();
        let samples = samples(&speech.join(file));
        let (found, _) = whisper
            .hear(&[&samples], &mut Timing::default())
            .unwrap()
            .remove(0);
        let language = whisper.language.get().map(|(code, _)| code);
        assert_eq!(language, expected["language"].as_str(), "{file}");
        let heard_s = seconds(&samples);
        let found = words::aligned(&found, &whisper.tokens, "en", heard_s).unwrap();
        eprintln!("{file} {found:?}\n{words:?}");
        assert_eq!(found.len(), words.len(), "{file}");
        for (found, expected) in found.iter().zip(words) {
            assert_eq!(found.text, expected[0].as_str().unwrap(), "{file}");
            let pairs = [(found.start, &expected[1]), (found.end, &expected[2])];
            for (found, expected) in pairs {
                let expected = expected.as_f64().unwrap().min(heard_s);
                assert!(
                    (found - expected).abs() < 0.041,
                    "{file}: {found} {expected}"
                );
            }
        }
    }
}

/// Without a detector before it: what no one says is no text, neither in the window nor in a short one.
#[test]
fn silence_noise_and_tones_are_not_words() {
    let folder = needs!(bundle("whisper-base"));
    let mut seed = 1_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let tone = |i: usize, hz: f32| (i as f32 * hz * std::f32::consts::TAU / 16_000.0).sin();
    let hum = |i| (1..8).map(|k| 0.05 * tone(i, 50.0 * k as f32)).sum();
    // A chord that rises every second.
    let chord = |i: usize| {
        let rise = 1.0 + (i / 16_000) as f32 * 0.12;
        let tones = [262.0, 330.0, 392.0].map(|hz| 0.1 * tone(i % 16_000, hz * rise));
        tones.iter().sum()
    };
    let length = 80_000;
    let tick = |i: usize| if i % 8_000 < 20 { 0.5 } else { 0.0 };
    let sounds: [(&str, Vec<f32>); 7] = [
        ("silence", vec![0.0; length]),
        ("white noise", (0..length).map(|_| 0.3 * random()).collect()),
        (
            "faint noise",
            (0..length).map(|_| 3e-3 * random()).collect(),
        ),
        (
            "a tone",
            (0..length).map(|i| 0.3 * tone(i, 440.0)).collect(),
        ),
        ("hum", (0..length).map(hum).collect()),
        ("chords", (0..length).map(chord).collect()),
        ("ticks", (0..length).map(tick).collect()),
    ];
    let mut whisper = load_with(&folder, "auto", Options::default());
    for margin in [None, Some(3 * 16_000)] {
        whisper.margin = margin;
        for (name, samples) in &sounds {
            let mut timing = Timing::default();
            let (decoded, text) = whisper.hear(&[samples], &mut timing).unwrap().remove(0);
            assert_eq!(text, "", "{name} {margin:?}: {decoded:?}");
        }
    }
}
