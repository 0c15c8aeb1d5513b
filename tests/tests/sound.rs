//! Speech families on small checkpoints: texts as transformers writes them down, and WaveNet sample by
//! sample.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevel::{Bundle, Devices, Session, Tensor, TensorData};
use bevel_tests::{arg, bevel, bevel_json, needs, root, shared, success};
use safetensors::SafeTensors;

/// A checkpoint in a folder for the time of a test.
fn converted(checkpoint: &Path) -> (tempfile::TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    let arguments = ["convert", arg(checkpoint), "-o", arg(&bundle)];
    success(&bevel().args(arguments).output().unwrap());
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
        let (_out, bundle) = converted(&golden.join(&family));
        let answers = bevel_json(&["run", arg(&bundle), arg(&sound), "--json"]);
        assert_eq!(answers[0]["text"], expected, "{family}");
    }
}

/// Queues keep their size, so one sample costs the same however long the past is.
#[test]
fn wavenet_answers_the_same_sample_by_sample() {
    let folder = needs!(shared("golden")).join("speech/wavenet");
    let (_out, bundle) = converted(&folder);
    let bundle = Bundle::load(&bundle).unwrap();
    let step = bundle.graph(None, "step").unwrap();
    let mut step = Session::load(step, &Devices::default()).unwrap();

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
