//! Small models of ultralytics, converted and run on a picture, against `predict` of ultralytics
//! (`tests/golden/yolo/make.py`).

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel_tests::{
    Tolerance, arg, bevel, bevel_json, coco_counts, coco_pixels, mask_iou, root, success,
};
use serde_json::Value;

fn golden() -> PathBuf {
    root().join("tests/golden/yolo")
}

fn expected(name: &str) -> Value {
    let text = std::fs::read(golden().join("expected.json")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    all[name].clone()
}

/// What the model of a task answers for a picture.
fn answer(task: &str, picture: &Path) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("case.bevel");
    let checkpoint = golden().join(format!("{task}.pt"));
    let arguments = ["convert", arg(&checkpoint), "-o", arg(&bundle)];
    let mut command = bevel();
    command.args(arguments).args(["--quantize", "none"]);
    success(&command.output().unwrap());
    let arguments = ["run", arg(&bundle), arg(picture), "--json"];
    bevel_json(&arguments).remove(0)
}

/// Numbers however deep in a value, in order.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        Value::Number(number) => vec![number.as_f64().unwrap()],
        _ => panic!("{value} is no number"),
    }
}

/// A column of the boxes.
fn column(answer: &Value, key: &str) -> Value {
    let boxes = answer["boxes"].as_array().unwrap();
    boxes.iter().map(|found| found[key].clone()).collect()
}

fn same(task: &str, answer: &Value, expected: &Value, keys: &[(&str, &str)]) {
    let classes = numbers(&column(answer, "index"));
    assert_eq!(classes, numbers(&expected["classes"]), "{task}");
    for (key, of) in [("score", "scores")].iter().chain(keys) {
        let found = numbers(&column(answer, key));
        Tolerance::Close.check(&format!("{task} {key}"), &found, &numbers(&expected[of]));
    }
}

#[test]
fn every_task_answers_as_ultralytics() {
    let picture = golden().join("picture.png");
    for (task, keys) in [
        ("detect", &[("box", "boxes")][..]),
        ("segment", &[("box", "boxes")]),
        ("pose", &[("box", "boxes"), ("keypoints", "keypoints")]),
        ("obb", &[]),
    ] {
        let answer = answer(task, &picture);
        let expected = expected(task);
        assert!(numbers(&expected["scores"]).len() > 5, "{task}");
        same(task, &answer, &expected, keys);
        match task {
            "segment" => masks(&answer, &expected),
            "obb" => corners(&answer, &expected),
            _ => {}
        }
    }
    let answer = answer("classify", &picture);
    let labels = answer["labels"].as_array().unwrap();
    for found in labels {
        let index = found["index"].as_u64().unwrap() as usize;
        let score = numbers(&expected("classify")["scores"])[index];
        let found = [found["score"].as_f64().unwrap()];
        Tolerance::Close.check("classify", &found, &[score]);
    }
    assert_eq!(labels.len(), 3);
}

/// Pixels are those of ultralytics, but for a few where a sum is at the edge.
fn masks(answer: &Value, expected: &Value) {
    let found = column(answer, "mask");
    let found = found.as_array().unwrap();
    let references = expected["counts"].as_array().unwrap();
    assert_eq!(found.len(), references.len());
    for (mask, reference) in found.iter().zip(references) {
        let reference: Vec<i64> = numbers(reference).iter().map(|n| *n as i64).collect();
        let found = coco_counts(mask["counts"].as_str().unwrap());
        let overlap = mask_iou(&coco_pixels(&found), &coco_pixels(&reference));
        assert!(overlap >= 0.999, "{overlap}");
    }
}

/// The same four points, whichever comes first.
fn corners(answer: &Value, expected: &Value) {
    let sorted = |corners: &Value| {
        let mut corners: Vec<Vec<f64>> = corners.as_array().unwrap().iter().map(numbers).collect();
        corners.sort_by(|a, b| a.partial_cmp(b).unwrap());
        corners.concat()
    };
    let found = column(answer, "corners");
    let found = found.as_array().unwrap();
    let references = expected["corners"].as_array().unwrap();
    assert_eq!(found.len(), references.len());
    for (found, reference) in found.iter().zip(references) {
        Tolerance::Close.check("corners", &sorted(found), &sorted(reference));
    }
}

/// The same file with other bytes where `from` stands.
fn patched(folder: &Path, from: &str, to: &str) -> PathBuf {
    let mut bytes = std::fs::read(golden().join("detect.pt")).unwrap();
    assert_eq!(from.len(), to.len());
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from.as_bytes() {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from} is not in detect.pt");
    let path = folder.join("best.pt");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn what_is_not_known_is_named() {
    struct Case {
        name: &'static str,
        patch: [&'static str; 2],
        more: &'static [&'static str],
        says: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "a block",
            patch: ["C2PSA", "C9PSA"],
            more: &[],
            says: &["`model.7`", "ultralytics.nn.modules.block.C9PSA", "C2f, "],
        },
        Case {
            name: "a head",
            patch: ["Detect\n", "Detekt\n"],
            more: &[],
            says: &["head.Detekt", "known: Classify, Detect"],
        },
        Case {
            name: "an activation",
            patch: ["SiLU\n", "Mish\n"],
            more: &[],
            says: &["`model.0.act`, a Mish", "SiLU"],
        },
        Case {
            name: "an attribute",
            patch: ["reg_max", "reg_min"],
            more: &[],
            says: &["`model.11`, a Detect without a whole number `reg_max`"],
        },
        Case {
            name: "a size",
            patch: ["owl", "elk"],
            more: &["--set", "image_size=100x160"],
            says: &["image_size=100x160", "multiples of 32"],
        },
        Case {
            name: "a task",
            patch: ["owl", "elk"],
            more: &["--task", "pose"],
            says: &["ultralytics", "pose", "detect, tensors"],
        },
    ];
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = case.patch;
        let checkpoint = patched(folder.path(), from, to);
        let bundle = folder.path().join("case.bevel");
        let mut command = bevel();
        command.args(["convert", arg(&checkpoint), "-o", arg(&bundle)]);
        let output = command.args(case.more).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{}", case.name);
        for says in case.says {
            assert!(error.contains(says), "{}: {error}", case.name);
        }
    }
}
