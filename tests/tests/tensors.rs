//! Task `tensors`: `bevel run` on JSON, NPY and safetensors, against what PyTorch and
//! stable-baselines3 answer.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bevel::tensors::{Named, RunTensors, from_json, load};
use bevel::{Bundle, Options};
use bevel_tests::{Tolerance, arg, bevel, bevel_json, golden, needs, shared, success};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A golden case, converted.
struct Case {
    folder: TempDir,
    bundle: PathBuf,
    io: PathBuf,
}

impl Case {
    fn new(name: &str) -> Option<Self> {
        Self::of(shared("golden/other")?.join(name))
    }

    fn of(golden: PathBuf) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("case.bevel");
        let io = golden.join("io.safetensors");
        let arguments = ["convert", arg(&golden), "-o", arg(&bundle)];
        success(&bevel().args(arguments).output().unwrap());
        Some(Self { folder, bundle, io })
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Compares one line of `--json` with the recorded outputs.
    fn holds(&self, line: &Value) {
        assert_eq!(line["task"], "tensors");
        for (name, (shape, reference)) in golden(&self.io) {
            let Some(name) = name.strip_prefix("output.") else {
                continue;
            };
            let found = &line["outputs"][name];
            assert_eq!(found["shape"], json!(shape), "{name}");
            assert_eq!(found["dtype"], "float32", "{name}");
            let data = found["data"].as_array().unwrap();
            let data: Vec<f64> = data.iter().map(|x| x.as_f64().unwrap()).collect();
            Tolerance::Close.check(name, &data, &reference);
        }
    }

    /// The recorded inputs: name, shape, values.
    fn inputs(&self) -> Vec<(String, Vec<usize>, Vec<f64>)> {
        let tensors = golden(&self.io).into_iter();
        let inputs = tensors.filter_map(|(name, (shape, values))| {
            Some((name.strip_prefix("input.")?.to_owned(), shape, values))
        });
        inputs.collect()
    }

    /// The recorded inputs as lists inside each other.
    fn json(&self) -> Value {
        let tensors = self.inputs().into_iter();
        let entries = tensors.map(|(name, shape, values)| (name, nested(&shape, &values)));
        Value::Object(entries.collect())
    }
}

fn nested(shape: &[usize], values: &[f64]) -> Value {
    match shape {
        [] => match values[0].fract() == 0.0 {
            true => json!(values[0] as i64),
            false => json!(values[0]),
        },
        [n, inner @ ..] => {
            let parts = values.chunks(values.len() / n);
            parts.map(|part| nested(inner, part)).collect()
        }
    }
}

/// What `numpy.save` writes of float32 or int64.
fn npy(shape: &[usize], values: &[f64], kind: &str) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    file.extend(header.as_bytes());
    for value in values {
        match kind {
            "<f4" => file.extend((*value as f32).to_le_bytes()),
            _ => file.extend((*value as i64).to_le_bytes()),
        }
    }
    file
}

#[test]
fn every_form_of_input_gives_the_recorded_outputs() {
    for name in ["lstm-forecast", "mlp-policy", "neumf"] {
        let case = needs!(Case::new(name));
        let run = |inputs: &[&str]| {
            let arguments = [&["run", arg(&case.bundle), "--json"], inputs].concat();
            bevel_json(&arguments)
        };
        let text = case.json().to_string();
        let file = case.file("inputs.json", &text);
        let lines = case.file("inputs.jsonl", format!("{text}\n\n{text}\n"));
        let lines = run(&[arg(&case.io), &text, arg(&file), arg(&lines)]);
        assert_eq!(lines.len(), 5);
        for line in &lines {
            case.holds(line);
        }
        let pairs = case.inputs().into_iter().map(|(name, shape, values)| {
            let kind = if name == "user" || name == "item" {
                "<i8"
            } else {
                "<f4"
            };
            let path = case.file(&format!("{name}.npy"), npy(&shape, &values, kind));
            format!("{name}={}", path.display())
        });
        let pairs: Vec<_> = pairs.collect();
        let pairs: Vec<_> = pairs.iter().map(String::as_str).collect();
        case.holds(&run(&pairs)[0]);
        if let [pair] = pairs[..] {
            // The only input needs no name.
            let (name, file) = pair.split_once('=').unwrap();
            case.holds(&run(&[file])[0]);
            case.holds(&run(&[&case.json()[name].to_string()])[0]);
        }
        // The library, without the command line.
        let mut model = RunTensors::load(&Bundle::load(&case.bundle).unwrap(), &Options::default());
        let answer = model
            .as_mut()
            .unwrap()
            .run(&load(&case.io).unwrap())
            .unwrap();
        let again = model.unwrap().run(&from_json(&text).unwrap()).unwrap();
        case.holds(&json!({"task": "tensors", "outputs": answer.outputs}));
        assert_eq!(answer, again);
    }
}

