//! Speech families on small checkpoints: texts as transformers writes them down, and WaveNet sample by
//! sample.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevel::{Bundle, Options, Session, Tensor, TensorData};
use bevel_tests::{arg, bevel, bevel_json, needs, root, shared, success};
use safetensors::SafeTensors;

/// A checkpoint in a folder for the time of a test.
fn converted(checkpoint: &Path, more: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    let arguments = ["convert", arg(checkpoint), "-o", arg(&bundle)];
    success(&bevel().args(arguments).args(more).output().unwrap());
    (out, bundle)
}

/// `tests/golden/sound`: see `make.py` there.
#[test]
fn texts_are_those_of_transformers() {
    let golden = root().join("tests/golden/sound");
    let text = std::fs::read(golden.join("expected.json")).unwrap();
    let expected: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap();
    assert_eq!(expected.len(), 2);
    let sound = golden.join("noise.wav");
    for (family, expected) in expected {
        let (_out, bundle) = converted(&golden.join(&family), &[]);
        let answers = bevel_json(&["run", arg(&bundle), arg(&sound), "--json"]);
        assert_eq!(answers[0]["text"], expected, "{family}");
    }
}

/// `tests/golden/ctc`: see `make.py` there.
#[test]
fn words_and_their_times_are_those_of_transformers() {
    let golden = root().join("tests/golden");
    let text = std::fs::read(golden.join("ctc/sound.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let sound = golden.join("sound/noise.wav");
    let (_out, bundle) = converted(&golden.join("sound/wav2vec2"), &[]);
    let run = ["run", arg(&bundle), arg(&sound), "--json"];

    let answers = bevel_json(&[&run[..], &["--timestamps", "words"]].concat());
    let words = answers[0]["segments"][0]["words"].as_array().unwrap();
    let expected_words = expected["words"].as_array().unwrap();
    assert_eq!(words.len(), expected_words.len());
    for (word, expected) in words.iter().zip(expected_words) {
        assert_eq!(word["text"], expected[0]);
        for (at, key) in ["start", "end"].into_iter().enumerate() {
            let (found, expected) = (word[key].as_f64(), expected[at + 1].as_f64());
            let gap = (found.unwrap() - expected.unwrap()).abs();
            assert!(gap < 1e-6, "{word} {expected:?}");
        }
        let score = word["score"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&score), "{word}");
    }

    let hot = bevel_json(&[&run[..], &["--hot-word", "salsa", "--hot-word", "Sara"]].concat());
    let hot = hot[0]["text"].as_str().unwrap();
    assert!(hot.contains("SALSA") || hot.contains("SARA"), "{hot}");
    let prompted = bevel().args(run).args(["--prompt", "x"]).output().unwrap();
    assert_eq!(prompted.status.code(), Some(6));
}

#[test]
fn deep_speech_writes_text_where_its_features_are_said() {
    let golden = root().join("tests/golden");
    let text = std::fs::read(golden.join("ctc/sound.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let folder = golden.join("ctc/deepspeech");
    let labels = folder.join("labels.txt");
    let heard = ["--set", "hop_samples=320", "--set", "window_samples=512"];
    let (_out, bundle) = converted(&folder, &[&heard[..], &["--labels", arg(&labels)]].concat());
    let sound = golden.join("sound/noise.wav");
    let answers = bevel_json(&["run", arg(&bundle), arg(&sound), "--json"]);
    assert_eq!(answers[0]["text"], expected["deepspeech"]);

    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    let convert = ["convert", arg(&folder), "-o", arg(&bundle)];
    struct Case {
        name: &'static str,
        arguments: Vec<&'static str>,
        says: &'static str,
    }
    let cases = [
        Case {
            name: "no features",
            arguments: vec!["--task", "transcribe"],
            says: "what the model was trained to hear",
        },
        Case {
            name: "no characters",
            arguments: heard.to_vec(),
            says: "needs the characters",
        },
        Case {
            name: "a blank beyond all classes",
            arguments: [&heard[..], &["--set", "blank_id=8"]].concat(),
            says: "expected one of 8 classes",
        },
    ];
    for case in cases {
        let found = bevel().args(convert).args(case.arguments).output().unwrap();
        let error = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(!found.status.success(), "{}", case.name);
        assert!(error.contains(case.says), "{}: {error}", case.name);
    }
}

/// Queues keep their size, so one sample costs the same however long the past is.
#[test]
fn wavenet_answers_the_same_sample_by_sample() {
    let folder = needs!(shared("golden")).join("speech/wavenet");
    let (_out, bundle) = converted(&folder, &[]);
    let bundle = Bundle::load(&bundle).unwrap();
    let step = bundle.graph(None, "step").unwrap();
    let mut step = Session::load(step, &Options::default()).unwrap();

    let recorded = std::fs::read(folder.join("io.safetensors")).unwrap();
    let recorded = SafeTensors::deserialize(&recorded).unwrap();
    let ids = recorded.tensor("input.mu_law_ids").unwrap();
    let ids = ids.data().chunks_exact(8);
    let ids: Vec<_> = ids
        .map(|id| i64::from_le_bytes(id.try_into().unwrap()))
        .collect();
    let logits = recorded.tensor("output.logits").unwrap();
    let logits = logits.data().chunks_exact(4);
    let logits: Vec<_> = logits
        .map(|x| f32::from_le_bytes(x.try_into().unwrap()))
        .collect();

    let empty = |info: &bevel::TensorInfo| {
        let shape: Vec<_> = info.shape.iter().map(|n| n.unwrap_or(1)).collect();
        let zeros = vec![0.0; shape.iter().product()];
        let queue = Tensor::new(shape, TensorData::F32(zeros)).unwrap();
        (info.name.clone(), queue)
    };
    let inputs = step.inputs().iter();
    let mut inputs: BTreeMap<_, _> = inputs
        .filter(|i| i.name.starts_with("queue."))
        .map(empty)
        .collect();
    assert!(!inputs.is_empty());
    let mut answered = 0;
    for (at, id) in ids.iter().enumerate() {
        let id = Tensor::new(vec![1, 1], TensorData::I64(vec![*id])).unwrap();
        inputs.insert("mu_law_ids".into(), id);
        for (name, value) in step.run_tensors(&inputs).unwrap() {
            match name.strip_prefix("next_") {
                Some(queue) => assert_eq!(
                    inputs.insert(queue.into(), value.clone()).unwrap().shape,
                    value.shape
                ),
                None => {
                    let expected = logits.iter().skip(at).step_by(ids.len());
                    assert_eq!(value.data.len(), expected.len());
                    answered += 1;
                    for (a, b) in value.data.to_f64().iter().zip(expected) {
                        let b = f64::from(*b);
                        assert!(
                            (a - b).abs() <= 1e-4 + 1e-4 * b.abs(),
                            "sample {at}: {a} {b}"
                        );
                    }
                }
            }
        }
    }
    assert_eq!(answered, ids.len());
}
