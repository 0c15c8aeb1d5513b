//! What is said where ONNX Runtime's library does not suit the machine: one line, and exit code 4.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel::elf::Elf;
use bevel_manifest::Target;
use bevel_tests::{bevel, root};

/// ONNX Runtime as `scripts/onnxruntime.sh` fetches it; that of this machine is always there.
fn library(arch: &str) -> PathBuf {
    root().join(format!("target/onnxruntime/{arch}/libonnxruntime.so"))
}

/// What `readelf -V` shows of both, and no more than the wheels' names allow: manylinux_2_28_x86_64 and
/// manylinux_2_27_aarch64.
#[test]
fn the_library_needs_what_its_headers_say() {
    for arch in ["x86_64", "aarch64"] {
        if library(arch).is_file() {
            let elf = Elf::read(&library(arch)).unwrap();
            assert_eq!(elf.arch, arch);
            assert_eq!(elf.glibc(), Some("2.27".parse().unwrap()));
        }
    }
}

/// Every board has a C library that is new enough for ONNX Runtime's, or there is no wheel for it.
#[test]
fn the_library_runs_on_every_board() {
    for file in root().join("targets").read_dir().unwrap() {
        let path = file.unwrap().path();
        let target = Target::from_toml(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let wheel = match target.arch() {
            "x86_64" => "2.28",
            "aarch64" => "2.27",
            _ => continue,
        };
        assert!(
            wheel.parse::<bevel_manifest::Glibc>().unwrap() <= target.glibc,
            "{path:?}"
        );
    }
}

/// A copy of the library of this machine, with a text of its own replaced by another.
fn changed(folder: &Path, from: &str, to: &str) -> PathBuf {
    let mut bytes = std::fs::read(library("host")).unwrap();
    // Names of versions end in 0.
    let (from, to) = (format!("\0{from}\0"), format!("\0{to}\0"));
    let found = bytes.windows(from.len()).position(|w| w == from.as_bytes());
    let at = found.unwrap_or_else(|| panic!("no {from:?} in the library"));
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    let path = folder.join("libonnxruntime.so");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_library_for_newer_systems_is_told() {
    struct Case {
        from: &'static str,
        to: &'static str,
        says: [&'static str; 2],
    }
    let cases = [
        Case {
            from: "GLIBC_2.27",
            to: "GLIBC_9.87",
            says: ["the library needs glibc 9.87, not 2.", "set ORT_DYLIB_PATH"],
        },
        Case {
            from: "GLIBCXX_3.4.21",
            to: "GLIBCXX_9.8.76",
            says: ["GLIBCXX_9.8.76", "update libstdc++6"],
        },
        Case {
            from: "libstdc++.so.6",
            to: "libstdc++.so.9",
            says: ["libstdc++.so.9", "install the package"],
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    for case in cases {
        let path = changed(folder.path(), case.from, case.to);
        let output = bevel()
            .arg("doctor")
            .env("ORT_DYLIB_PATH", path)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        for says in case.says {
            assert!(told.contains(says), "{told}");
        }
    }
}
