//! Devices on the command line: what cannot be had and why, placement, making ready, and a real plug-in.
//!
//! `BEVEL_TEST_PLUGIN` is the library of a plug-in, and what stands behind it in `--device`, such as
//! `/opt/libonnxruntime_providers_qnn.so:backend_type=htp`; without it that test is skipped.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevel::TensorData;
use bevel_onnx::{DType, Dim, Graph, Tensor};
use bevel_tests::{Tolerance, arg, bevel, root, skipped, success};
use serde_json::Value;

/// Convolution, ReLU and a matrix product of fixed shapes, 1×3×16×16 → 1×10, as a bundle for tensors. Many accelerators
/// take fixed shapes only.
fn small(folder: &Path) -> PathBuf {
    let mut g = Graph::new("small");
    let dims = [1, 3, 16, 16].map(Dim::Fixed);
    let x = g.input("x", DType::F32, dims);
    let wave = |count: usize, scale: f32| {
        (0..count)
            .map(|i| (i as f32 * 0.37).sin() * scale)
            .collect()
    };
    let kernel = g.initializer(Tensor::f32("kernel", &[8, 3, 3, 3], wave(8 * 27, 0.2)));
    let matrix = g.initializer(Tensor::f32("matrix", &[2048, 10], wave(20_480, 0.02)));
    let conv = g.node("Conv", &[&x, &kernel], [("pads", vec![1i64; 4].into())]);
    let relu = g.node("Relu", &[&conv], []);
    let flat = g.node("Flatten", &[&relu], []);
    let y = g.node("MatMul", &[&flat, &matrix], []);
    g.output(&y, "y", DType::F32, [1, 10].map(Dim::Fixed));
    let graph = folder.join("small.onnx");
    g.save(&graph).unwrap();
    let bundle = folder.join("small.bevel");
    let convert = [
        "convert",
        arg(&graph),
        "--task",
        "tensors",
        "--quantize",
        "none",
        "-o",
    ];
    success(&bevel().args(convert).arg(&bundle).output().unwrap());
    bundle
}

/// An input of the small graph, as JSON.
fn input() -> String {
    let row = |c: usize, y: usize| -> Vec<f64> {
        (0..16)
            .map(|x| ((c * 256 + y * 16 + x) as f64 * 0.11).cos())
            .collect()
    };
    let plane = |c: usize| (0..16).map(|y| row(c, y)).collect::<Vec<_>>();
    let planes: Vec<_> = (0..3).map(plane).collect();
    serde_json::json!({ "x": [planes] }).to_string()
}

/// The object that a run prints. Libraries of plug-ins may print, too.
fn json(arguments: &[&str]) -> Value {
    let text = success(&bevel().args(arguments).output().unwrap());
    let line = text.lines().find(|line| line.starts_with('{')).unwrap();
    serde_json::from_str(line).unwrap()
}

fn answer(bundle: &Path, device: &[&str]) -> Vec<f64> {
    let input = input();
    let run = ["run", arg(bundle), input.as_str(), "--json"];
    let line = json(&[&run[..], device].concat());
    let data = line["outputs"]["y"]["data"].as_array().unwrap();
    data.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The numbers of nested lists.
fn flat(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(list) => list.iter().flat_map(flat).collect(),
        None => vec![value.as_f64().unwrap()],
    }
}

fn refused(arguments: &[&str], code: i32, says: &[&str]) {
    let output = bevel().args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    // Where the words themselves are wrong, a hint at --help follows.
    let lines = error.trim_end().lines().count();
    assert!(code != 4 || lines == 1, "{error}");
    for says in says {
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

#[test]
fn what_cannot_be_had_says_why_and_the_cpu_stands_in_only_where_listed() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = small(folder.path());
    let input = input();
    let run =
        |device: &'static str| ["run", arg(&bundle), input.as_str(), "--device", device].to_vec();
    refused(
        &run("xnnpack"),
        4,
        &["built without XNNPACK", "--use_xnnpack", "xnnpack,cpu"],
    );
    refused(
        &run("acl:fast-math"),
        4,
        &["built without ACL", "--use_acl"],
    );
    refused(&run("qnn"), 4, &["built without QNN", "onnxruntime-qnn"]);
    refused(&run("coreml"), 4, &["built without CoreML", "macOS"]);
    refused(
        &run("plugin:/nowhere/libx.so"),
        4,
        &["there is no file /nowhere/libx.so"],
    );
    let text = folder.path().join("text.so");
    std::fs::write(&text, "x".repeat(100)).unwrap();
    let device = format!("plugin:{}", text.display());
    let plugin = ["run", arg(&bundle), &input, "--device", &device];
    refused(&plugin, 4, &["no ELF header"]);
    refused(&run("npu"), 2, &["no device `npu`", "plugin:LIBRARY"]);
    refused(
        &run("tensorrt:fp32"),
        2,
        &["`tensorrt` has no `fp32`", "fp16"],
    );

    let plain = answer(&bundle, &[]);
    assert_eq!(answer(&bundle, &["--device", "acl,cpu"]), plain);
    let output = bevel().args(run("acl,cpu")).output().unwrap();
    let note = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        note.contains("note: device acl") && note.contains("cpu answers"),
        "{note}"
    );
}

