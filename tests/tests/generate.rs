//! Text generation, from checkpoint to text, against `generate` of transformers.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevel::{Bundle, Generate, Options};
use bevel_manifest::{Decode, Input};
use bevel_tests::{arg, bevel, bevel_json, root, success};
use serde_json::Value;

fn folder() -> PathBuf {
    root().join("tests/golden/generate")
}

/// Prompts, and what follows them: text and ids.
fn answers() -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(folder().join("greedy.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn converted(out: &Path, more: &[&str]) -> PathBuf {
    let bundle = out.join("small.bevel");
    let checkpoint = folder().join("checkpoint");
    let mut command = bevel();
    command.args(["convert", arg(&checkpoint), "-o", arg(&bundle)]);
    // What transformers writes, fp32 has to write; int8 may differ on close calls.
    command.args(["--quantize", "none"]);
    success(&command.args(more).output().unwrap());
    bundle
}

fn options(max_tokens: usize) -> Options {
    let mut options = Options::default();
    options.max_tokens = Some(max_tokens);
    options
}

#[test]
fn text_is_that_of_transformers() {
    for form in [&[][..], &["--portable"]] {
        let out = tempfile::tempdir().unwrap();
        let bundle = converted(out.path(), form);
        let mut generate = Generate::open(&bundle, &options(24)).unwrap();
        for (prompt, expected) in answers() {
            let found = generate.run(&prompt).unwrap();
            let found = serde_json::to_value(&found).unwrap();
            assert_eq!(found, expected, "{prompt:?}, {form:?}");
        }
    }
}

#[test]
fn settings_travel_and_the_command_line_answers() {
    let out = tempfile::tempdir().unwrap();
    let bundle = converted(out.path(), &[]);
    let manifest = Bundle::load(&bundle).unwrap().manifest().clone();
    assert_eq!(manifest.task, bevel::TaskName::Generate);
    // A decoder is not measured yet, so nothing but fp32 is shipped.
    let variants: Vec<_> = manifest.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(variants, ["fp32"]);
    let Input::Text(input) = &manifest.input else {
        panic!("{:?}", manifest.input);
    };
    assert_eq!((input.max_tokens, input.pad_id), (64, 0));
    let Decode::Generate(spec) = &manifest.decode else {
        panic!("{:?}", manifest.decode);
    };
    assert_eq!((spec.max_tokens, spec.start_id), (64, Some(0)));
    assert_eq!(spec.end_ids, [0]);
    assert_eq!(spec.chat_template.as_deref(), Some("chat_template.jinja"));

    let (prompt, expected) = answers().into_iter().next().unwrap();
    let found = bevel_json(&["run", arg(&bundle), &prompt, "--max-tokens", "24", "--json"]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["task"], "generate");
    assert_eq!(found[0]["text"], expected["text"]);
    assert_eq!(found[0]["ids"], expected["ids"]);
    let found = bevel_json(&["run", arg(&bundle), &prompt, "--max-tokens", "3", "--json"]);
    let three = expected["ids"].as_array().unwrap()[..3].to_vec();
    assert_eq!(found[0]["ids"], Value::from(three));
}

#[test]
fn a_prompt_must_leave_room() {
    let out = tempfile::tempdir().unwrap();
    let bundle = converted(out.path(), &[]);
    let mut generate = Generate::open(&bundle, &options(usize::MAX)).unwrap();
    let error = generate.run(&"committee ".repeat(80)).unwrap_err();
    assert!(error.to_string().contains("this model holds 64"), "{error}");
    // Up to the last place, and not beyond it.
    let text = "Größe: ";
    let found = generate.run(text).unwrap();
    assert!(found.ids.len() < 64, "{found:?}");
    let command = ["run", arg(&bundle), &"committee ".repeat(80)];
    let output = bevel().args(command).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
