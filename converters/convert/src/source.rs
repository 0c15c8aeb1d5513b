//! A checkpoint as people have it: a weights file, alone or in a folder with `config.json`,
//! `tokenizer.json` and what else the training library put beside it.

use std::path::{Path, PathBuf};

use bevel_weights::Checkpoint;
use serde_json::Value;

use crate::Error;
use crate::set::Set;

/// Usual names of the weights file in a folder, the better ones first.
const WEIGHT_FILES: [&str; 10] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.pt",
    "model.pth",
    "model.onnx",
    "onnx/model.onnx",
    "encoder_model.onnx",
    "onnx/encoder_model.onnx",
];

/// How the encoder of an export is called, whose decoder lies beside it. What follows says how both
/// were made smaller: `encoder_model_quantized.onnx`.
pub(crate) const ENCODER: &str = "encoder_model";

/// Endings of weights files under other names, then of graphs, word vectors, and agents of
/// stable-baselines3: each is looked for where there is none of those before.
const ENDINGS: [&[&str]; 4] = [
    &["safetensors", "pth", "pt", "bin"],
    &["onnx"],
    &["vec", "txt"],
    &["zip"],
];

/// What `bevel verify` compares with lies beside the weights, and is none.
const RECORDING: &str = "io.safetensors";

/// An opened checkpoint and its side files.
pub(crate) struct Source {
    pub checkpoint: Checkpoint,
    folder: PathBuf,
    /// `config.json`, where there is one.
    pub config: Option<Value>,
    /// What the user says about it.
    pub set: Set,
}

impl Source {
    /// Opens a weights file, or the one in a folder.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = match path.is_dir() {
            true => weights_in(path)?,
            false => path.to_owned(),
        };
        let folder = match path.is_dir() {
            true => path.to_owned(),
            false => side_folder(&file),
        };
        let mut source = Self {
            checkpoint: Checkpoint::open(&file)?,
            folder,
            config: None,
            set: Set::default(),
        };
        source.config = source.json("config.json")?;
        Ok(source)
    }

    /// The path of a side file, whether it exists or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A side file as JSON; `None` where there is none.
    pub fn json(&self, name: &str) -> Result<Option<Value>, Error> {
        let path = self.path(name);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::read(path, error)),
        };
        match serde_json::from_slice(&text) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Error::SideFile {
                path,
                what: format!("not JSON: {error}; copy it again"),
            }),
        }
    }

    /// `model_type` of `config.json`.
    pub fn model_type(&self) -> Option<&str> {
        self.config.as_ref()?.get("model_type")?.as_str()
    }
}

/// Where the side files of a weights file are: beside it, and around the folder `onnx` of an export.
fn side_folder(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    let around = folder.parent().filter(|around| {
        folder.ends_with("onnx")
            && !folder.join("config.json").is_file()
            && around.join("config.json").is_file()
    });
    around.unwrap_or(folder).to_owned()
}

fn weights_in(folder: &Path) -> Result<PathBuf, Error> {
    let usual = WEIGHT_FILES.iter().map(|name| folder.join(name));
    if let Some(file) = usual.into_iter().find(|file| file.is_file()) {
        return Ok(file);
    }
    let files = files_in(folder)?;
    let inside = folder.join("onnx");
    let exported = match inside.is_dir() {
        true => [files.clone(), files_in(&inside)?].concat(),
        false => files.clone(),
    };
    let encoders: Vec<&PathBuf> = exported.iter().filter(|path| is_encoder(path)).collect();
    let of = |endings: &[&str]| -> Vec<&PathBuf> {
        let ends = |path: &&PathBuf| {
            let ending = path.extension().and_then(|e| e.to_str());
            ending.is_some_and(|e| endings.contains(&e))
        };
        files.iter().filter(ends).collect()
    };
    let mut found = [encoders].into_iter().chain(ENDINGS.map(of));
    match found.find(|found| !found.is_empty()).as_deref() {
        Some([one]) => Ok((*one).clone()),
        Some([first, second, ..]) => Err(Error::Request(format!(
            "{} holds several weights files ({}, {} …); name the one to convert",
            folder.display(),
            first.display(),
            second.display()
        ))),
        _ => Err(Error::Request(format!(
            "{} holds no weights; looked for {}, *.{}",
            folder.display(),
            WEIGHT_FILES.join(", "),
            ENDINGS.concat().join(", *.")
        ))),
    }
}

/// Files that may be weights, in the order of their names.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::read(folder, e))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths: Result<Vec<PathBuf>, _> = paths.collect();
    let mut files = paths.map_err(|e| Error::read(folder, e))?;
    files.retain(|path| path.is_file() && !path.ends_with(RECORDING));
    files.sort();
    Ok(files)
}

fn is_encoder(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(ENCODER) && name.ends_with(".onnx"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found_among_other_files() {
        struct Case {
            files: &'static [&'static str],
            expected: Result<&'static str, &'static str>,
        }
        let cases = [
            Case {
                files: &["a.pt", "model.safetensors"],
                expected: Ok("model.safetensors"),
            },
            Case {
                files: &["config.json", "io.safetensors", "policy.pth"],
                expected: Ok("policy.pth"),
            },
            Case {
                files: &["io.safetensors", "glove.6B.50d.txt"],
                expected: Ok("glove.6B.50d.txt"),
            },
            Case {
                files: &["vocab.txt", "best.pt"],
                expected: Ok("best.pt"),
            },
            Case {
                files: &["vectors.zip", "vectors.txt"],
                expected: Ok("vectors.txt"),
            },
            Case {
                files: &["agent.zip", "config.json"],
                expected: Ok("agent.zip"),
            },
            Case {
                files: &["vocab.txt", "policy.onnx"],
                expected: Ok("policy.onnx"),
            },
            Case {
                files: &[
                    "decoder_model.onnx",
                    "encoder_model.onnx",
                    "encoder_model_int8.onnx",
                ],
                expected: Ok("encoder_model.onnx"),
            },
            Case {
                files: &[
                    "decoder_model_merged_quantized.onnx",
                    "encoder_model_quantized.onnx",
                ],
                expected: Ok("encoder_model_quantized.onnx"),
            },
            Case {
                files: &[
                    "onnx/decoder_model_merged_q4.onnx",
                    "onnx/encoder_model_q4.onnx",
                ],
                expected: Ok("onnx/encoder_model_q4.onnx"),
            },
            Case {
                files: &["encoder_model_int8.onnx", "encoder_model_q4.onnx"],
                expected: Err("several"),
            },
            Case {
                files: &["a.pt", "b.bin"],
                expected: Err("several"),
            },
            Case {
                files: &["io.safetensors"],
                expected: Err("no weights"),
            },
        ];
        for case in cases {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("onnx")).unwrap();
            for file in case.files {
                std::fs::write(folder.path().join(file), "").unwrap();
            }
            match (weights_in(folder.path()), case.expected) {
                (Ok(found), Ok(expected)) => {
                    assert!(found.ends_with(expected), "{:?}: {found:?}", case.files);
                }
                (Err(error), Err(says)) => {
                    assert!(
                        error.to_string().contains(says),
                        "{:?}: {error}",
                        case.files
                    );
                }
                (found, _) => panic!("{:?}: {found:?}", case.files),
            }
        }
    }
}
