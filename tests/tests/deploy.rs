//! `bevel deploy`, from a bundle to an answer in an empty environment, and the self-test when something is
//! not as it was.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bevel_tests::{arg, bevel, bundle, missing, needs, pulled, root, skipped, success};
use serde_json::Value;
use tempfile::TempDir;

const MINILM: &str = "all-minilm-l6-v2";

/// A profile of the machine that runs the tests, with other lines in place of some.
fn profile(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let glibc = bevel::system::glibc().unwrap();
    let mut text = format!(
        "name = \"here\"\nboard = \"this machine\"\ntriple = \"{}-unknown-linux-gnu\"\n\
         glibc = \"{glibc}\"\nthreads = 1\nmemory_cap_mib = 1024\nproviders = [\"cpu\"]\n\
         quantization = [\"int8\", \"fp32\"]\n",
        std::env::consts::ARCH
    );
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = folder.join("here.toml");
    fs::write(&path, text).unwrap();
    path
}

/// `bevel deploy` with this build's program.
fn deploy(bundle: &Path, profile: &Path, arguments: &[&str]) -> Command {
    let mut command = bevel();
    let program = command.get_program().to_owned();
    let library = root().join("target/onnxruntime/host/libonnxruntime.so");
    command.args(["deploy", arg(bundle), "--target", arg(profile)]);
    command.arg("--program").arg(program);
    command.args(["--onnxruntime", arg(&library)]);
    command.args(arguments);
    command
}

fn deployed(bundle: &Path, profile: &Path, out: &Path) {
    success(&deploy(bundle, profile, &["-o", arg(out)]).output().unwrap());
}

/// A deployment for this machine, with a profile that is changed so, in a folder of its own.
fn deployed_here(bundle: &Path, changes: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    deployed(bundle, &profile(folder.path(), changes), &out);
    (folder, out)
}

/// `run.sh` of a deployment, as a shell that knows nothing starts it.
fn started(folder: &Path, arguments: &[&str]) -> Output {
    let mut run = Command::new(folder.join("run.sh"));
    run.env_clear().args(arguments).stdin(Stdio::null());
    run.output().unwrap()
}

/// The answers of a run, without times.
fn answers(output: &Output) -> Vec<Value> {
    let text = success(output);
    let lines = text.lines().map(|line| {
        let mut answer: Value = serde_json::from_str(line).unwrap();
        answer.as_object_mut().unwrap().remove("ms");
        answer
    });
    lines.collect()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a program of the system is there; a skip otherwise.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        missing(program);
    }
    has
}

#[test]
fn an_archive_answers_in_an_empty_environment() {
    let bundle = needs!(bundle(MINILM));
    let folder = tempfile::tempdir().unwrap();
    let profile = profile(folder.path(), &[]);
    let (first, second) = (
        folder.path().join("m.tar.zst"),
        folder.path().join("again.tar.zst"),
    );
    let both = ["-o", arg(&first), "-o", arg(&second)];
    success(&deploy(&bundle, &profile, &both).output().unwrap());
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());

    let archive = zstd::Decoder::new(fs::File::open(&first).unwrap()).unwrap();
    let mut archive = tar::Archive::new(archive);
    archive.set_preserve_permissions(true);
    archive.unpack(folder.path()).unwrap();
    let there = folder.path().join(MINILM);
    let text = "Good morning.";
    let output = started(&there, &["run", "--json", text]);
    assert_eq!(told(&output), "self-test: OK\n");
    let expected = bevel()
        .args(["run", arg(&bundle), "--variant", "int8", "--threads", "1"])
        .args(["--json", text])
        .output()
        .unwrap();
    assert_eq!(answers(&output), answers(&expected));

    // Only the first start tests itself.
    let output = started(&there, &[text, "--json"]);
    assert_eq!((told(&output).as_str(), answers(&output).len()), ("", 1));
    let test = success(&started(&there, &["self-test"]));
    assert_eq!(test, "OK\n");
    // One variant, and a bundle that is whole.
    let model = there.join("model.bevel");
    assert!(!model.join("model.onnx").exists());
    success(&bevel().args(["verify", arg(&model)]).output().unwrap());
    let doctor = started(&there, &["doctor"]);
    assert!(success(&doctor).contains("a sentence of 14 words"));
}

