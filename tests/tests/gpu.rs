//! Detect, embed and transcribe on CUDA and TensorRT against the CPU: the same labels and text, and vectors with a
//! cosine of 0.999 or more. `make test-gpu` runs it; without a GPU and the libraries of `make gpu-setup` every
//! test says what is missing and is skipped.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use bevel_tests::{Tolerance, arg, bevel, bundle, needs, pulled, root, shared, skipped, success};
use serde_json::Value;

const DEVICES: [&str; 2] = ["cuda", "tensorrt"];

/// `bevel` with the GPU build of ONNX Runtime, and a cache of engines that outlives the tests.
fn gpu() -> Option<Command> {
    let library = root().join("target/onnxruntime/x86_64-cuda/libonnxruntime.so");
    let mut command = bevel();
    command.env("ORT_DYLIB_PATH", library.canonicalize().ok()?);
    command.env("BEVEL_CACHE_DIR", root().join("target/engines"));
    Some(command)
}

fn json(arguments: &[&str]) -> Vec<Value> {
    let output = gpu().unwrap().args(arguments).output().unwrap();
    let lines = success(&output);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The devices that can be used here; the others are told.
fn devices() -> Vec<&'static str> {
    if gpu().is_none() {
        skipped("target/onnxruntime/x86_64-cuda is missing; run `make gpu-setup`");
        return Vec::new();
    }
    let doctor = json(&["doctor", "--json"]);
    let providers = doctor[0]["providers"].as_array().unwrap().clone();
    let usable = |name: &&&str| {
        let found = providers.iter().find(|p| p["name"] == **name).unwrap();
        if found["usable"] != true {
            skipped(&format!("{name}: {}", found["reason"]));
        }
        found["usable"] == true
    };
    DEVICES.iter().filter(usable).copied().collect()
}

/// Runs on each device and on the CPU, compares the answers, and tells how long each takes.
fn compare(model: &Path, input: &Path, same: impl Fn(&Value, &Value)) {
    let ask = |what: &str, device: &str, more: &[&str]| {
        let ask = [what, arg(model), arg(input), "--variant", "fp32"];
        json(&[&ask[..], &["--device", device, "--json"], more].concat()).remove(0)
    };
    let run = |device: &str| ask("run", device, &[]);
    let speed = |device: &str| {
        let report = ask("bench", device, &["--repeat", "20"]);
        println!(
            "{} on {device}: load {:.0} ms, run p50 {:.2} ms, p95 {:.2} ms",
            model.file_name().unwrap().to_string_lossy(),
            report["load_ms"].as_f64().unwrap(),
            report["run"]["p50"].as_f64().unwrap(),
            report["run"]["p95"].as_f64().unwrap(),
        );
    };
    let devices = devices();
    if devices.is_empty() {
        return;
    }
    let expected = run("cpu");
    speed("cpu");
    for device in devices {
        same(&run(device), &expected);
        speed(device);
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn detect() {
    let model = needs!(pulled("yolox-nano"));
    let picture = root().join("docs/coffee.jpg");
    compare(&model, &picture, |found, expected| {
        let boxes = |answer: &Value| answer["boxes"].as_array().unwrap().clone();
        let (found, expected) = (boxes(found), boxes(expected));
        assert!(!expected.is_empty());
        let labels = |boxes: &[Value]| boxes.iter().map(|b| b["label"].clone()).collect::<Vec<_>>();
        assert_eq!(labels(&found), labels(&expected));
        let all = |boxes: &[Value]| -> Vec<f64> {
            boxes.iter().flat_map(|b| numbers(&b["box"])).collect()
        };
        Tolerance::Device.check("boxes", &all(&found), &all(&expected));
    });
}

#[test]
fn embed() {
    let model = needs!(bundle("all-minilm-l6-v2"));
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "A man is playing the guitar on a stage.\n").unwrap();
    compare(&model, &text, |found, expected| {
        let vector = |answer: &Value| numbers(&answer["embedding"]);
        Tolerance::Device.check("embedding", &vector(found), &vector(expected));
    });
}

#[test]
fn transcribe() {
    let model = needs!(bundle("whisper-base"));
    let speech: PathBuf = needs!(shared("data/speech/spk1_snt1.wav"));
    compare(&model, &speech, |found, expected| {
        assert_eq!(found["text"], expected["text"]);
    });
}

#[test]
fn the_graph_is_placed_on_the_gpu() {
    let model = needs!(bundle("all-minilm-l6-v2"));
    for device in devices() {
        let info = [
            "info",
            arg(&model),
            "--placement",
            "--device",
            device,
            "--json",
        ];
        let report = json(&info).remove(0);
        let counts = &report["graphs"][0]["placement"]["counts"];
        println!("{device}: {counts}");
        let counts = counts.as_object().unwrap();
        let of = |cpu: bool| -> u64 {
            let side = counts
                .iter()
                .filter(|(name, _)| name.starts_with("CPU") == cpu);
            side.map(|(_, count)| count.as_u64().unwrap()).sum()
        };
        assert!(of(false) > of(true), "{counts:?}");
    }
}
