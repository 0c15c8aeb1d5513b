//! Bad input: each kind gets one clear line that names the file, and the exit code of its kind.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel_tests::{arg, bevel, bundle, needs, pulled, root, shared};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// The first `keep` bytes of a file under a new name.
fn cut(from: &Path, folder: &Path, name: &str, keep: usize) -> PathBuf {
    let bytes = std::fs::read(from).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, &bytes[..keep.min(bytes.len())]).unwrap();
    path
}

/// Runs and expects one line on standard error that holds `says`, and the exit code.
fn refuses(arguments: &[&str], code: i32, says: &str) {
    let output = bevel().args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.contains(says), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    for line in error.lines() {
        assert!(line.starts_with("error: "), "{arguments:?}: {error}");
    }
}

#[test]
fn pictures() {
    let model = needs!(pulled("yolox-nano"));
    let folder = tempfile::tempdir().unwrap();
    let coffee = root().join("docs/coffee.jpg");
    let empty = cut(&coffee, folder.path(), "empty.jpg", 0);
    let half = cut(&coffee, folder.path(), "half.jpg", 20_000);
    let head = cut(&coffee, folder.path(), "head.jpg", 30);
    let text = folder.path().join("text.png");
    std::fs::write(&text, "this is no picture").unwrap();
    let none = folder.path().join("none.jpg");
    let nothing = folder.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    for (path, says) in [
        (&empty, "empty.jpg"),
        (&half, "half.jpg"),
        (&head, "head.jpg"),
        (&text, "text.png"),
        (&none, "none.jpg does not exist"),
        (&nothing, "holds no input"),
    ] {
        refuses(&["run", arg(&model), arg(path)], 2, says);
    }
    refuses(
        &["run", arg(&model), arg(&coffee), "--min-score", "2"],
        2,
        "min_score is 2",
    );
    refuses(
        &["run", arg(&model), arg(&coffee), "--min-score", "NaN"],
        2,
        "min_score is NaN",
    );
}

#[test]
fn recordings() {
    let model = needs!(pulled("moonshine-tiny"));
    let speech = needs!(shared("data/speech"));
    let folder = tempfile::tempdir().unwrap();
    let wav = speech.join("spk1_snt1.wav");
    let cases = [
        cut(&wav, folder.path(), "empty.wav", 0),
        cut(&wav, folder.path(), "header.wav", 20),
        cut(&wav, folder.path(), "cut.wav", 40_000),
        cut(&speech.join("jfk.flac"), folder.path(), "cut.flac", 300_000),
        cut(&root().join("Makefile"), folder.path(), "text.wav", 500),
        cut(&wav, folder.path(), "zero.wav", 44),
    ];
    for path in &cases {
        let name = path.file_name().unwrap().to_str().unwrap();
        refuses(&["run", arg(&model), arg(path)], 2, name);
    }
    refuses(&["run", arg(&model), arg(folder.path())], 2, "empty.wav");
    refuses(&["run", arg(&model), "nowhere.wav"], 2, "nowhere.wav");
}

#[test]
fn texts() {
    let bundle = needs!(bundle("all-minilm-l6-v2"));
    let folder = tempfile::tempdir().unwrap();
    let latin1 = folder.path().join("latin1.txt");
    std::fs::write(&latin1, b"good\ncaf\xe9\n").unwrap();
    refuses(
        &["run", arg(&bundle), arg(&latin1)],
        2,
        "line 2 is not UTF-8",
    );
    let empty = folder.path().join("empty.txt");
    std::fs::write(&empty, "").unwrap();
    refuses(&["run", arg(&bundle), arg(&empty)], 2, "empty");
    refuses(
        &["run", arg(&bundle), arg(folder.path()), "--variant", "int9"],
        3,
        "no variant `int9`",
    );
}