#[test]
fn what_is_not_as_it_was_is_named() {
    let bundle = needs!(bundle(MINILM));
    let (_folder, out) = deployed_here(&bundle, &[]);
    assert_eq!(success(&started(&out, &["self-test"])), "OK\n");
    for name in [
        "model.bevel/tokenizer.json",
        "lib/libonnxruntime.so.1",
        "target.toml",
    ] {
        let path = out.join(name);
        let before = fs::read(&path).unwrap();
        let mut after = before.clone();
        after[before.len() / 2] ^= 1;
        fs::write(&path, after).unwrap();
        for arguments in [&["self-test"][..], &["run", "text"]] {
            let output = started(&out, arguments);
            assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
            assert!(told(&output).contains(name), "{}", told(&output));
            assert!(output.stdout.is_empty(), "{output:?}");
        }
        fs::write(&path, before).unwrap();
    }
    assert_eq!(success(&started(&out, &["self-test"])), "OK\n");
}

#[test]
fn a_list_of_hashes_that_is_cut_off_or_no_list_is_told() {
    let bundle = needs!(bundle(MINILM));
    let (_folder, out) = deployed_here(&bundle, &[]);
    let sums = out.join("SHA256SUMS");
    let whole = fs::read_to_string(&sums).unwrap();
    let half = &whole[..whole.len() / 2];
    for text in ["garbage\n", half, ""] {
        fs::write(&sums, text).unwrap();
        let output = started(&out, &["self-test"]);
        assert_eq!(output.status.code(), Some(3), "{text}: {output:?}");
        assert!(told(&output).contains("SHA256SUMS"), "{}", told(&output));
    }
}

