//! What the end-to-end suites share: where things are, how the `bevel` binary is run, and the rule
//! for what is missing.
//!
//! A test that needs models or `../shared` asks for them with [`needs!`]. Where they are missing it
//! prints why it is skipped; under `BEVEL_REQUIRE=models` it fails instead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use safetensors::SafeTensors;

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A path of the data folder beside the checkout, if it is there.
pub fn shared(path: &str) -> Option<PathBuf> {
    existing(root().join("../shared").join(path))
}

/// A pulled model's folder, if it has been pulled.
pub fn pulled(name: &str) -> Option<PathBuf> {
    let folder = existing(root().join("models/.cache").join(name))?;
    existing(folder.join("recipe.toml")).map(|_| folder)
}

/// A bundle that `make test` converted.
pub fn bundle(name: &str) -> Option<PathBuf> {
    existing(root().join("target/bundles").join(format!("{name}.bevel")))
}

/// A program on the `PATH`.
pub fn existing_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find_map(|folder| existing(folder.join(name)))
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

/// The path in an `Option`; without it the test ends: skipped in words, or failed under
/// `BEVEL_REQUIRE=models`.
#[macro_export]
macro_rules! needs {
    ($path:expr) => {
        match $path {
            Some(path) => path,
            None => {
                $crate::missing(stringify!($path));
                return;
            }
        }
    };
}

/// What [`needs!`] does when something is missing. Test runners hide what passing tests print, so it
/// is written down for `make test` to show.
pub fn missing(what: &str) {
    let required = std::env::var_os("BEVEL_REQUIRE").is_some_and(|v| v == "models");
    assert!(
        !required,
        "{what} is missing and BEVEL_REQUIRE=models is set; run `make setup models`"
    );
    skipped(&format!(
        "{what} is missing; run `make setup models`, or put ../shared beside the checkout"
    ));
}

/// Says aloud why a test is skipped.
pub fn skipped(why: &str) {
    let test = std::thread::current()
        .name()
        .unwrap_or("a test")
        .to_string();
    let line = format!("SKIPPED {test}: {why}\n");
    print!("{line}");
    let file = root().join("target/skipped.txt");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("target/skipped.txt");
}

/// The `bevel` binary of this build, in the checkout, with a clean environment for what it reads.
pub fn bevel() -> Command {
    // target/PROFILE/deps/TEST → target/PROFILE/bevel
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join("bevel");
    assert!(
        binary.is_file(),
        "{} is not built; run `make test`",
        binary.display()
    );
    let mut command = Command::new(binary);
    command.current_dir(root()).stdin(Stdio::null());
    command.env(
        "ORT_DYLIB_PATH",
        root().join("target/onnxruntime/host/libonnxruntime.so"),
    );
    command
}

/// Runs with arguments; standard output must be one JSON object a line.
pub fn bevel_json(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = bevel().args(arguments).output().unwrap();
    let text = success(&output);
    text.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// Standard output of a run that must have succeeded.
pub fn success(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// f32 and i64 tensors of a golden file, both as f64, by name.
pub fn golden(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let data = view.data();
        let values = match view.dtype() {
            safetensors::Dtype::F32 => {
                let chunks = data.chunks_exact(4);
                chunks
                    .map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap())))
                    .collect()
            }
            safetensors::Dtype::I64 => {
                let chunks = data.chunks_exact(8);
                chunks
                    .map(|c| i64::from_le_bytes(c.try_into().unwrap()) as f64)
                    .collect()
            }
            other => panic!("{name} is {other:?}"),
        };
        tensors.insert(name.to_string(), (view.shape().to_vec(), values));
    }
    tensors
}

/// How far an answer may be from its reference.
#[derive(Debug, Clone, Copy)]
pub enum Tolerance {
    /// Ids, text and labels.
    Exact,
    /// f32 on a CPU: `1e-4 + 1e-4 · |reference|`.
    Close,
    /// Another device, or int8 on another processor: a cosine of 0.999. That the first of the labels is
    /// the same is for the caller to see.
    Device,
}

/// The cosine of the angle between two lists of numbers; 1 for two without numbers.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 {
        1.0
    } else {
        dot(a, b) / lengths
    }
}

impl Tolerance {
    /// Fails when the values are further apart.
    pub fn check(self, name: &str, found: &[f64], reference: &[f64]) {
        assert_eq!(found.len(), reference.len(), "{name}: number of values");
        let share = match self {
            Self::Exact => 0.0,
            Self::Close => 1e-4,
            Self::Device => {
                let cosine = cosine(found, reference);
                assert!(cosine >= 0.999, "{name}: cosine {cosine}");
                return;
            }
        };
        for (i, (a, b)) in found.iter().zip(reference).enumerate() {
            assert!(
                (a - b).abs() <= share + share * b.abs(),
                "{name}[{i}]: {a}, reference {b}, {self:?}"
            );
        }
    }
}

/// The counts in the text of a COCO mask: five bits a character, the lowest first, 32 where more follow;
/// from the third count on the difference to that two before.
pub fn coco_counts(text: &str) -> Vec<i64> {
    let mut counts: Vec<i64> = Vec::new();
    let (mut value, mut shift) = (0, 0);
    for byte in text.bytes() {
        let group = i64::from(byte) - 48;
        value |= (group & 0x1f) << shift;
        shift += 5;
        if group & 0x20 == 0 {
            if group & 0x10 != 0 {
                value -= 1 << shift;
            }
            let before = counts.len().checked_sub(2).filter(|_| counts.len() > 2);
            counts.push(value + before.map_or(0, |at| counts[at]));
            (value, shift) = (0, 0);
        }
    }
    counts
}

/// The pixels of a COCO mask, column by column: runs of what is outside and inside in turn.
pub fn coco_pixels(counts: &[i64]) -> Vec<bool> {
    let runs = counts.iter().enumerate();
    runs.flat_map(|(i, count)| std::iter::repeat_n(i % 2 == 1, *count as usize))
        .collect()
}

/// Intersection over union of two masks of one size; 1 for two of nothing.
pub fn mask_iou(a: &[bool], b: &[bool]) -> f64 {
    assert_eq!(a.len(), b.len(), "masks of different sizes");
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let either = a.iter().zip(b).filter(|(a, b)| **a || **b).count();
    match either {
        0 => 1.0,
        either => both as f64 / either as f64,
    }
}
