//! Speech as Hugging Face Optimum exports it, converted and run: see `tests/golden/optimum/make.py`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Output;

use bevel::speech::Timestamps;
use bevel::{ErrorKind, Options, Transcribe};
use bevel_tests::{arg, bevel, root, success};
use serde_json::Value;

const RATE: u32 = 16_000;

fn golden() -> PathBuf {
    root().join("tests/golden/optimum")
}

/// A copy of an export without some files, in which one text stands for another in the names of graphs.
fn copy(name: &str, out: &[&str], [from, to]: [&str; 2]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(golden().join(name)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if out.contains(&name) {
            continue;
        }
        let name = match name.ends_with(".onnx") {
            true => name.replace(from, to),
            false => name.to_owned(),
        };
        let to = folder.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&path, to).unwrap();
    }
    folder
}

fn convert(from: &Path, bundle: &Path, more: &[&str]) -> Output {
    let arguments = [
        "convert",
        arg(from),
        "-o",
        arg(bundle),
        "--quantize",
        "none",
    ];
    bevel().args(arguments).args(more).output().unwrap()
}

fn tone(hertz: f64) -> Vec<f32> {
    let time = |i: u32| f64::from(i) / f64::from(RATE);
    let value = |i| (0.3 * (2.0 * std::f64::consts::PI * hertz * time(i)).sin()) as f32;
    (0..RATE).map(value).collect()
}

fn options() -> Options {
    let mut options = Options::default();
    options.language = Some("en".into());
    options
}

#[test]
fn texts_are_those_of_transformers() {
    struct Case {
        name: &'static str,
        model: &'static str,
        /// What is replaced in the names of graphs.
        renamed: [&'static str; 2],
        /// What is converted, inside the folder.
        from: &'static str,
    }
    let expected = std::fs::read(golden().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let cases = [
        Case {
            name: "two decoders",
            model: "whisper",
            renamed: ["", ""],
            from: "",
        },
        Case {
            name: "a merged decoder",
            model: "moonshine",
            renamed: ["", ""],
            from: "",
        },
        Case {
            name: "an ending",
            model: "moonshine",
            renamed: [".onnx", "_quantized.onnx"],
            from: "",
        },
        Case {
            name: "graphs in a folder of their own",
            model: "whisper",
            renamed: ["", ""],
            from: "onnx/encoder_model.onnx",
        },
    ];
    for case in cases {
        let folder = copy(case.model, &[], case.renamed);
        let folder = folder.path();
        if case.from.starts_with("onnx/") {
            std::fs::create_dir(folder.join("onnx")).unwrap();
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|ending| ending == "onnx") {
                    let name = path.file_name().unwrap();
                    std::fs::rename(&path, folder.join("onnx").join(name)).unwrap();
                }
            }
        }
        let bundle = folder.join("out.bevel");
        success(&convert(&folder.join(case.from), &bundle, &[]));
        let mut transcribe = Transcribe::open(&bundle, &options()).unwrap();
        let sounds = expected[case.model].as_array().unwrap();
        assert_eq!(sounds.len(), 2);
        for sound in sounds {
            let samples = tone(sound["hertz"].as_f64().unwrap());
            let heard = transcribe.run(&samples, RATE).unwrap();
            assert_eq!(heard.text, sound["text"].as_str().unwrap(), "{}", case.name);
        }
    }
}

#[test]
fn words_have_no_times() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("out.bevel");
    success(&convert(&golden().join("whisper"), &bundle, &[]));
    let mut options = options();
    options.speech.timestamps = Timestamps::Words;
    let error = Transcribe::open(&bundle, &options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("cross_attentions"), "{error}");
}

#[test]
fn what_is_missing_or_of_another_model_is_told() {
    struct Case {
        name: &'static str,
        without: &'static [&'static str],
        more: &'static [&'static str],
        /// What `config.json` says instead.
        config: [&'static str; 2],
        code: i32,
        says: &'static str,
    }
    let cases = [
        Case {
            name: "no past",
            without: &["decoder_with_past_model.onnx"],
            more: &[],
            config: ["", ""],
            code: 6,
            says: "automatic-speech-recognition-with-past",
        },
        Case {
            name: "another configuration",
            without: &[],
            more: &[],
            config: ["\"num_mel_bins\": 80", "\"num_mel_bins\": 128"],
            code: 3,
            says: "128 for axis 1 of `input_features`, which is 80",
        },
        Case {
            name: "a margin for a fixed window",
            without: &[],
            more: &["--set", "margin_s=2"],
            config: ["", ""],
            code: 2,
            says: "whole window",
        },
        Case {
            name: "another task",
            without: &[],
            more: &["--task", "detect"],
            config: ["", ""],
            code: 6,
            says: "transcribe",
        },
        Case {
            name: "another task of an unknown model",
            without: &[],
            more: &["--task", "transcribe"],
            config: ["\"model_type\": \"whisper\"", "\"model_type\": \"new\""],
            code: 6,
            says: "tensors",
        },
    ];
    for case in cases {
        let folder = copy("whisper", case.without, ["", ""]);
        let config = folder.path().join("config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace(case.config[0], case.config[1])).unwrap();
        let output = convert(folder.path(), &folder.path().join("out.bevel"), case.more);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(case.code),
            "{}: {error}",
            case.name
        );
        assert!(error.contains(case.says), "{}: {error}", case.name);
    }
}

#[test]
fn a_model_of_text_answers_tensors() {
    let folder = copy("whisper", &[], ["", ""]);
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("\"model_type\": \"whisper\"", "\"model_type\": \"t5\"");
    std::fs::write(&config, text).unwrap();
    let bundle = folder.path().join("out.bevel");
    let report = success(&convert(folder.path(), &bundle, &["--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["task"], "tensors");
    assert!(bundle.join("encoder.onnx").is_file() && bundle.join("decoder.onnx").is_file());
}