#[test]
fn a_program_that_does_not_start_is_told_with_its_reason() {
    let bundle = needs!(bundle(MINILM));
    let (_folder, out) = deployed_here(&bundle, &[]);
    // With the right hash, as one for another processor would have it.
    let program = out.join("bin/bevel");
    let sums = out.join("SHA256SUMS");
    let hash = |path: &Path| {
        let output = Command::new("sha256sum").arg(path).output().unwrap();
        success(&output)[..64].to_owned()
    };
    let before = hash(&program);
    fs::write(&program, "#!/nowhere/loader\n").unwrap();
    let text = fs::read_to_string(&sums).unwrap();
    fs::write(&sums, text.replace(&before, &hash(&program))).unwrap();
    let output = started(&out, &["self-test"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = told(&output);
    assert!(said.contains("bin/bevel does not start here"), "{said}");
    assert!(said.contains("glibc"), "{said}");
}

/// As `CPUAffinity=` confines the service.
#[test]
fn a_service_that_is_confined_to_a_core_passes() {
    let bundle = needs!(bundle(MINILM));
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores < 2 {
        skipped("one core");
        return;
    }
    let last = [("threads = 1\n", "threads = 1\ncores = [1]\n")];
    let (_folder, out) = deployed_here(&bundle, &last);
    let mut run = Command::new("taskset");
    run.env_clear().args(["-c", "1"]).arg(out.join("run.sh"));
    let output = run.arg("self-test").output().unwrap();
    assert_eq!(success(&output), "OK\n");
}

#[test]
fn another_board_is_told() {
    let bundle = needs!(bundle(MINILM));
    let (_folder, out) = deployed_here(&bundle, &[("threads = 1\n", "threads = 4000\n")]);
    let output = started(&out, &["self-test"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(told(&output).contains("4000 cores"), "{}", told(&output));
}

#[test]
fn the_self_test_runs_where_the_model_does() {
    let bundle = needs!(bundle(MINILM));
    // Of a provider that this ONNX Runtime lacks.
    let (_folder, out) = deployed_here(&bundle, &[("\"cpu\"", "\"acl\"")]);
    let output = started(&out, &["self-test"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(told(&output).contains("ACL"), "{}", told(&output));
    let (_folder, out) = deployed_here(&bundle, &[("\"cpu\"", "\"acl\", \"cpu\"")]);
    let output = started(&out, &["self-test"]);
    assert!(told(&output).contains("cpu answers"), "{}", told(&output));
    assert_eq!(success(&output), "OK\n");
}

#[test]
fn other_answers_than_recorded_are_told() {
    let bundle = needs!(bundle(MINILM));
    let folder = tempfile::tempdir().unwrap();
    let profile = profile(folder.path(), &[]);
    let (ours, theirs) = (folder.path().join("a"), folder.path().join("b"));
    deployed(&bundle, &profile, &ours);
    let other = ["-o", arg(&theirs), "--sample", "Something else entirely."];
    success(&deploy(&bundle, &profile, &other).output().unwrap());
    // Inputs of one deployment with outputs of the other.
    let tensors = |folder: &Path| {
        let bytes = fs::read(folder.join("self-test.safetensors")).unwrap();
        bevel::tensors::from_safetensors(&bytes).unwrap()
    };
    let (mut mixed, theirs) = (tensors(&ours), tensors(&theirs));
    for (name, tensor) in mixed.iter_mut().filter(|(n, _)| n.starts_with("output.")) {
        // The same shapes: as many tokens as both have.
        let other = &theirs[name];
        let bevel::TensorData::F32(values) = &other.data else {
            panic!("{name}");
        };
        let bevel::TensorData::F32(own) = &mut tensor.data else {
            panic!("{name}");
        };
        let count = own.len().min(values.len());
        own[..count].copy_from_slice(&values[..count]);
    }
    let recording = ours.join("self-test.safetensors");
    fs::write(&recording, bevel::tensors::to_safetensors(&mixed).unwrap()).unwrap();
    let verified = bevel()
        .args(["verify", arg(&ours.join("model.bevel")), "--other-machine"])
        .args(["--io", arg(&recording)])
        .output()
        .unwrap();
    assert_eq!(verified.status.code(), Some(7), "{verified:?}");
    assert!(told(&verified).contains("cosine"), "{}", told(&verified));
}

#[test]
fn every_kind_of_input_has_a_self_test() {
    for model in ["moonshine-tiny", "yolox-nano"] {
        let model = needs!(pulled(model));
        let (_folder, out) = deployed_here(&model, &[]);
        assert_eq!(success(&started(&out, &["self-test"])), "OK\n");
    }
    let model = needs!(bundle("efficientnet-lite0"));
    let (_folder, out) = deployed_here(&model, &[]);
    assert_eq!(success(&started(&out, &["self-test"])), "OK\n");
}

#[test]
fn a_package_installs_and_starts_nothing() {
    let bundle = needs!(bundle(MINILM));
    if !has("dpkg-deb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("m.deb");
    let out = ["-o", arg(&package), "--name", "kitchen"];
    success(
        &deploy(&bundle, &profile(folder.path(), &[]), &out)
            .output()
            .unwrap(),
    );
    let info = Command::new("dpkg-deb")
        .arg("--info")
        .arg(&package)
        .output();
    let info = success(&info.unwrap());
    for field in [
        "Package: bevel-kitchen\n",
        "Depends: libc6 (>= ",
        "libstdc++6",
        "Description: ",
    ] {
        assert!(info.contains(field), "{field}: {info}");
    }
    // The real dpkg, into a system of its own; its scripts would need a shell there.
    let system = folder.path().join("system");
    for path in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "tmp"] {
        fs::create_dir_all(system.join(path)).unwrap();
    }
    fs::write(system.join("var/lib/dpkg/status"), "").unwrap();
    let unpacked = Command::new("dpkg")
        .arg(format!("--root={}", system.display()))
        .args([
            "--force-not-root",
            "--force-bad-path",
            "--force-script-chrootless",
        ])
        .args(["--log=/dev/null", "--unpack"])
        .arg(&package)
        .output();
    success(&unpacked.unwrap());
    let there = system.join("opt/bevel/kitchen");
    assert_eq!(success(&started(&there, &["self-test"])), "OK\n");
    let unit = system.join("lib/systemd/system/bevel-kitchen@.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(unit.contains("ExecStart=/opt/bevel/kitchen/run.sh run --json -\n"));
    assert!(unit.contains("MemoryMax=1152M\n"), "{unit}");
    assert!(!system.join("etc/systemd/system").exists());
}

/// An `ssh` that runs the command here, in the folder of its script, and writes down what it was given.
fn fake_ssh(folder: &Path) -> String {
    let script = "#!/bin/sh\nhere=$(dirname \"$0\")\nprintf '%s\\n' \"$#\" \"$1\" \"$2\" >>\"$here/asked\"\n\
                  cd \"$here\" && DESTDIR=$here/system exec sh -c \"$3\"\n";
    let path = folder.join("ssh");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_board_is_reached_by_ssh() {
    let bundle = needs!(bundle(MINILM));
    let folder = tempfile::tempdir().unwrap();
    let path = fake_ssh(folder.path());
    let profile = profile(folder.path(), &[]);
    let to = |host: &str, more: &[&str]| {
        let mut command = deploy(&bundle, &profile, &["--ssh", host]);
        command.args(more).env("PATH", &path).output().unwrap()
    };
    // Twice: the second takes the place of the first.
    for _ in 0..2 {
        let output = to("pi@rpi5:it's here/$(touch hacked)", &["--start"]);
        assert!(success(&output).contains("self-test passed"), "{output:?}");
    }
    let asked = fs::read_to_string(folder.path().join("asked")).unwrap();
    assert_eq!(asked, "3\n--\npi@rpi5\n".repeat(4));
    let there = folder.path().join("it's here/$(touch hacked)");
    assert_eq!(success(&started(&there, &["self-test"])), "OK\n");
    assert!(!folder.path().join("hacked").exists());
    let system = folder.path().join("system");
    let installed = system.join(format!("opt/bevel/{MINILM}/run.sh"));
    assert!(installed.is_file());
    let unit = format!("etc/systemd/system/bevel-{MINILM}.socket");
    assert!(system.join(unit).is_file());

    let output = to("-oProxyCommand=touch hacked", &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    // What is no deployment stays.
    fs::create_dir(folder.path().join("mine")).unwrap();
    let output = to("pi@rpi5:mine", &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(told(&output).contains("left alone"), "{}", told(&output));
}

#[test]
fn what_would_not_run_there_is_not_deployed() {
    let bundle = needs!(bundle(MINILM));
    let folder = tempfile::tempdir().unwrap();
    let here = profile(folder.path(), &[]);
    let other = match std::env::consts::ARCH {
        "aarch64" => "n100",
        _ => "rpi5",
    };
    let old = folder.path().join("old.toml");
    let glibc = bevel::system::glibc().unwrap().to_string();
    let text = fs::read_to_string(&here).unwrap();
    fs::write(&old, text.replace(&glibc, "2.0")).unwrap();
    let boards = tempfile::tempdir().unwrap();
    let provider = |name: &str| {
        let folder = boards.path().join(name);
        fs::create_dir(&folder).unwrap();
        profile(&folder, &[("\"cpu\"", &format!("\"{name}\", \"cpu\""))])
    };
    let (openvino, abacus) = (provider("openvino"), provider("abacus"));
    let (cuda, command) = (provider("cuda"), provider("tensorrt:cache=$(reboot)"));
    struct Case<'a> {
        name: &'a str,
        target: &'a Path,
        more: &'a [&'a str],
        code: i32,
        says: &'a str,
    }
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("photo.jpg"), "").unwrap();
    let out = folder.path().join("out");
    let cases = [
        Case {
            name: "another processor",
            target: other.as_ref(),
            more: &["-o", arg(&out)],
            code: 4,
            says: "make cross T=",
        },
        Case {
            name: "an old system",
            target: &old,
            more: &["-o", arg(&out)],
            code: 4,
            says: "needs glibc",
        },
        Case {
            name: "no such board",
            target: "toaster".as_ref(),
            more: &["-o", arg(&out)],
            code: 2,
            says: "no target `toaster`",
        },
        Case {
            name: "a provider that is not brought",
            target: &openvino,
            more: &["-o", arg(&out)],
            code: 6,
            says: "does not bring provider `openvino`",
        },
        Case {
            name: "a provider that nobody knows",
            target: &abacus,
            more: &["-o", arg(&out)],
            code: 2,
            says: "profile here: no device `abacus`",
        },
        Case {
            name: "a GPU without its libraries",
            target: &cuda,
            more: &["-o", arg(&out)],
            code: 4,
            says: "libonnxruntime_providers_shared.so",
        },
        Case {
            name: "a provider that is a command",
            target: &command,
            more: &["-o", arg(&out)],
            code: 2,
            says: "no character but letters",
        },
        Case {
            name: "no such variant",
            target: &here,
            more: &["-o", arg(&out), "--variant", "int2"],
            code: 2,
            says: "the bundle has: fp32, int8",
        },
        Case {
            name: "a folder of somebody",
            target: &here,
            more: &["-o", arg(&mine)],
            code: 2,
            says: "left alone",
        },
        Case {
            name: "nowhere to",
            target: &here,
            more: &[],
            code: 2,
            says: "--ssh HOST",
        },
        Case {
            name: "a name with a way out",
            target: &here,
            more: &["-o", arg(&out), "--name", "../up"],
            code: 2,
            says: "--name",
        },
    ];
    for case in cases {
        let output = deploy(&bundle, case.target, case.more).output().unwrap();
        let said = told(&output);
        assert_eq!(
            output.status.code(),
            Some(case.code),
            "{}: {said}",
            case.name
        );
        assert!(said.contains(case.says), "{}: {said}", case.name);
        // Nothing half-done stays behind.
        let left = folder.path().read_dir().unwrap().count();
        assert_eq!(left, 3, "{}", case.name);
    }
}

#[test]
#[ignore = "`make test-cross` builds what it runs"]
fn a_deployment_for_arm_tests_itself_in_qemu() {
    let bundle = needs!(bundle(MINILM));
    let program = root().join("target/cross/generic-aarch64/bevel");
    let library = root().join("target/onnxruntime/aarch64/libonnxruntime.so");
    let qemu = root().join("target/qemu");
    let all = [&program, &library, &qemu].iter().all(|path| path.exists());
    if !all || !has("qemu-aarch64-static") {
        missing("a build of `make test-cross`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // The board with as many cores as any machine has.
    let here = format!("{}-unknown", std::env::consts::ARCH);
    let changes = [
        ("here", "generic-aarch64"),
        (here.as_str(), "aarch64-unknown"),
    ];
    let board = profile(folder.path(), &changes);
    let output = bevel()
        .args([
            "deploy",
            arg(&bundle),
            "--target",
            arg(&board),
            "-o",
            arg(&out),
        ])
        .output();
    success(&output.unwrap());
    // A program that runs here takes the place of the board's, and its hash.
    let (bin, real) = (out.join("bin/bevel"), out.join("bin/real"));
    fs::rename(&bin, &real).unwrap();
    let script = format!(
        "#!/bin/sh\nexec qemu-aarch64-static -cpu cortex-a72 -L '{}' '{}' \"$@\"\n",
        qemu.display(),
        real.display()
    );
    fs::write(&bin, script).unwrap();
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
    let mut sums = Command::new("sha256sum");
    sums.arg("bin/bevel").current_dir(&out);
    let sum = success(&sums.output().unwrap());
    let list = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let others = list.lines().filter(|line| !line.ends_with("  bin/bevel"));
    let list: String = others.map(|line| format!("{line}\n")).collect();
    fs::write(out.join("SHA256SUMS"), list + &sum).unwrap();
    assert_eq!(success(&started(&out, &["self-test"])), "OK\n");
}
