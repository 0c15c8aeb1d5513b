//! Whisper base on real speech. Needs the bundle that `make test` converts, and `../shared/data/speech`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel::{Bundle, ErrorKind, Options, Transcribe};
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
