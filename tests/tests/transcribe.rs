//! Moonshine tiny and Whisper base on real speech. Needs `models/.cache/moonshine-tiny` (`bevel models
//! pull moonshine-tiny`), the bundle `whisper-base` that `make test` converts, and
//! `../shared/data/speech`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel::{Answer, Bundle, ErrorKind, Options, Sample, Transcribe};
use bevel_prep::score::{Edits, normalize_words, word_errors};
use bevel_tests::{arg, bevel_json, needs, pulled, root, shared};

/// The model's folder and the recordings, where both are there.
fn models() -> Option<(PathBuf, PathBuf)> {
    Some((pulled("moonshine-tiny")?, shared("data/speech")?))
}

fn bundle(model: &Path) -> Bundle {
    let recipe = root().join("models/transcribe/moonshine-tiny.toml");
    Bundle::load_with_recipe(model, &recipe).unwrap()
}

fn transcribe(model: &Path) -> Transcribe {
    Transcribe::load(&bundle(model), &Options::default()).unwrap()
}

/// Edits over the recordings, of whatever writes a file down.
fn edits(speech: &Path, mut text: impl FnMut(&Path) -> String) -> Edits {
    let mut all = Edits::default();
    let transcripts = std::fs::read_to_string(speech.join("transcripts.tsv")).unwrap();
    for line in transcripts.lines() {
        let (file, expected) = line.split_once('\t').unwrap();
        let text = text(&speech.join(file));
        let edits = word_errors(expected, &normalize_words(&text));
        let (total, words) = (edits.total(), edits.reference);
        eprintln!("{file}: {total} of {words}: {text}");
        all += edits;
    }
    eprintln!("WER {:.4}", all.rate());
    all
}

#[test]
fn word_error_rate_is_that_of_plain_onnx_runtime() {
    let (model, speech) = needs!(models());
    let mut transcribe = transcribe(&model);
    let all = edits(&speech, |file| {
        let transcript = transcribe.run_file(file).unwrap();
        assert_eq!(transcript.language, "en");
        for segment in &transcript.segments {
            assert!(segment.end <= transcript.duration + 1e-4, "{transcript:?}");
        }
        transcript.text
    });
    // Plain ONNX Runtime, whole files, without a detector: 2 edits in 82 words.
    assert!(all.rate() <= 0.025, "{all:?}");
}

#[test]
fn long_sound_is_cut_at_pauses() {
    let (model, _) = needs!(models());
    let mut transcribe = transcribe(&model);
    let mut segments = Vec::new();
    let file = model.join("two_cities.wav");
    let seconds = transcribe.run_file_with(&file, &mut |s| segments.push(s.clone()));
    let seconds = seconds.unwrap();
    assert!((seconds - 44.37).abs() < 0.01, "{seconds}");
    assert!(segments.len() >= 2, "{segments:?}");
    assert!(
        segments.iter().all(|s| s.end - s.start <= 20.0),
        "{segments:?}"
    );
    let text: Vec<_> = segments.iter().map(|s| s.text.as_str()).collect();
    // Dickens, as it is read there.
    let expected = "it was the best of times it was the worst of times it was the age of wisdom it \
        was the age of foolishness it was the epoch of belief it was the epoch of incredulity it \
        was the season of light it was the season of darkness it was the spring of hope it was the \
        winter of despair we had everything before us we had nothing before us we were all going \
        direct to heaven we were all going direct the other way in short the period was so far \
        like the present period that some of its noisiest authorities insisted on its being \
        received for good or for evil in the superlative degree of comparison only";
    let edits = word_errors(expected, &normalize_words(&text.join(" ")));
    assert!(edits.rate() <= 0.05, "{edits:?}: {}", text.join(" "));
    assert_eq!(transcribe.run_file(&file).unwrap().segments, segments);
}

#[test]
fn silence_and_noise_are_not_words() {
    let (model, _) = needs!(models());
    let mut transcribe = transcribe(&model);
    let mut seed = 1_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let noise: Vec<f32> = (0..32_000).map(|_| 0.05 * random()).collect();
    let hum = |i: u32| 0.1 * (i as f32 / 44_100.0 * 1256.6).sin();
    for (name, samples, rate) in [
        ("a sample", vec![0.0; 1], 16_000),
        ("a tenth of a second", vec![0.0; 1_600], 16_000),
        ("silence", vec![0.0; 80_000], 16_000),
        ("silence at 48 kHz", vec![0.0; 96_000], 48_000),
        ("noise", noise, 16_000),
        ("a hum", (0..132_300).map(hum).collect(), 44_100),
    ] {
        let transcript = transcribe.run(&samples, rate).unwrap();
        assert_eq!(transcript.text, "", "{name}");
        assert!(transcript.segments.is_empty(), "{name}");
        let seconds = samples.len() as f64 / f64::from(rate);
        assert!((transcript.duration - seconds).abs() < 1e-9, "{name}");
    }
}

