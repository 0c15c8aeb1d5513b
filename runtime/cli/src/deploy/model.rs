//! The variant that suits a board, and the bundle with it alone.

use std::fs;
use std::path::Path;

use anyhow::Context;
use bevel::Bundle;
use bevel_manifest::{ErrorKind, FILE_NAME, FileEntry, Manifest, Target};
use serde::Serialize;

use crate::failure::fail;
use crate::verify;

/// A variant, and why it is the one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chosen {
    pub name: String,
    pub why: String,
}

/// The variant that was asked for, or the first of the board's order that the bundle has.
///
/// # Errors
/// Of kind `Input` for one that the bundle lacks, of kind `Model` where none is in the board's order.
pub fn choose(manifest: &Manifest, target: &Target, asked: Option<&str>) -> anyhow::Result<Chosen> {
    let names: Vec<_> = manifest.variants.iter().map(|v| v.name.as_str()).collect();
    let chosen = |name: &str, why: String| Chosen {
        name: name.to_owned(),
        why,
    };
    let have = || names.join(", ");
    if let Some(asked) = asked {
        return match names.contains(&asked) {
            true => Ok(chosen(asked, "asked for".into())),
            false => Err(fail(
                ErrorKind::Input,
                format!("no variant `{asked}`; the bundle has: {}", have()),
            )),
        };
    }
    if let [only] = names.as_slice() {
        return Ok(chosen(only, "the only one of the bundle".into()));
    }
    let order = &target.quantization;
    let first = order.iter().find(|name| names.contains(&name.as_str()));
    match first {
        Some(name) => {
            let why = format!("the first of {} for {}", have(), target.name);
            Ok(chosen(name, why))
        }
        None => Err(fail(
            ErrorKind::Model,
            format!(
                "none of the variants {} is among those for {}: {}; choose one with --variant, or \
                 convert with --target {}",
                have(),
                target.name,
                order.join(", "),
                target.name
            ),
        )),
    }
}

/// Writes the bundle with one variant to a folder. Files are compared with their hashes on the way.
///
/// # Errors
/// Of kind `Model` for a packed bundle or a file that is not what `bundle.toml` says; those of the disk.
pub fn write(bundle: &Bundle, variant: &str, folder: &Path) -> anyhow::Result<Manifest> {
    if bundle.root().is_file() {
        let root = bundle.root().display();
        let what = format!("{root} is packed; unpack it with tar -xf and give the folder");
        return Err(fail(ErrorKind::Model, what));
    }
    let mut manifest = only(bundle.manifest(), variant)?;
    fs::create_dir_all(folder).with_context(|| cannot(folder))?;
    let expected = std::mem::take(&mut manifest.files);
    for path in names(&manifest, &expected) {
        let from = match bundle.file(&path) {
            Ok(file) => file.path().to_owned(),
            Err(_) => bundle.root().join(&path),
        };
        let to = folder.join(&path);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| cannot(parent))?;
        }
        let unreadable = |source| bevel::Error::ModelFile {
            path: from.clone(),
            source,
        };
        fs::copy(&from, &to).map_err(unreadable)?;
        let entry = verify::entry(&path, &to.as_path().into())?;
        let before = expected.iter().find(|entry| entry.path == path);
        if before.is_some_and(|before| before.sha256 != entry.sha256) {
            let what = format!(
                "{}: not the SHA-256 that bundle.toml says; copy or convert it again",
                from.display()
            );
            return Err(fail(ErrorKind::Model, what));
        }
        manifest.files.push(entry);
    }
    let path = folder.join(FILE_NAME);
    fs::write(&path, manifest.to_toml()?).with_context(|| cannot(&path))?;
    Ok(manifest)
}

/// The manifest without other variants and their files.
fn only(manifest: &Manifest, variant: &str) -> anyhow::Result<Manifest> {
    let mut only = manifest.clone();
    variant.clone_into(&mut only.variant);
    only.variants.retain(|v| v.name == variant);
    let kept = only.paths();
    let others = manifest.variants.iter().flat_map(|v| v.graphs.values());
    let others: Vec<_> = others
        .filter(|path| !kept.contains(&path.as_str()))
        .collect();
    // Weights of a graph lie in files that begin with its name.
    let of = |path: &str, graph: &str| {
        let rest = path.strip_prefix(graph);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let goes = |entry: &FileEntry| others.iter().any(|graph| of(&entry.path, graph));
    let files = manifest.files.iter().filter(|entry| !goes(entry));
    only.files = files.cloned().collect();
    Ok(only)
}

/// Every file that is named or listed, in order.
fn names(manifest: &Manifest, listed: &[FileEntry]) -> Vec<String> {
    let mut names: Vec<String> = manifest.paths().into_iter().map(String::from).collect();
    names.extend(listed.iter().map(|entry| entry.path.clone()));
    names.sort();
    names.dedup();
    names
}

pub fn cannot(path: &Path) -> anyhow::Error {
    fail(ErrorKind::Input, format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets;

    fn manifest(variants: &[&str]) -> Manifest {
        let mut text = r#"
format_version = 1
name = "m"
task = "embed"
family = "bert"
variant = "fp32"
[input]
kind = "text"
tokenizer = "tokenizer.json"
max_tokens = 256
pad_id = 0
[decode]
kind = "embed"
pooling = "mean"
normalize = true
"#
        .to_owned();
        for name in variants {
            text += &format!(
                "[[variants]]\nname = \"{name}\"\nscheme = \"s\"\ngraphs = {{ model = \"{name}.onnx\" }}\n"
            );
        }
        Manifest::from_toml(&text.replace(
            "variant = \"fp32\"",
            &format!("variant = \"{}\"", variants[0]),
        ))
        .unwrap()
    }

    #[test]
    fn the_board_decides_unless_asked_otherwise() {
        struct Case {
            variants: &'static [&'static str],
            board: &'static str,
            asked: Option<&'static str>,
            expected: Option<&'static str>,
        }
        let case = |variants, board, asked, expected| Case {
            variants,
            board,
            asked,
            expected,
        };
        let cases = [
            case(&["fp32", "int8"], "rpi5", None, Some("int8")),
            case(&["fp32", "int8"], "generic-x86_64", None, Some("fp32")),
            case(&["fp32", "int8"], "rpi5", Some("fp32"), Some("fp32")),
            case(&["fp32", "int8"], "rpi5", Some("fp16"), None),
            case(&["as-shipped"], "rpi5", None, Some("as-shipped")),
            case(&["large", "small"], "rpi5", None, None),
        ];
        for case in cases {
            let target = targets::find(case.board.as_ref()).unwrap();
            let found = choose(&manifest(case.variants), &target, case.asked).ok();
            let found = found.map(|chosen| chosen.name);
            assert_eq!(found.as_deref(), case.expected, "{:?}", case.variants);
        }
    }

    #[test]
    fn files_of_other_variants_stay_behind() {
        let mut manifest = manifest(&["fp32", "int8"]);
        for path in [
            "fp32.onnx",
            "fp32.onnx.data",
            "fp32.onnxes",
            "int8.onnx",
            "int8.onnx.data",
            "tokenizer.json",
            "report.html",
        ] {
            manifest.files.push(FileEntry::of(path, &b""[..]).unwrap());
        }
        let only = only(&manifest, "int8").unwrap();
        let paths: Vec<_> = only.files.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "fp32.onnxes",
                "int8.onnx",
                "int8.onnx.data",
                "tokenizer.json",
                "report.html"
            ]
        );
        assert_eq!(only.variants.len(), 1);
    }
}
