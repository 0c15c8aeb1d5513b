//! A CLIP as its users have it, from a checkpoint without tokenizer.json to vectors of texts and
//! pictures, against transformers.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use bevel_tests::{Tolerance, arg, bevel, bevel_json, golden, root, success};

struct Clip {
    _folder: tempfile::TempDir,
    bundle: PathBuf,
}

fn clip() -> Clip {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("clip.bevel");
    let checkpoint = root().join("tests/golden/clip/checkpoint");
    let mut command = bevel();
    command.args(["convert", arg(&checkpoint), "-o", arg(&bundle)]);
    success(&command.output().unwrap());
    Clip {
        _folder: folder,
        bundle,
    }
}

/// `tests/golden/clip`: transformers 5.23 with Pillow. Tolerance: close.
#[test]
fn texts_and_pictures_are_embedded_as_by_transformers() {
    let clip = clip();
    let own = root().join("tests/golden/clip");
    let (texts, picture) = (own.join("texts.txt"), own.join("picture.png"));
    // In any order, and both kinds in one run.
    let arguments = ["run", arg(&clip.bundle), "--json", arg(&picture)];
    let lines = bevel_json(&[&arguments[..], &[arg(&texts)]].concat());
    assert_eq!(lines.len(), 4);
    let found: Vec<f64> = lines
        .iter()
        .flat_map(|line| line["embedding"].as_array().unwrap())
        .map(|value| value.as_f64().unwrap())
        .collect();
    let golden = golden(&own.join("embeds.safetensors"));
    let expected: Vec<f64> = ["image_embeds", "text_embeds"]
        .iter()
        .flat_map(|name| golden[*name].1.clone())
        .collect();
    Tolerance::Close.check("embeddings", &found, &expected);
}

#[test]
fn a_missing_picture_is_not_taken_for_a_text() {
    let clip = clip();
    let output = bevel()
        .args(["run", arg(&clip.bundle), "no-such.jpg"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not exist"));
}

#[test]
fn what_clip_cannot_do_is_told() {
    let checkpoint = root().join("tests/golden/clip/checkpoint");
    let out = tempfile::tempdir().unwrap();
    let output = bevel()
        .args(["convert", arg(&checkpoint), "--task", "classify", "-o"])
        .arg(out.path().join("clip.bevel"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("embed, tensors"), "{text}");
}