#[test]
fn every_front_door_gives_the_same_text() {
    let (model, speech) = needs!(models());
    let file = speech.join("spk1_snt1.wav");
    let expected = transcribe(&model).run_file(&file).unwrap();
    assert_eq!(expected.text, "The child almost hurt the small dog.");
    let expected = Answer::Transcribe(expected);
    let mut any = bevel::open(&bundle(&model), &Options::default()).unwrap();
    let samples = [Sample::SoundFile(&file), Sample::SoundFile(&file)];
    let answers = any.run(&samples).unwrap();
    assert!(answers.iter().all(|a| *a == expected), "{answers:?}");
    let json = serde_json::to_value(&answers[0]).unwrap();
    assert_eq!(json["text"], "The child almost hurt the small dog.");
    assert_eq!(json["language"], "en");
    assert!(json["segments"][0]["end"].as_f64().unwrap() > 2.0);
    let timing = any.timing();
    assert!(timing.run.as_nanos() > 0 && timing.prepare.as_nanos() > 0);
    let error = any.run(&[Sample::Text("hello")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
}

/// The same samples give the same text after anything else was heard.
#[test]
fn runs_do_not_leak_into_each_other() {
    let (model, speech) = needs!(models());
    let mut transcribe = transcribe(&model);
    let file = speech.join("spk1_snt6.wav");
    let first = transcribe.run_file(&file).unwrap();
    transcribe.run_file(&model.join("beckett.wav")).unwrap();
    for (samples, rate) in [(&[f32::NAN][..], 16_000), (&[0.0], 0), (&[], 16_000)] {
        let error = transcribe.run(samples, rate).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
    assert_eq!(transcribe.run_file(&file).unwrap(), first);
}

/// `max_tokens` bounds a piece, and a bundle without a detector gates by loudness.
#[test]
fn options_and_manifest_are_followed() {
    let (model, speech) = needs!(models());
    let file = speech.join("spk1_snt1.wav");
    let mut options = Options::default();
    options.max_tokens = Some(3);
    let mut short = Transcribe::load(&bundle(&model), &options).unwrap();
    assert_eq!(short.run_file(&file).unwrap().text, "The child almost");

    let recipe = root().join("models/transcribe/moonshine-tiny.toml");
    let text = std::fs::read_to_string(recipe).unwrap();
    let text: Vec<_> = text.lines().filter(|l| !l.starts_with("vad = ")).collect();
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("without-vad.toml");
    std::fs::write(&recipe, text.join("\n")).unwrap();
    let bundle = Bundle::load_with_recipe(&model, &recipe).unwrap();
    let mut gated = Transcribe::load(&bundle, &Options::default()).unwrap();
    let text = gated.run_file(&file).unwrap().text;
    assert_eq!(text, "The child almost hurt the small dog.");
    assert_eq!(gated.run(&[0.0; 32_000], 16_000).unwrap().text, "");
}

#[test]
fn a_wrong_model_is_told() {
    let (model, _) = needs!(models());
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| {
        std::fs::copy(model.join(from), folder.path().join(to)).unwrap();
    };
    let (encoder, decoder) = ("encoder_model.ort", "decoder_model_merged.ort");
    let (vad, tokens) = ("silero_vad_16k_sequence.onnx", "tokenizer.bin");
    for file in [encoder, decoder, vad, tokens] {
        put(file, file);
    }
    for (from, to, says) in [
        (decoder, encoder, "`input_values`"),
        (encoder, decoder, "`input_ids`"),
        (encoder, vad, "not a graph"),
        ("beckett.wav", tokens, "tokenizer.bin"),
    ] {
        put(from, to);
        let error = Transcribe::load(&bundle(folder.path()), &Options::default());
        let error = error.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Model, "{error}");
        let text = error.to_string();
        assert!(text.contains(says), "{from} as {to}: {text}");
        put(to, to);
    }
}

#[test]
fn a_bundle_folder_is_opened() {
    let (model, speech) = needs!(models());
    let folder = tempfile::tempdir().unwrap();
    let manifest = bundle(&model).manifest().clone();
    for file in manifest.paths() {
        std::fs::copy(model.join(file), folder.path().join(file)).unwrap();
    }
    let text = manifest.to_toml().unwrap();
    std::fs::write(folder.path().join("bundle.toml"), text).unwrap();
    let mut transcribe = Transcribe::open(folder.path(), &Options::default()).unwrap();
    let transcript = transcribe.run_file(&speech.join("spk1_snt6.wav")).unwrap();
    assert_eq!(transcript.text, "The pencils have all been used.");
}

/// Through `bevel run`, in fp32.
#[test]
fn word_error_rate_of_whisper_is_that_of_transformers() {
    let (model, speech) = needs!(bevel_tests::bundle("whisper-base").zip(shared("data/speech")));
    let all = edits(&speech, |file| {
        let run = ["run", arg(&model), arg(file), "--variant", "fp32", "--json"];
        let answers = bevel_json(&run);
        assert_eq!(answers[0]["language"], "en");
        answers[0]["text"].as_str().unwrap().to_string()
    });
    // transformers and faster-whisper, whole files: 2 edits in 82 words.
    assert!(all.rate() <= 0.03, "{all:?}");
}
