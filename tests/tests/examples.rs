//! The examples of the crate `bevel` run as the README shows them.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use bevel_tests::{arg, bundle, needs, pulled, root, shared, success};

fn example(name: &str, arguments: &[&str]) -> String {
    // target/PROFILE/deps/TEST → target/PROFILE/examples/NAME
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let mut command = Command::new(folder.join("examples").join(name));
    command.args(arguments).current_dir(root());
    command.env(
        "ORT_DYLIB_PATH",
        root().join("target/onnxruntime/host/libonnxruntime.so"),
    );
    success(&command.output().unwrap())
}

#[test]
fn embed() {
    let bundle = needs!(bundle("all-minilm-l6-v2"));
    let cosine = |a: &str, b: &str| -> f32 {
        let text = example("embed", &[arg(&bundle), a, b]);
        text.trim()
            .strip_prefix("cosine ")
            .unwrap()
            .parse()
            .unwrap()
    };
    let like = cosine("The train is late.", "The train has a delay.");
    let unlike = cosine("The train is late.", "Stir the soup slowly.");
    assert!(like > 0.7 && unlike < 0.3, "{like} {unlike}");
}

#[test]
fn detect() {
    let bundle = needs!(pulled("yolox-nano"));
    let text = example("detect", &[arg(&bundle), "docs/coffee.jpg"]);
    assert!(text.lines().next().unwrap().contains("cup"), "{text}");
}

#[test]
fn classify() {
    let bundle = needs!(bundle("efficientnet-lite0"));
    let text = example("classify", &[arg(&bundle), "docs/coffee.jpg"]);
    let first = text.lines().next().unwrap();
    assert!(
        first.contains("espresso") || first.contains("cup"),
        "{text}"
    );
}

#[test]
fn transcribe() {
    let bundle = needs!(pulled("moonshine-tiny"));
    let recording = needs!(shared("data/speech/spk1_snt1.wav"));
    let text = example("transcribe", &[arg(&bundle), arg(&recording)]);
    assert_eq!(text.trim(), "The child almost hurt the small dog.");
}

/// Of the whole process, ONNX Runtime included.
#[cfg(target_os = "linux")]
#[test]
fn a_runtime_without_a_model_takes_25_megabytes_at_most() {
    let told = example("idle", &[]);
    let kib = told.strip_prefix("resident KiB ").unwrap();
    let kib: u64 = kib.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib * 1024 <= 25_000_000, "{told}");
}
