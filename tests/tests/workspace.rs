//! Rules about the workspace itself, held against `cargo metadata`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use bevel_tests::{root, success};
use serde_json::Value;

fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(root());
    serde_json::from_str(&success(&cargo.output().unwrap())).unwrap()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn crates_depend_only_downwards() {
    // What each may name among ours, outside its tests.
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("bevel-manifest", &[][..]),
        ("bevel-prep", &["bevel-manifest"]),
        ("bevel", &["bevel-manifest", "bevel-prep"]),
        ("bevel-capi", &["bevel", "bevel-manifest"]),
        (
            "bevel-cli",
            &[
                "bevel",
                "bevel-convert",
                "bevel-manifest",
                "bevel-onnx",
                "bevel-prep",
            ],
        ),
        ("bevel-onnx", &[]),
        ("bevel-weights", &["bevel-onnx"]),
        (
            "bevel-convert",
            &["bevel-manifest", "bevel-onnx", "bevel-weights"],
        ),
        ("bevel-tests", &[]),
    ]);
    let metadata = metadata();
    let members = metadata["workspace_members"].as_array().unwrap();
    for package in metadata["packages"].as_array().unwrap() {
        if !members.contains(&package["id"]) {
            continue;
        }
        let name = text(package, "name");
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is new: list it here"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let ours = dependency["path"].is_string() && dependency["kind"].is_null();
            let to = text(dependency, "name");
            assert!(!ours || may.contains(&to), "{name} may not depend on {to}");
        }
    }
}

/// The crates that a build is made of.
fn tree(package: &str, flags: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["tree", "--locked", "--offline", "--edges", "normal"])
        .args(["--prefix", "none", "--package", package])
        .args(flags)
        .current_dir(root());
    let tree = success(&cargo.output().unwrap());
    let names = tree.lines().filter_map(|l| l.split_whitespace().next());
    names.map(String::from).collect()
}

#[test]
fn what_ships_to_devices_has_no_network_and_no_converters() {
    // bevel-cli as a device build and the library: neither protobuf, pickle, HTTP nor TLS.
    let all = "runtime,text,vision,speech,listen";
    for (package, flags) in [
        ("bevel", &[][..]),
        ("bevel-capi", &[]),
        ("bevel-cli", &["--no-default-features"]),
        ("bevel-cli", &["--no-default-features", "--features", all]),
    ] {
        let banned = [
            "prost",
            "zip",
            "hyper",
            "reqwest",
            "ureq",
            "rustls",
            "native-tls",
            "openssl",
            "tokio",
            "bevel-onnx",
            "bevel-weights",
            "bevel-convert",
        ];
        let tree = tree(package, flags);
        for name in banned {
            assert!(!tree.contains(name), "{package} {flags:?} pulls in {name}");
        }
    }
}

#[test]
fn a_build_for_one_task_leaves_the_others_out() {
    struct Case {
        features: &'static str,
        needed: &'static [&'static str],
        left_out: &'static [&'static str],
    }
    let cases = [
        Case {
            features: "runtime",
            needed: &[],
            left_out: &["ab_glyph", "image", "symphonia", "tokenizers"],
        },
        Case {
            features: "runtime,text",
            needed: &["tokenizers"],
            left_out: &[
                "ab_glyph",
                "flate2",
                "image",
                "png",
                "realfft",
                "rtrb",
                "rubato",
                "symphonia",
            ],
        },
        Case {
            features: "runtime,vision",
            needed: &["ab_glyph", "image"],
            left_out: &[
                "realfft",
                "regex",
                "rtrb",
                "rubato",
                "symphonia",
                "tokenizers",
            ],
        },
        // Whisper needs its tokenizer.
        Case {
            features: "runtime,speech",
            needed: &["rubato", "symphonia", "tokenizers"],
            left_out: &["ab_glyph", "ctrlc", "image", "png"],
        },
        Case {
            features: "runtime,listen",
            needed: &["ctrlc", "symphonia"],
            left_out: &["ab_glyph", "alsa", "cpal", "image", "png"],
        },
    ];
    for case in cases {
        let flags = ["--no-default-features", "--features", case.features];
        let tree = tree("bevel-cli", &flags);
        for name in case.needed {
            assert!(tree.contains(*name), "{} lacks {name}", case.features);
        }
        for name in case.left_out {
            assert!(!tree.contains(*name), "{} pulls in {name}", case.features);
        }
    }
}

#[test]
fn licences_and_sources_are_those_deny_toml_allows() {
    let deny = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = deny.parse().unwrap();
    let allowed: BTreeSet<&str> = deny["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|l| l.as_str())
        .collect();
    let mut refused = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let name = text(package, "name");
        let registry = package["source"].is_null()
            || text(package, "source")
                .starts_with("registry+https://github.com/rust-lang/crates.io");
        let license = text(package, "license")
            .replace(['(', ')'], "")
            .replace('/', " OR ");
        // An expression is fine when one side of each OR, with all its ANDs, is allowed.
        let fine = license
            .split(" OR ")
            .any(|side| side.split(" AND ").all(|l| allowed.contains(l.trim())));
        if !registry || !fine {
            refused.push(format!("{name}: {license} {}", package["source"]));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}
