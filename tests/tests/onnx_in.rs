//! Plain ONNX in: models of old and new operator sets answer the same after conversion.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel_onnx::Graph;
use bevel_tests::{arg, bevel, bevel_json, needs, root, shared, success};
use serde_json::Value;

/// Models that `tests/golden/onnx/make.py` made.
fn models() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/golden/onnx")).unwrap();
    let mut models: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    models.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    models.sort();
    assert!(models.len() > 40, "{models:?}");
    models
}

fn convert(model: &Path, out: &Path, more: &[&str]) -> Value {
    let arguments = ["convert", arg(model), "-o", arg(out), "--json"];
    let output = bevel().args(arguments).args(more).output().unwrap();
    serde_json::from_str(&success(&output)).unwrap()
}

fn verify(bundle: &Path, io: &Path) {
    let arguments = ["verify", arg(bundle), "--io", arg(io)];
    println!("{}", success(&bevel().args(arguments).output().unwrap()));
}

/// Operators of the bundle's graph, one a node, those of bodies too.
fn operators(bundle: &Path) -> Vec<String> {
    let graph = Graph::load(&bundle.join("model.onnx")).unwrap();
    let mut operators = Vec::new();
    graph.visit(&mut |node| operators.push(node.op_type().to_owned()));
    operators
}

#[test]
fn every_operator_set_answers_as_it_did() {
    let out = tempfile::tempdir().unwrap();
    for model in models() {
        println!("{}", model.display());
        let bundle = out.path().join("model.bevel");
        let report = convert(&model, &bundle, &["--quantize", "none"]);
        assert_eq!(report["task"], "tensors");
        verify(&bundle, &model.with_extension("safetensors"));
        let found = operators(&bundle);
        // A body may not answer its own input.
        let through = model.ends_with("loop-11.onnx");
        let found: Vec<String> = found
            .into_iter()
            .filter(|op| !(through && op == "Identity"))
            .collect();
        for idle in [
            "Identity",
            "Dropout",
            "BatchNormalization",
            "Constant",
            "CastLike",
        ] {
            assert!(
                !found.contains(&idle.to_owned()),
                "{}: {found:?}",
                model.display()
            );
        }
        let graph = Graph::load(&bundle.join("model.onnx")).unwrap();
        let before = Graph::load(&model).unwrap().opsets[""];
        assert_eq!(graph.opsets[""], before.max(bevel_onnx::OPSET));
    }
}

#[test]
fn graphs_become_as_short_as_they_can() {
    let cases: [(&str, &[&str]); 8] = [
        ("batch-norm-07", &["Conv"]),
        ("dropout-07", &["Relu"]),
        ("softmax-of-axis-1-07", &["Flatten", "Softmax", "Reshape"]),
        ("softmax-of-the-last-11", &["Softmax"]),
        ("weights-as-inputs-09", &["Gemm"]),
        ("shape-arithmetic-11", &["Reshape", "Transpose"]),
        ("branch-that-is-known-11", &["Relu", "ReduceSum"]),
        ("gelu-of-22-22", &["Gelu"]),
    ];
    let out = tempfile::tempdir().unwrap();
    for (name, expected) in cases {
        let model = root().join(format!("tests/golden/onnx/{name}.onnx"));
        let bundle = out.path().join("model.bevel");
        convert(&model, &bundle, &["--quantize", "none"]);
        assert_eq!(operators(&bundle), expected, "{name}");
    }
}

#[test]
fn what_came_quantised_or_in_f16_stays_so() {
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("model.bevel");
    for name in ["quantised-13", "half-17"] {
        let model = root().join(format!("tests/golden/onnx/{name}.onnx"));
        let report = convert(&model, &bundle, &[]);
        assert_eq!(report["chosen"], "as-shipped", "{name}");
        let arguments = [
            "convert",
            arg(&model),
            "-o",
            arg(&bundle),
            "--quantize",
            "int8",
        ];
        let output = bevel().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{name}");
    }
}

#[test]
fn a_detector_finds_the_same_boxes() {
    let model = needs!(shared("data/vision/yolox_nano.onnx"));
    let pictures = needs!(shared("data/vision/coco-mini/images"));
    let recipe = root().join("models/detect/yolox-nano.toml");
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("yolox.bevel");
    let report = convert(&model, &bundle, &["--recipe", arg(&recipe)]);
    assert_eq!(
        (&report["task"], &report["family"]),
        (&"detect".into(), &"onnx".into())
    );
    let mut pictures: Vec<_> = std::fs::read_dir(pictures)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pictures.sort();
    let pictures: Vec<&str> = pictures.iter().take(12).map(|path| arg(path)).collect();
    let run = |bundle: &Path, more: &[&str]| {
        let arguments = [&["run", arg(bundle), "--json"], more, &pictures].concat();
        let mut answers = bevel_json(&arguments);
        for answer in &mut answers {
            answer.as_object_mut().unwrap().remove("ms");
        }
        answers
    };
    let plain = run(&model, &["--recipe", arg(&recipe)]);
    let converted = run(&bundle, &[]);
    assert_eq!(plain.len(), 12);
    for (plain, converted) in plain.iter().zip(&converted) {
        let boxes = |answer: &Value| answer["boxes"].as_array().unwrap().clone();
        let (plain, converted) = (boxes(plain), boxes(converted));
        assert_eq!(plain.len(), converted.len());
        for (a, b) in plain.iter().zip(&converted) {
            assert_eq!(a["label"], b["label"]);
            let close = |a: &Value, b: &Value, within: f64| {
                let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                assert!((a - b).abs() <= within, "{a} {b}");
            };
            close(&a["score"], &b["score"], 1e-4);
            for i in 0..4 {
                close(&a["box"][i], &b["box"][i], 1e-2);
            }
        }
    }
}

#[test]
fn what_is_no_graph_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(root().join("tests/golden/onnx/batch-norm-07.onnx")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cases = [
        (
            "truncated",
            write("cut.onnx", &whole[..whole.len() / 2]),
            "truncated",
        ),
        (
            "empty",
            write("empty.onnx", b"\x08\x08\x3a\x00"),
            "no nodes",
        ),
    ];
    for (name, model, says) in cases {
        let out = folder.path().join("out.bevel");
        let output = bevel()
            .args(["convert", arg(&model), "-o", arg(&out)])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            matches!(output.status.code(), Some(3 | 6)),
            "{name}: {error}"
        );
        assert!(
            error.contains(says) && !error.contains("panicked"),
            "{name}: {error}"
        );
        assert!(!out.exists());
    }
}
