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

#[test]
fn what_ships_to_devices_has_no_network_and_no_converters() {
    // bevel-cli as a device build and the library: neither protobuf, pickle, HTTP nor TLS.
    for (package, flags) in [
        ("bevel", &[][..]),
        ("bevel-capi", &[]),
        ("bevel-cli", &["--no-default-features"]),
    ] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]);
        cargo
            .args(["--package", package])
            .args(flags)
            .current_dir(root());
        let tree = success(&cargo.output().unwrap());
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
        for line in tree.lines() {
            let name = line.split_whitespace().next().unwrap_or_default();
            assert!(
                !banned.contains(&name),
                "{package} {flags:?} pulls in {name}"
            );
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