#[test]
fn checkpoints() {
    let minilm = needs!(pulled("all-minilm-l6-v2"));
    let lite = needs!(pulled("efficientnet-lite0"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.bevel");
    let convert = |checkpoint: &Path, code: i32, says: &str| {
        refuses(&["convert", arg(checkpoint), "-o", arg(&out)], code, says);
        assert!(!out.exists(), "{says}: something was written");
    };
    for keep in [0, 4, 1000, 5_000_000] {
        let name = format!("cut-{keep}.safetensors");
        let path = cut(
            &minilm.join("model.safetensors"),
            folder.path(),
            &name,
            keep,
        );
        convert(&path, 3, &name);
        let name = format!("cut-{keep}.pth");
        let path = cut(
            &lite.join("efficientnet_lite0.pth"),
            folder.path(),
            &name,
            keep,
        );
        convert(&path, 3, &name);
    }
    convert(
        &folder.path().join("none.safetensors"),
        2,
        "none.safetensors",
    );
    let nothing = folder.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    convert(&nothing, 2, "nothing");
}

#[test]
fn settings_of_a_family() {
    let bert = needs!(shared("golden/text/bert-model"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.bevel");
    let convert = ["convert", arg(&bert), "-o", arg(&out)];
    let set = ["--set", "wings=2"];
    for (more, says) in [
        (&set[..], "bert has no such setting"),
        (&[set, set].concat(), "--set wings is given twice"),
    ] {
        refuses(&[&convert[..], more].concat(), 2, says);
        assert!(!out.exists());
    }
}

#[test]
fn a_tokenizer_of_another_model() {
    let minilm = needs!(pulled("all-minilm-l6-v2"));
    let small = needs!(shared("golden/text/bert-model"));
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    std::fs::create_dir(&checkpoint).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(small.join(name), checkpoint.join(name)).unwrap();
    }
    std::fs::copy(
        minilm.join("tokenizer.json"),
        checkpoint.join("tokenizer.json"),
    )
    .unwrap();
    let out = folder.path().join("out.bevel");
    refuses(
        &["convert", arg(&checkpoint), "-o", arg(&out)],
        3,
        "tokenizer.json",
    );
    assert!(!out.exists());
}

#[test]
fn graphs_and_bundles() {
    let model = needs!(pulled("yolox-nano"));
    let folder = tempfile::tempdir().unwrap();
    let coffee = root().join("docs/coffee.jpg");
    let recipe = root().join("models/detect/yolox-nano.toml");
    let graph = model.join("yolox_nano.onnx");
    for keep in [0, 10, 100_000] {
        let name = format!("cut-{keep}.onnx");
        let path = cut(&graph, folder.path(), &name, keep);
        refuses(
            &["run", arg(&path), arg(&coffee), "--recipe", arg(&recipe)],
            3,
            &name,
        );
        refuses(&["info", arg(&path)], 3, &name);
    }
    refuses(&["run", arg(&graph), arg(&coffee)], 3, "--recipe");
    refuses(&["run", arg(folder.path()), arg(&coffee)], 3, "bundle.toml");
    refuses(
        &["run", "no-such-model", arg(&coffee)],
        3,
        "bevel models list",
    );
    refuses(
        &["run", arg(&graph), arg(&coffee), "--recipe", "no.toml"],
        3,
        "no.toml",
    );
    let toml = folder.path().join("bad.toml");
    std::fs::write(&toml, "name = 3\n").unwrap();
    refuses(
        &["run", arg(&graph), arg(&coffee), "--recipe", arg(&toml)],
        3,
        "bad.toml",
    );
}

#[test]
fn devices() {
    let model = needs!(pulled("yolox-nano"));
    let coffee = root().join("docs/coffee.jpg");
    let run = ["run", arg(&model), arg(&coffee), "--device"];
    refuses(&[&run[..], &["cuda"]].concat(), 4, "cuda");
    refuses(&[&run[..], &["tensorrt:1"]].concat(), 4, "tensorrt");
    let output = bevel()
        .args([&run[..], &["cuda,cpu", "--json"]].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "an explicit fallback is allowed");
}

#[test]
fn a_library_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    std::fs::write(&library, vec![0u8; 4096]).unwrap();
    let output = bevel()
        .arg("doctor")
        .env("ORT_DYLIB_PATH", &library)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("ELF"));
    let none = folder.path().join("none.so");
    let output = bevel()
        .arg("doctor")
        .env("ORT_DYLIB_PATH", &none)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("none.so"));
}

/// A safetensors file with tensors of one element.
fn tensors(path: &Path, names: &[&str]) {
    let one = 1f32.to_le_bytes();
    let views = names.iter().map(|name| {
        let view = TensorView::new(Dtype::F32, vec![1], &one).unwrap();
        (*name, view)
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn checkpoints_of_unknown_families() {
    let opt = r#"{"model_type": "opt"}"#;
    let new = r#"{"model_type": "brandnew"}"#;
    let wave = [
        "wav2vec2.feature_extractor.conv_layers.0.conv.weight",
        "wav2vec2.feature_projection.projection.weight",
        "wav2vec2.encoder.pos_conv_embed.conv.weight_g",
    ];
    for (config, names, says) in [
        (
            opt,
            &["w"][..],
            &["`opt`", "nearest known families: gpt2;", "`w`", "llama"][..],
        ),
        (
            new,
            &wave,
            &["`brandnew`", "families: wav2vec2", "3 tensors", wave[0]],
        ),
        (
            "{}",
            &[
                "a.b", "a.c", "a.d", "a.e", "a.f", "a.g", "a.h", "a.i", "a.j",
            ],
            &[
                "no model_type",
                "9 tensors: `a.b`",
                "`a.i` and 1 more",
                "none of",
            ],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.bevel");
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        tensors(&folder.path().join("model.safetensors"), names);
        for says in says {
            refuses(&["convert", arg(folder.path()), "-o", arg(&out)], 6, says);
        }
        assert!(!out.exists());
    }
}