#[test]
fn standard_input_and_output_files() {
    let case = needs!(Case::new("mlp-policy"));
    let folder = case.folder.path().join("out");
    let arguments = ["run", arg(&case.bundle), "-", "--output", arg(&folder)];
    let mut command = bevel();
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let text = format!("{0}\n{0}\n", case.json());
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let table = success(&child.wait_with_output().unwrap());
    for says in ["standard input:2", "action_logits", "float32", "[3, 2]"] {
        assert!(table.contains(says), "{table}");
    }
    for name in ["input.safetensors", "input-2.safetensors"] {
        let outputs: Named = load(&folder.join(name)).unwrap();
        case.holds(&json!({"task": "tensors", "outputs": outputs}));
    }
    let io = [
        "bench",
        arg(&case.bundle),
        arg(&case.io),
        "--repeat",
        "3",
        "--json",
    ];
    assert_eq!(bevel_json(&io)[0]["task"], "tensors");
}

#[test]
fn what_the_graph_cannot_take_is_said() {
    let case = needs!(Case::new("mlp-policy"));
    let two = needs!(Case::new("neumf"));
    let claim = npy(&[1 << 40, 1 << 40], &[], "<f4");
    let zeros = case.file("zeros.npy", npy(&[0, 4], &[], "<f4"));
    let claim = case.file("claim.npy", claim);
    let cut = case.file("cut.npy", &npy(&[1, 4], &[0.0; 4], "<f4")[..30]);
    let zip = case.file("inputs.npz", b"PK\x03\x04");
    let noise = case.file("noise.npy", [0xff, 0xfe, 0]);
    let io = std::fs::read(&case.io).unwrap();
    let half = case.file("half.safetensors", &io[..io.len() / 2]);
    let user = case.file("user.npy", npy(&[1], &[0.5], "<f4"));
    let pair = format!("user={}", user.display());
    let empty = case.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for (bundle, input, code, says) in [
        (&case.bundle, "[1, 2, 3, 4]", 2, "needs an axis in front"),
        (
            &case.bundle,
            "[[1, 2, 3]]",
            2,
            "float32 [1, 3], the graph asks for float32 [?, 4]",
        ),
        (&case.bundle, "[[1, 2, 3, 4], [1]]", 2, "ragged lists"),
        (&case.bundle, "[[1, 2, 3, null]]", 2, "null is no number"),
        (&case.bundle, "[[1, 2, 3, 1e39]]", 2, "outside float32"),
        (&case.bundle, "[[true, true, true, true]]", 2, "is bool"),
        (&case.bundle, "[]", 2, "is empty"),
        (&case.bundle, "[1,", 2, "not JSON"),
        (
            &case.bundle,
            "{\"obs\": [[1, 2, 3, 4]]}",
            2,
            "`observation` is not given, only: obs",
        ),
        (
            &case.bundle,
            "{\"observation\": [[1, 2, 3, 4]], \"x\": [1]}",
            2,
            "no input `x`",
        ),
        (
            &case.bundle,
            arg(&zeros),
            2,
            "is empty: its shape is [0, 4]",
        ),
        (&case.bundle, arg(&claim), 2, "claim.npy: it holds 0 bytes"),
        (&case.bundle, arg(&cut), 2, "cut.npy: cut off"),
        (
            &case.bundle,
            arg(&zip),
            6,
            "unpack it and give NAME=FILE.npy",
        ),
        (
            &case.bundle,
            arg(&noise),
            2,
            "neither JSON nor NPY nor safetensors",
        ),
        (
            &case.bundle,
            arg(&half),
            2,
            "half.safetensors: not a safetensors file, or cut off",
        ),
        (&case.bundle, arg(&empty), 2, "holds no input"),
        (
            &case.bundle,
            "nowhere.json",
            2,
            "nowhere.json does not exist",
        ),
        (
            &two.bundle,
            "[1]",
            2,
            "several inputs, name what they take: `user` int64",
        ),
        (
            &two.bundle,
            "{\"user\": [1.5], \"item\": [1]}",
            2,
            "is float64, the graph asks for int64",
        ),
        (&two.bundle, &pair, 2, "input `user` is float32"),
        (
            &two.bundle,
            "user=nowhere.npy",
            2,
            "cannot read nowhere.npy",
        ),
    ] {
        let output = bevel().args(["run", arg(bundle), input]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{input}: {error}");
        assert!(error.contains(says), "{input}: {error}");
        assert_eq!(error.lines().count(), 1, "{input}: {error}");
    }
}

#[test]
fn several_graphs_are_for_verify() {
    let golden = needs!(shared("golden/speech/wavenet"));
    let case = Case::of(golden).unwrap();
    let output = bevel()
        .args(["run", arg(&case.bundle), "[[1]]"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{error}");
    assert!(error.contains("several graphs (model, step)"), "{error}");
    assert!(error.contains("bevel verify"), "{error}");
}

/// What `save()` of stable-baselines3 makes of a policy, as far as it says something about it.
fn agent(policy: &Path, data: &Value, method: CompressionMethod, out: &Path) {
    let mut writer = ZipWriter::new(std::fs::File::create(out).unwrap());
    let options = SimpleFileOptions::default().compression_method(method);
    let policy = std::fs::read(policy).unwrap();
    for (name, bytes) in [
        ("data", data.to_string().as_bytes()),
        ("pytorch_variables.pth", b"whatever"),
        ("policy.pth", &policy),
        ("_stable_baselines3_version", b"2.9.0"),
    ] {
        writer.start_file(name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn an_agent_of_stable_baselines3_is_converted_straight_from_its_zip() {
    let golden = needs!(shared("golden/other/mlp-policy"));
    let (policy, io) = (golden.join("policy.pth"), golden.join("io.safetensors"));
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("agent.bevel");
    let file = folder.path().join("agent.zip");
    let class = |name: &str| json!(format!("<class 'torch.nn.modules.activation.{name}'>"));
    let default = json!({"policy_kwargs": {"net_arch": [64, 64]}});
    let tanh = json!({"policy_kwargs": {"activation_fn": class("Tanh")}});
    let relu = json!({"policy_kwargs": {"activation_fn": class("ReLU")}});
    let verify = |code: i32| {
        let arguments = ["verify", arg(&bundle), "--io", arg(&io)];
        let output = bevel().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    };
    let convert = ["convert", arg(&file), "-o", arg(&bundle), "--json"];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        for data in [&default, &tanh] {
            agent(&policy, data, method, &file);
            let report = &bevel_json(&convert)[0];
            assert_eq!(report["family"], "mlp-policy");
            let notes = report["notes"].to_string();
            assert!(!notes.contains("--set activation"), "{notes}");
            verify(0);
        }
    }
    // The archive is believed, and the user more.
    agent(&policy, &relu, CompressionMethod::Stored, &file);
    bevel_json(&convert);
    verify(7);
    bevel_json(&[&convert[..], &["--set", "activation=tanh"]].concat());
    verify(0);
    // A class of one's own is none of PyTorch's, even by the same name.
    for own in ["mine.Snake", "mine.ReLU"] {
        let data = json!({"policy_kwargs": {"activation_fn": format!("<class '{own}'>")}});
        agent(&policy, &data, CompressionMethod::Stored, &file);
        let output = bevel().args(convert).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{error}");
        assert!(
            error.contains(own) && error.contains("--set activation"),
            "{error}"
        );
    }
}
