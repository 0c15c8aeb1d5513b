//! Whether the library suits this machine, told before it is loaded where that can be known.

use std::path::Path;

use crate::elf::{Broken, Elf};
use crate::error::{Error, Result, one_line};
use crate::system;

/// What to do about a library that cannot be used.
const OTHER: &str = "set ORT_DYLIB_PATH to a libonnxruntime of version 1.24 or newer for this machine \
                     (the PyPI package onnxruntime==1.28.0 holds it; `make setup` fetches it)";

/// Reads the library's headers, so that a file of another architecture, one that is cut off and would
/// kill the process when it is mapped, and one for newer systems are told in words.
pub(super) fn before_loading(path: &Path) -> Result<()> {
    let fail = |what: String| Err(Error::Library(format!("{}: {what}", path.display())));
    if !cfg!(target_os = "linux") {
        return match std::fs::File::open(path) {
            Ok(_) => Ok(()),
            Err(e) => fail(format!("cannot be read: {e}; {OTHER}")),
        };
    }
    let elf = match Elf::open(path) {
        Ok(elf) => elf,
        Err(e @ (Broken::Unreadable(_) | Broken::NotElf)) => return fail(format!("{e}; {OTHER}")),
        Err(e) => return fail(e.to_string()),
    };
    match elf.misfit(std::env::consts::ARCH, system::glibc()) {
        Some(what) => fail(format!("the library {what}; {OTHER}")),
        None => Ok(()),
    }
}

/// What the system's loader says about a library that it did not load, with what to do.
pub(super) fn not_loaded(path: &Path, error: &dyn std::error::Error) -> Error {
    let mut reason = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    let reason = one_line(&reason.to_string());
    let next = if reason.contains("GLIBCXX_") || reason.contains("CXXABI_") {
        "its C++ library is older than the one that ONNX Runtime was built with: update libstdc++6, or"
    } else if reason.contains("cannot open shared object file") {
        "install the package with the library that is named, or"
    } else {
        "fetch it again, or"
    };
    let path = path.display();
    Error::Library(format!(
        "{path}: cannot be loaded: {reason}; {next} {OTHER}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_cannot_be_loaded_is_told_in_words() {
        struct Case {
            name: &'static str,
            bytes: Vec<u8>,
            says: &'static str,
        }
        let mut foreign = vec![0u8; 64];
        foreign[..6].copy_from_slice(b"\x7fELF\x02\x01");
        foreign[18] = 8;
        let mut cut = foreign.clone();
        cut[40..48].copy_from_slice(&4096u64.to_le_bytes());
        let cases = [
            Case {
                name: "empty",
                bytes: Vec::new(),
                says: "no ELF header",
            },
            Case {
                name: "text",
                bytes: vec![b'a'; 100],
                says: "no ELF header",
            },
            Case {
                name: "foreign",
                bytes: foreign,
                says: "is for another architecture, not for",
            },
            Case {
                name: "cut",
                bytes: cut,
                says: "cut off: 64 of 4096 bytes",
            },
        ];
        let folder = tempfile::tempdir().unwrap();
        for case in cases {
            let path = folder.path().join(case.name);
            std::fs::write(&path, case.bytes).unwrap();
            let error = before_loading(&path).unwrap_err();
            assert_eq!(error.kind(), bevel_manifest::ErrorKind::Device);
            let text = error.to_string();
            assert!(text.contains(case.says), "{}: {text}", case.name);
        }
        let text = before_loading(&folder.path().join("none")).unwrap_err();
        assert!(text.to_string().contains("ORT_DYLIB_PATH"), "{text}");
    }
}
