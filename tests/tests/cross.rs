//! Programs for ARM, run by QEMU beside the one of this machine: `make test-cross` builds them.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use bevel_tests::{
    Tolerance, arg, bevel_json, bundle, needs, pulled, root, shared, skipped, success,
};
use serde_json::Value;

/// `target/cross/BOARD/FILE` for `run` by QEMU as a processor.
fn emulated(board: &str, file: &str) -> Command {
    let (emulator, processor) = match board {
        "generic-armv7" => ("qemu-arm-static", "cortex-a7"),
        _ => ("qemu-aarch64-static", "cortex-a72"),
    };
    let mut command = Command::new(emulator);
    command.current_dir(root());
    command.args(["-cpu", processor, "-L", arg(&root().join("target/qemu"))]);
    command.arg(root().join("target/cross").join(board).join(file));
    command
}

const AARCH64_LIBRARY: &str = "target/onnxruntime/aarch64/libonnxruntime.so";

fn aarch64() -> Command {
    let mut command = emulated("generic-aarch64", "bevel");
    command.env("ORT_DYLIB_PATH", root().join(AARCH64_LIBRARY));
    command
}

/// What an answer says in words, which is the same everywhere, and in numbers, which are close.
struct Answer {
    words: Vec<String>,
    numbers: Vec<f64>,
}

impl Answer {
    fn of(value: &Value) -> Self {
        let mut answer = Self {
            words: Vec::new(),
            numbers: Vec::new(),
        };
        answer.add("", value);
        answer
    }

    fn add(&mut self, key: &str, value: &Value) {
        match value {
            // How long it took is the machine's own, and a program may call its input as it likes.
            _ if key == "ms" || key == "input" => {}
            Value::Object(map) => map.iter().for_each(|(key, value)| self.add(key, value)),
            Value::Array(list) => list.iter().for_each(|value| self.add(key, value)),
            Value::Number(number) if number.is_f64() => self.numbers.extend(number.as_f64()),
            word => self.words.push(format!("{key}: {word}")),
        }
    }
}

/// What a device has room for, beside ONNX Runtime.
#[test]
#[ignore = "`make test-cross` builds what it weighs"]
fn programs_are_small() {
    for (file, limit) in [
        ("bevel-text", 6_000_000),
        ("bevel-vision", 6_000_000),
        ("bevel-speech", 6_000_000),
        ("bevel", 12_000_000),
        ("libbevel.so", 10_000_000),
    ] {
        let file = root().join("target/cross/generic-aarch64").join(file);
        let size = std::fs::metadata(&file).unwrap().len();
        println!("{}: {size} bytes", file.display());
        assert!(
            size <= limit,
            "{} has {size} bytes, limit {limit}",
            file.display()
        );
    }
}

#[test]
#[ignore = "`make test-cross` builds what it runs"]
fn arm_answers_as_this_machine_does() {
    struct Case {
        name: &'static str,
        model: PathBuf,
        input: PathBuf,
        more: &'static [&'static str],
    }
    let coffee = root().join("docs/coffee.jpg");
    let case = |name, model, input: &Path, more| Case {
        name,
        model,
        input: input.to_path_buf(),
        more,
    };
    let text = Path::new("The bridge is closed");
    let minilm = needs!(bundle("all-minilm-l6-v2"));
    let cases = [
        case("MiniLM fp32", minilm.clone(), text, &["--variant", "fp32"]),
        case("MiniLM int8", minilm, text, &["--variant", "int8"]),
        case(
            "EfficientNet-Lite0",
            needs!(bundle("efficientnet-lite0")),
            &coffee,
            &["--top-k", "3"],
        ),
        case(
            "YOLOX-nano",
            needs!(pulled("yolox-nano")).join("yolox_nano.onnx"),
            &coffee,
            &["--recipe", "models/detect/yolox-nano.toml"],
        ),
        case(
            "Moonshine tiny",
            needs!(pulled("moonshine-tiny")),
            &needs!(shared("data/speech/spk1_snt1.wav")),
            &[],
        ),
    ];
    println!(
        "{:<20} {:>9} {:>11} {:>9}",
        "model", "cosine", "max |a-b|", "seconds"
    );
    for case in cases {
        let arguments = ["run", arg(&case.model), arg(&case.input), "--json"];
        let arguments = [&arguments[..], case.more].concat();
        let here = Answer::of(&Value::Array(bevel_json(&arguments)));
        let clock = Instant::now();
        let text = success(&aarch64().args(&arguments).output().unwrap());
        let seconds = clock.elapsed().as_secs();
        let there = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let there = Answer::of(&Value::Array(there.collect()));
        let pairs = there.numbers.iter().zip(&here.numbers);
        let furthest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let cosine = bevel_tests::cosine(&there.numbers, &here.numbers);
        println!(
            "{:<20} {cosine:>9.6} {furthest:>11.2e} {seconds:>9}",
            case.name
        );
        assert_eq!(there.words, here.words, "{}", case.name);
        Tolerance::Close.check(case.name, &there.numbers, &here.numbers);
    }
}

