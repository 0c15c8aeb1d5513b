//! `bevel convert` and `bevel verify` over the golden checkpoints.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bevel_onnx::Graph;
use bevel_onnx::proto::NodeProto;
use bevel_tests::{arg, bevel, needs, root, shared, success};

/// Folders of `../shared/golden/{set}` whose names start so; the list must not be empty.
fn cases(set: &str, starts: &str) -> Option<Vec<PathBuf>> {
    let folder = shared("golden")?.join(set);
    Some(folders(&folder, starts))
}

fn folders(folder: &Path, starts: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut cases: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    cases.retain(|c| {
        let name = c.file_name().unwrap().to_string_lossy();
        // Cases of a front end alone have no model.
        let model = ["config.json", "model.pt"].map(|file| c.join(file).is_file());
        model.contains(&true) && name.starts_with(starts)
    });
    cases.sort();
    assert!(!cases.is_empty(), "{} has no {starts}*", folder.display());
    cases
}

fn bert_cases() -> Option<Vec<PathBuf>> {
    cases("text", "bert-")
}

/// Set and beginning of the names of golden checkpoints that are converted and verified.
const CONVERTED: &[(&str, &str)] = &[
    ("multimodal", "clip"),
    ("other", "lstm"),
    ("other", "mlp"),
    ("other", "neumf"),
    ("speech", "deepspeech"),
    ("speech", "hubert"),
    ("speech", "moonshine"),
    ("speech", "wav2vec2"),
    ("speech", "wavenet"),
    ("speech", "whisper"),
    ("text", "bert-"),
    ("text", "distilbert-"),
    ("text", "gpt2"),
    ("text", "llama"),
    ("text", "qwen2"),
    ("text", "roberta-"),
    ("vision", "efficientnet_b0"),
    ("vision", "fasterrcnn"),
    ("vision", "maskrcnn"),
    ("vision", "mobilenet_v2"),
    ("vision", "mobilenet_v3_small"),
    ("vision", "resnet18"),
    ("vision", "resnet50"),
    ("vision", "unet"),
    ("vision", "vgg11_bn"),
    ("vision", "vit"),
    ("vision", "yolo"),
];

fn convert(checkpoint: &Path, out: &Path) -> std::process::Output {
    converted(checkpoint, out, &[])
}

fn converted(checkpoint: &Path, out: &Path, more: &[&str]) -> std::process::Output {
    let arguments = ["convert", arg(checkpoint), "-o", arg(out)];
    bevel().args(arguments).args(more).output().unwrap()
}

/// Converts a golden folder, with the arguments of its `case.json` where it has one, in both forms and
/// verifies them.
fn holds(case: &Path) {
    let text = std::fs::read(case.join("case.json"));
    let settings: serde_json::Value = text
        .map(|text| serde_json::from_slice(&text).unwrap())
        .unwrap_or_default();
    let arguments = settings["arguments"].as_array().into_iter().flatten();
    let arguments: Vec<&str> = arguments.map(|a| a.as_str().unwrap()).collect();
    for form in [&[][..], &["--portable"]] {
        let out = tempfile::tempdir().unwrap();
        let bundle = out.path().join("case.bevel");
        println!("{} {form:?}", case.display());
        success(&converted(case, &bundle, &[&arguments[..], form].concat()));
        is_clean(&bundle);
        let io = case.join("io.safetensors");
        let arguments = ["verify", arg(&bundle), "--io", arg(&io)];
        println!("{}", success(&bevel().args(arguments).output().unwrap()));
    }
}

/// Holds the graphs of a bundle to what ours are by construction: nothing that only training needs,
/// nothing that could have been computed while converting.
fn is_clean(bundle: &Path) {
    let files = std::fs::read_dir(bundle).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|e| e == "onnx")) {
        let graph = Graph::load(&file).unwrap();
        let constants = graph.initializers.iter().map(|t| t.name.clone()).collect();
        nodes_are_clean(&graph.nodes, &constants);
    }
}

fn nodes_are_clean(nodes: &[NodeProto], constants: &HashSet<String>) {
    for node in nodes {
        let (name, op) = (node.name(), node.op_type());
        let useless = ["BatchNormalization", "Constant", "Dropout", "Identity"];
        assert!(!useless.contains(&op), "{name} is {op}");
        let mut inputs = node.input.iter().filter(|input| !input.is_empty());
        let folds = !node.input.is_empty() && inputs.all(|input| constants.contains(input));
        // What is inside an `If` may be constant; whether it is reached is not.
        assert!(!folds, "{name} ({op}) has only constant inputs");
        for body in node.attribute.iter().flat_map(|a| &a.g) {
            let own = body.initializer.iter().map(|t| t.name().to_owned());
            nodes_are_clean(&body.node, &constants.iter().cloned().chain(own).collect());
        }
    }
}

#[test]
fn every_golden_case_answers_as_its_library() {
    for (set, starts) in CONVERTED {
        needs!(cases(set, starts))
            .iter()
            .for_each(|case| holds(case));
    }
}

/// `tests/golden/encoders`: heads, forms of weights and families that the shared folder lacks.
#[test]
fn every_encoder_answers_as_transformers() {
    let own = root().join("tests/golden/encoders");
    for starts in [
        "albert-",
        "bert-",
        "camembert-",
        "clip-",
        "distilbert-",
        "electra-",
        "mpnet-",
        "roberta-",
    ] {
        folders(&own, starts).iter().for_each(|case| holds(case));
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
