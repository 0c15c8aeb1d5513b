//! `bevel convert` and `bevel verify` over the golden checkpoints.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel_tests::{arg, bevel, needs, root, shared, success};

/// Folders of `golden/{set}` whose names start so; the list must not be empty.
fn cases(set: &str, starts: &str) -> Option<Vec<PathBuf>> {
    let folder = shared("golden")?.join(set);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut cases: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    cases.retain(|c| {
        let name = c.file_name().unwrap().to_string_lossy();
        name.starts_with(starts)
    });
    cases.sort();
    assert!(!cases.is_empty(), "golden/{set} has no {starts}*");
    Some(cases)
}

fn bert_cases() -> Option<Vec<PathBuf>> {
    cases("text", "bert-")
}

/// Set and beginning of the names of golden checkpoints that are converted and verified.
const CONVERTED: [(&str, &str); 7] = [
    ("multimodal", "clip"),
    ("text", "bert-"),
    ("text", "distilbert-"),
    ("text", "gpt2"),
    ("text", "llama"),
    ("text", "qwen2"),
    ("text", "roberta-"),
];

fn convert(checkpoint: &Path, out: &Path) -> std::process::Output {
    converted(checkpoint, out, &[])
}

fn converted(checkpoint: &Path, out: &Path, more: &[&str]) -> std::process::Output {
    let arguments = ["convert", arg(checkpoint), "-o", arg(out)];
    bevel().args(arguments).args(more).output().unwrap()
}

#[test]
fn every_golden_case_answers_as_its_library() {
    for (set, starts) in CONVERTED {
        for case in needs!(cases(set, starts)) {
            for form in [&[][..], &["--portable"]] {
                let out = tempfile::tempdir().unwrap();
                let bundle = out.path().join("case.bevel");
                success(&converted(&case, &bundle, form));
                let io = case.join("io.safetensors");
                let output = bevel()
                    .args(["verify", arg(&bundle), "--io", arg(&io)])
                    .output()
                    .unwrap();
                println!("{} {form:?}\n{}", case.display(), success(&output));
            }
        }
    }
}

#[test]
fn verify_fails_where_answers_differ() {
    let cases = needs!(bert_cases());
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    success(&convert(&cases[0], &bundle));
    let io = cases[0].join("io.safetensors");
    // PyTorch's sums and ours differ in the last bits: the check must be able to fail.
    let mut command = bevel();
    command.args(["verify", arg(&bundle), "--io", arg(&io)]);
    let output = command
        .args(["--atol", "1e-12", "--rtol", "0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("BREACH"));
}

#[test]
fn verify_tells_a_damaged_bundle() {
    let cases = needs!(bert_cases());
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    success(&convert(&cases[0], &bundle));
    let graph = bundle.join("model.onnx");
    let mut bytes = std::fs::read(&graph).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&graph, &bytes).unwrap();
    let output = bevel().args(["verify", arg(&bundle)]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("SHA-256"));
    std::fs::write(&graph, &bytes[..middle]).unwrap();
    let output = bevel().args(["info", arg(&bundle)]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("bytes, bundle.toml says"));
}

#[test]
fn a_bundle_is_replaced_whole_and_nothing_else_is() {
    let cases = needs!(bert_cases());
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    success(&convert(&cases[0], &bundle));
    success(&convert(&cases[0], &bundle));
    // A folder that is no bundle may hold someone's work.
    let precious = out.path().join("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("work.txt"), "work").unwrap();
    let output = convert(&cases[0], &precious);
    assert!(!output.status.success());
    assert_eq!(
        std::fs::read_to_string(precious.join("work.txt")).unwrap(),
        "work"
    );
    // A conversion that fails leaves the bundle that was there.
    let before = std::fs::read(bundle.join("bundle.toml")).unwrap();
    let output = convert(&root().join("Makefile"), &bundle);
    assert!(!output.status.success());
    assert_eq!(std::fs::read(bundle.join("bundle.toml")).unwrap(), before);
    let names: Vec<_> = std::fs::read_dir(out.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "something temporary was left: {names:?}");
}
