//! A checkpoint as people have it: a weights file, alone or in a folder with `config.json`,
//! `tokenizer.json` and what else the training library put beside it.

use std::path::{Path, PathBuf};

use bevel_weights::Checkpoint;
use serde_json::Value;

use crate::Error;

/// Usual names of the weights file in a folder, the better ones first.
const WEIGHT_FILES: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.pt",
    "model.pth",
];

/// Endings of weights files under other names.
const WEIGHT_ENDINGS: [&str; 4] = ["safetensors", "pth", "pt", "bin"];

/// An opened checkpoint and its side files.
pub(crate) struct Source {
    pub checkpoint: Checkpoint,
    folder: PathBuf,
    /// `config.json`, where there is one.
    pub config: Option<Value>,
}

impl Source {
    /// Opens a weights file, or the one in a folder.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = match path.is_dir() {
            true => weights_in(path)?,
            false => path.to_owned(),
        };
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let mut source = Self {
            checkpoint: Checkpoint::open(&file)?,
            folder,
            config: None,
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

fn weights_in(folder: &Path) -> Result<PathBuf, Error> {
    let usual = WEIGHT_FILES.iter().map(|name| folder.join(name));
    if let Some(file) = usual.into_iter().find(|file| file.is_file()) {
        return Ok(file);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::read(folder, e))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let ending = path.extension().and_then(|e| e.to_str());
            ending.is_some_and(|e| WEIGHT_ENDINGS.contains(&e)) && path.is_file()
        })
        .collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::Request(format!(
            "{} holds no weights; looked for {}, *.{}",
            folder.display(),
            WEIGHT_FILES.join(", "),
            WEIGHT_ENDINGS.join(", *.")
        ))),
        [first, second, ..] => Err(Error::Request(format!(
            "{} holds several weights files ({}, {} …); name the one to convert",
            folder.display(),
            first.display(),
            second.display()
        ))),
    }
}