#[test]
fn verify_runs_where_it_is_told_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = small(folder.path());
    let io = folder.path().join("io.safetensors");
    let x: Value = serde_json::from_str(&input()).unwrap();
    let x = flat(&x["x"]);
    let y = answer(&bundle, &[]);
    let recorded = [
        ("input.x", vec![1, 3, 16, 16], x),
        ("output.y", vec![1, 10], y),
    ];
    let recorded = recorded.map(|(name, shape, values)| {
        let data = TensorData::F32(values.into_iter().map(|v| v as f32).collect());
        (name.to_owned(), bevel::Tensor { shape, data })
    });
    let recorded = bevel::tensors::to_safetensors(&BTreeMap::from(recorded)).unwrap();
    std::fs::write(&io, recorded).unwrap();
    let verify = [
        "verify",
        arg(&bundle),
        "--io",
        arg(&io),
        "--json",
        "--device",
    ];
    let on = |device: &'static str| [&verify[..], &[device]].concat();
    assert_eq!(json(&on("cpu"))["device"], "cpu");
    let report = json(&on("acl,cpu"));
    assert_eq!(
        (&report["device"], &report["ok"]),
        (&"cpu".into(), &true.into())
    );
    assert!(
        report["refused"].as_str().unwrap().contains("ACL"),
        "{report}"
    );
    refused(&on("acl"), 4, &["ACL"]);
}

#[test]
fn the_cpu_answers_while_what_is_listed_before_it_is_made_ready() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = small(folder.path());
    let input = input();
    let run = ["run", arg(&bundle), &input, "--warm"];
    refused(&run, 2, &["list both, such as tensorrt,cpu"]);
    refused(
        &[&run[..], &["--device", "acl"]].concat(),
        2,
        &["list both"],
    );
    let device = ["--warm", "--device", "acl,cpu"];
    assert_eq!(answer(&bundle, &device), answer(&bundle, &[]));
    let output = bevel()
        .args([&run[..], &device[1..]].concat())
        .output()
        .unwrap();
    let note = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(note.contains("note: the CPU answered"), "{note}");
}

#[test]
fn warm_waits_until_all_is_ready_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = small(folder.path());
    let report = json(&["warm", arg(&bundle), &input(), "--json"]);
    assert_eq!(report["device"], "cpu");
    assert_eq!(report["answered"], true);
    assert_eq!(report["engines"], serde_json::json!([]));
    refused(&["warm", arg(&bundle), "--device", "acl"], 4, &["ACL"]);
}

#[test]
fn placement_names_the_provider_of_every_node() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = small(folder.path());
    let info = ["info", arg(&bundle), "--placement"];
    let report = json(&[&info[..], &["--json"]].concat());
    let placement = &report["graphs"][0]["placement"];
    assert_eq!(placement["device"], "cpu");
    let nodes = placement["nodes"].as_array().unwrap();
    let mut operators: Vec<_> = nodes
        .iter()
        .map(|n| n["operator"].as_str().unwrap())
        .collect();
    operators.sort_unstable();
    assert_eq!(operators, ["Conv", "Flatten", "MatMul", "Relu"]);
    assert!(
        nodes
            .iter()
            .all(|n| n["provider"] == "CPUExecutionProvider")
    );
    assert_eq!(placement["counts"]["CPUExecutionProvider"], 4);
    let text = success(&bevel().args(info).output().unwrap());
    assert!(
        text.contains("placed on cpu: CPUExecutionProvider 4"),
        "{text}"
    );
    refused(&[&info[..], &["--device", "acl"]].concat(), 4, &["ACL"]);
    // Nothing is placed where nobody asks.
    let plain = json(&["info", arg(&bundle), "--json"]);
    assert_eq!(plain["graphs"][0]["placement"], Value::Null);
}

#[test]
fn doctor_says_of_every_provider_whether_and_why_not() {
    let report = json(&["doctor", "--json"]);
    let providers = report["providers"].as_array().unwrap();
    assert_eq!(providers.len(), 8);
    for provider in providers {
        let usable = provider["usable"].as_bool().unwrap();
        assert_eq!(provider["reason"].is_null(), usable, "{provider}");
    }
    assert_eq!(providers[0]["name"], "cpu");
    assert_eq!(providers[0]["usable"], true);
}

#[test]
fn a_plugin_that_is_registered_leaves_the_cpu_alone() {
    let Ok(plugin) = std::env::var("BEVEL_TEST_PLUGIN") else {
        skipped("BEVEL_TEST_PLUGIN names no library of a plug-in");
        return;
    };
    let mut runtime = bevel::RuntimeOptions::default();
    runtime.library = Some(root().join("target/onnxruntime/host/libonnxruntime.so"));
    bevel::Runtime::start(&runtime).unwrap();
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let graph = folder.path().join("small.onnx");
    let placed = |device: &str| {
        let mut options = bevel::Options::default();
        options.devices = device.parse().unwrap();
        let placement = bevel::Placement::load(&graph.as_path().into(), &options).unwrap();
        let cpu = |(provider, _): (&str, usize)| provider.starts_with("CPU");
        placement.counts().into_iter().all(cpu)
    };
    let plugin = format!("plugin:{plugin}");
    // One after the other in one process: the second of a kind must not differ from the first.
    for device in [plugin.as_str(), "cpu", plugin.as_str(), "cpu"] {
        assert_eq!(placed(device), device == "cpu", "{device}");
    }
}

#[test]
fn a_plugin_runs_the_graph_as_the_cpu_does() {
    let Ok(plugin) = std::env::var("BEVEL_TEST_PLUGIN") else {
        skipped("BEVEL_TEST_PLUGIN names no library of a plug-in");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let bundle = small(folder.path());
    let device = format!("plugin:{plugin}");
    let found = answer(&bundle, &["--device", &device]);
    Tolerance::Device.check("y", &found, &answer(&bundle, &[]));
    let info = [
        "info",
        arg(&bundle),
        "--placement",
        "--device",
        &device,
        "--json",
    ];
    let report = json(&info);
    let counts = report["graphs"][0]["placement"]["counts"]
        .as_object()
        .unwrap();
    println!("{counts:?}");
    assert!(
        counts.keys().any(|provider| !provider.starts_with("CPU")),
        "{counts:?}"
    );
}
