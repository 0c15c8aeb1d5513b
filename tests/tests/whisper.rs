//! Whisper base on real speech. Needs the bundle that `make test` converts, and `../shared/data/speech`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel::{Bundle, ErrorKind, Options, Transcribe};
use bevel_prep::score::{normalize_words, word_errors};
use bevel_tests::{arg, bevel, bevel_json, bundle, needs, pulled, shared};

/// The bundle and the recordings, where both are there.
fn models() -> Option<(PathBuf, PathBuf)> {
    Some((bundle("whisper-base")?, shared("data/speech")?))
}

fn fp32(language: Option<&str>) -> Options {
    let mut options = Options::default();
    options.variant = Some("fp32".into());
    options.language = language.map(Into::into);
    options
}

/// The bundle in a folder of links, with other words in its `bundle.toml`.
fn altered(bundle: &Path, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(bundle).unwrap().map(|f| f.unwrap()) {
        let to = folder.path().join(file.file_name());
        std::os::unix::fs::symlink(file.path().canonicalize().unwrap(), to).unwrap();
    }
    let manifest = folder.path().join("bundle.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let other = text.replacen(from, to, 1);
    assert_ne!(other, text, "nothing says {from}");
    std::fs::remove_file(&manifest).unwrap();
    std::fs::write(&manifest, other).unwrap();
    folder
}

#[test]
fn the_language_is_chosen_and_answered() {
    let (model, speech) = needs!(models());
    let file = speech.join("spk1_snt1.wav");
    let run = ["run", arg(&model), arg(&file), "--variant", "fp32"];
    let answers = bevel_json(&[&run[..], &["--language", "de", "--json"]].concat());
    assert_eq!(answers[0]["language"], "de");
    assert!(!answers[0]["text"].as_str().unwrap().is_empty());
    let refused = bevel()
        .args(run)
        .args(["--language", "xx"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("`xx`") && error.contains("en, "), "{error}");
}

#[test]
fn a_minute_of_sound_goes_through_in_pieces_and_silence_is_no_word() {
    let (model, _) = needs!(models());
    let long = needs!(pulled("moonshine-tiny")).join("two_cities.wav");
    let mut transcribe = Transcribe::open(&model, &fp32(None)).unwrap();
    let transcript = transcribe.run_file(&long).unwrap();
    assert!(transcript.segments.len() >= 2, "{transcript:?}");
    for segment in &transcript.segments {
        assert!(segment.end - segment.start <= 30.0, "{segment:?}");
    }
    assert!(transcript.text.starts_with("It was the best of times"));
    assert!(
        transcript.text.ends_with("comparison only."),
        "{transcript:?}"
    );
    for (name, samples) in [("a sample", 1), ("two seconds", 32_000)] {
        let silence = transcribe.run(&vec![0.0; samples], 16_000).unwrap();
        assert_eq!(silence.text, "", "{name}");
    }
}

/// Ten minutes of each go by the detector, or through the model where that hears speech.
#[test]
fn ten_minutes_of_nothing_are_no_words() {
    let (model, _) = needs!(models());
    let mut seed = 1_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let tone = |i: u32| 0.3 * (i as f32 * 440.0 / 16_000.0 * std::f32::consts::TAU).sin();
    let length = 600 * 16_000;
    let mut transcribe = Transcribe::open(&model, &fp32(None)).unwrap();
    for (name, samples) in [
        ("silence", vec![0.0; length]),
        ("white noise", (0..length).map(|_| 0.3 * random()).collect()),
        (
            "a tone",
            (0..length as u32).map(|i| tone(i % 16_000)).collect(),
        ),
    ] {
        let transcript = transcribe.run(&samples, 16_000).unwrap();
        assert_eq!(
            (transcript.text.as_str(), transcript.duration),
            ("", 600.0),
            "{name}"
        );
    }
}

#[test]
fn segments_words_and_translation_are_asked_for_on_the_command_line() {
    let (model, speech) = needs!(models());
    let file = speech.join("spk1_snt3.wav");
    let run = [
        "run",
        arg(&model),
        arg(&file),
        "--variant",
        "fp32",
        "--json",
    ];
    let said = "At that high level, the air is pure.";
    let answers = bevel_json(&[&run[..], &["--timestamps", "words"]].concat());
    let segment = &answers[0]["segments"][0];
    assert_eq!(segment["text"], said);
    let words = segment["words"].as_array().unwrap();
    assert_eq!(words.len(), 8);
    assert_eq!(words[3]["text"], "level,");
    for word in words {
        let [start, end, score] = ["start", "end", "score"].map(|k| word[k].as_f64().unwrap());
        assert!(
            start < end && end <= 2.72 && score > 0.5 && score <= 1.0,
            "{word}"
        );
    }
    assert!(words.is_sorted_by_key(|w| w["start"].as_f64().unwrap()));
    let answers = bevel_json(&[&run[..], &["--timestamps", "segments"]].concat());
    assert_eq!(answers[0]["segments"][0]["text"], said);
    assert!(answers[0]["segments"][0].get("words").is_none());
    let more = [
        "--translate",
        "--prompt",
        "Physics.",
        "--hot-word",
        "altitude",
    ];
    let answers = bevel_json(&[&run[..], &more].concat());
    assert!(
        answers[0]["text"].as_str().unwrap().contains("pure"),
        "{answers:?}"
    );
    for (option, says) in [
        (["--beams", "5"], "CTC"),
        (["--language-model", "x.arpa"], "CTC"),
    ] {
        let output = bevel().args(run).args(option).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{option:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(says),
            "{option:?}"
        );
    }
}

/// Pieces that are heard together, and less than the whole window, change hardly a word.
#[test]
fn together_and_in_less_than_the_window_the_same_is_heard() {
    let (model, speech) = needs!(models());
    let folder = altered(
        &model,
        "max_tokens = 448",
        "max_tokens = 448\nmargin_s = 3.0",
    );
    let long = needs!(pulled("moonshine-tiny")).join("two_cities.wav");
    let text = |folder: &Path, file: &Path, options: &Options| {
        let mut transcribe = Transcribe::open(folder, options).unwrap();
        let transcript = transcribe.run_file(file).unwrap();
        assert_eq!(transcript.language, "en");
        normalize_words(&transcript.text)
    };
    let mut together = fp32(None);
    together.speech.batch = Some(4);
    let whole = text(&model, &long, &fp32(None));
    let batched = text(&model, &long, &together);
    let edits = word_errors(&whole, &batched);
    assert!(edits.total() <= 1, "{edits:?}\n{whole}\n{batched}");
    let mut full = fp32(None);
    full.speech.full_window = true;
    for i in 1..=6 {
        let file = speech.join(format!("spk1_snt{i}.wav"));
        let short = text(folder.path(), &file, &fp32(None));
        assert_eq!(short, text(folder.path(), &file, &full));
    }
}

#[test]
fn without_a_detector_a_bundle_gates_by_loudness() {
    let (model, speech) = needs!(models());
    let text = std::fs::read_to_string(model.join("bundle.toml")).unwrap();
    let start = text
        .find("[input.vad]")
        .expect("the recipe names a detector");
    let end = start + text[start..].find("\n\n").unwrap();
    let folder = altered(&model, &text[start..end], "");
    let mut transcribe = Transcribe::open(folder.path(), &fp32(None)).unwrap();
    let transcript = transcribe.run_file(&speech.join("spk1_snt6.wav")).unwrap();
    assert_eq!(transcript.text, "The pencils have all been used.");
    assert_eq!(transcribe.run(&[0.0; 32_000], 16_000).unwrap().text, "");
}

#[test]
fn numbers_that_do_not_fit_the_graphs_are_told() {
    let (model, _) = needs!(models());
    let mel = "[input.mel]\nwindow_samples = 400\nhop_samples = 160\nbins = 80\nframes = 3000\n";
    for (from, to, says) in [
        ("bins = 80", "bins = 128", "[1, 128, 3000]"),
        (mel, "", "has no mel"),
        ("start_id = 50258", "start_id = 60000", "token 60000"),
        (
            "tokenizer = \"tokenizer.json\"",
            "tokenizer = \"encoder.onnx\"",
            "tokenizer",
        ),
        ("model = \"whisper\"", "model = \"moonshine\"", ""),
    ] {
        let folder = altered(&model, from, to);
        let error = Bundle::load(folder.path())
            .and_then(|bundle| Transcribe::load(&bundle, &fp32(None)).map(|_| ()))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model, "{from}: {error}");
        assert!(error.to_string().contains(says), "{from}: {error}");
    }
}