/// The C sample, compiled for ARM as a user would compile it.
#[test]
#[ignore = "`make test-cross` builds what it runs"]
fn the_c_sample_answers_on_arm() {
    let folder = root().join("target/cross/generic-aarch64");
    let (source, library) = (root().join("tests/c/sample.c"), folder.join("libbevel.so"));
    if !source.is_file() || !library.is_file() {
        return skipped("there is no C interface here");
    }
    let minilm = needs!(bundle("all-minilm-l6-v2"));
    let mut compiler = Command::new(root().join("target/zig/bin/python-zig"));
    compiler.args([
        "cc",
        "-target",
        "aarch64-linux-gnu.2.28",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
    ]);
    compiler
        .arg("-I")
        .arg(root().join("runtime/capi/include"))
        .arg(source);
    compiler.arg(library).arg("-o").arg(folder.join("sample"));
    success(&compiler.output().unwrap());
    let text = "The bridge is closed";
    let mut sample = emulated("generic-aarch64", "sample");
    sample
        .env("ORT_DYLIB_PATH", root().join(AARCH64_LIBRARY))
        .env("LD_LIBRARY_PATH", folder);
    let output = sample.args(["embed", arg(&minilm), text]).output().unwrap();
    let there: Value = serde_json::from_str(&success(&output)).unwrap();
    let here = bevel_json(&["run", arg(&minilm), text, "--json"]).remove(0);
    let [there, here] = [there, here].map(|answer| Answer::of(&answer["embedding"]).numbers);
    Tolerance::Close.check("the C sample", &there, &here);
}

/// There is no ONNX Runtime for 32 bits at hand: our own code starts, and says so.
#[test]
#[ignore = "`make test-cross` builds what it runs"]
fn a_program_for_32_bits_starts() {
    let bevel = |arguments: &[&str]| {
        let mut command = emulated("generic-armv7", "bevel");
        command.args(arguments).env_remove("ORT_DYLIB_PATH");
        command.output().unwrap()
    };
    let version = success(&bevel(&["--version"]));
    assert!(version.starts_with("bevel "), "{version}");
    let output = bevel(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(4));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("no ONNX Runtime"), "{told}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.to_string().contains("linux arm"), "{report}");
}

/// Both libraries are whole and of this system's age, but for another processor.
#[test]
#[ignore = "`make test-cross` builds what it runs"]
fn a_library_for_another_processor_is_told() {
    let x86_64 = root().join("target/onnxruntime/x86_64/libonnxruntime.so");
    for (mut command, says) in [
        (aarch64(), "the library is for x86_64, not for aarch64"),
        (
            emulated("generic-armv7", "bevel"),
            "the library is for x86_64, not for arm",
        ),
    ] {
        let output = command
            .arg("doctor")
            .env("ORT_DYLIB_PATH", &x86_64)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{told}");
        assert!(told.contains(says), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
