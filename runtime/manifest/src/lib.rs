//! The contract between the converters and the runtime.
//!
//! A bundle is a directory `NAME.bevel/` with a `bundle.toml` that says everything a pipeline needs:
//! which graphs there are, how input is prepared, how output is decoded, where the model came from.
//! Two models that differ only by numbers differ only in this file. The crate holds the types of
//! that file ([`Manifest`]), of a recipe ([`Recipe`]), the task names ([`Task`]) and the kinds of
//! failure with their exit codes ([`ErrorKind`]). It reads and writes text; it runs nothing.
//!
//! ```
//! use bevel_manifest::{Decode, Manifest};
//!
//! let text = r#"
//! format_version = 1
//! name = "minilm"
//! task = "embed"
//! family = "bert"
//! variant = "fp32"
//! files = []
//! [input]
//! kind = "text"
//! tokenizer = "tokenizer.json"
//! max_tokens = 256
//! pad_id = 0
//! [decode]
//! kind = "embed"
//! pooling = "mean"
//! normalize = true
//! [[variants]]
//! name = "fp32"
//! scheme = "fp32"
//! graphs = { model = "model.onnx" }
//! "#;
//! let manifest = Manifest::from_toml(text)?;
//! assert!(matches!(manifest.decode, Decode::Embed(_)));
//! # Ok::<(), bevel_manifest::Error>(())
//! ```
//!
//! Unknown keys are errors, and so is a `format_version` newer than [`FORMAT_VERSION`]: a device
//! must not guess what a key it does not know would have changed.

// Libraries never print or exit: that is for programs.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]

mod audio;
mod decode;
mod error;
mod generate;
mod glibc;
mod input;
mod kind;
mod recipe;
mod target;
mod task;
mod transcribe;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use audio::{AudioInput, MelSpec, VadSpec};
pub use decode::{
    Activation, BoxHead, ClassifySpec, Decode, DetectSpec, EmbedSpec, InstanceSpec, LabelSpec,
    MaskHead, Pooling, PoseSpec, SemanticSpec,
};
pub use error::Error;
pub use generate::{GenerateSpec, SamplingSpec};
pub use glibc::Glibc;
pub use input::{
    Anchor, ChannelOrder, ImageInput, Input, Interpolation, Resize, TextImageInput, TextInput,
    WordsInput,
};
pub use kind::ErrorKind;
pub use recipe::{Expected, Join, Recipe, Source};
pub use target::Target;
pub use task::Task;
pub use transcribe::TranscribeSpec;

/// The newest `format_version` this build reads, and the one it writes.
pub const FORMAT_VERSION: u32 = 1;

/// The name of the file inside a bundle that holds the [`Manifest`].
pub const FILE_NAME: &str = "bundle.toml";

/// `bundle.toml`: one model, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; see [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Model name, for people and reports.
    pub name: String,
    /// What the model answers.
    pub task: Task,
    /// Architecture family: `bert`, `efficientnet-lite`, `yolox`, `moonshine` …
    pub family: String,
    /// The name of the variant that runs when the caller does not choose one.
    pub variant: String,
    /// Every file of the bundle except `bundle.toml` itself.
    #[serde(default)]
    pub files: Vec<FileEntry>,
    /// How caller data becomes input tensors.
    pub input: Input,
    /// How output tensors become an answer.
    pub decode: Decode,
    /// The precisions at hand.
    pub variants: Vec<Variant>,
    /// Where the model came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path relative to the bundle, with `/` between parts and no `..`.
    pub path: String,
    /// Size in bytes; checked when the bundle is opened.
    pub size_bytes: u64,
    /// SHA-256 in lower-case hexadecimal; checked by `bevel verify`.
    pub sha256: String,
}

/// One precision of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Unique name within the bundle: `fp32`, `int8` …
    pub name: String,
    /// How the weights were made, e.g. `fp32`, `dynamic-int8-per-channel`, `as-shipped`.
    pub scheme: String,
    /// Role to graph file. Models of one graph use the role `model`; Moonshine and Whisper have
    /// `encoder` and `decoder`.
    pub graphs: BTreeMap<String, String>,
    /// What was measured when the bundle was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// A measurement of one variant against fp32, taken in one run on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Name of the quality figure: `mAP50-95`, `top1`, `wer`, `cosine` …; with `-agreement` behind it
    /// where fp32's answers were the truth.
    pub metric: String,
    /// Its value over all samples.
    pub value: f64,
    /// Its 95 % confidence interval.
    pub interval: [f64; 2],
    /// fp32's value on the same samples.
    pub reference: f64,
    /// Its worst sample, for metrics that have a value a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// The share of samples answered as fp32 does, for labels on labelled data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// How many samples there were.
    pub samples: usize,
    /// Median time of one run divided by fp32's, interleaved; below 1 is faster. Of several graphs each
    /// counts as often as it runs.
    pub latency_ratio: f64,
    /// The same in milliseconds.
    pub latency_ms: f64,
    /// Processor and thread count.
    pub machine: String,
    /// Role to latency ratio, for models of several graphs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub graphs: BTreeMap<String, f64>,
}

/// Where a bundle came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// File name of the checkpoint.
    pub checkpoint: String,
    /// SHA-256 of the checkpoint in lower-case hexadecimal.
    pub sha256: String,
    /// SPDX licence expression of the weights; empty when unknown.
    #[serde(default)]
    pub license: String,
    /// Tool and version that wrote the bundle, e.g. `bevel 0.1.0`.
    pub tool: String,
}

impl FileEntry {
    /// Size and SHA-256 of what `content` holds, under the name `path`.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of(path: impl Into<String>, mut content: impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut size_bytes = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    size_bytes += read as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let sha256 = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self {
            path: path.into(),
            size_bytes,
            sha256,
        })
    }
}

impl Manifest {
    /// Parses and checks the text of a `bundle.toml`.
    ///
    /// # Errors
    /// [`Error::Version`] for a newer format, [`Error::Parse`] for text that is not this format,
    /// [`Error::Invalid`] for values that contradict each other.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        // The version is looked at first, so that a newer bundle is called newer and not malformed.
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let version: Version = toml::from_str(text).map_err(Error::parse)?;
        if version.format_version > FORMAT_VERSION {
            return Err(Error::Version {
                found: version.format_version,
                known: FORMAT_VERSION,
            });
        }
        let manifest: Self = toml::from_str(text).map_err(Error::parse)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The text of `bundle.toml`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the manifest would not be read back.
    pub fn to_toml(&self) -> Result<String, Error> {
        self.check()?;
        toml::to_string(self).map_err(|e| Error::Invalid(e.to_string()))
    }

    /// The variant called `name`, or the chosen one for `None`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the names that exist.
    pub fn variant(&self, name: Option<&str>) -> Result<&Variant, Error> {
        let name = name.unwrap_or(&self.variant);
        self.variants
            .iter()
            .find(|v| v.name == name)
            .ok_or_else(|| {
                let known: Vec<_> = self.variants.iter().map(|v| v.name.as_str()).collect();
                Error::Invalid(format!(
                    "no variant `{name}`; the bundle has: {}",
                    known.join(", ")
                ))
            })
    }

    /// Every path the manifest names: graphs of all variants, tokenizer, labels. Each once.
    pub fn paths(&self) -> Vec<&str> {
        let graphs = self
            .variants
            .iter()
            .flat_map(|v| v.graphs.values())
            .map(String::as_str);
        let mut paths: Vec<_> = graphs
            .chain(self.input.files())
            .chain(self.decode.files())
            .collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn check(&self) -> Result<(), Error> {
        if self.format_version == 0 {
            return Err(Error::Invalid("format_version 0 was never written".into()));
        }
        self.variant(None)?;
        for (i, variant) in self.variants.iter().enumerate() {
            if variant.graphs.is_empty() {
                return Err(Error::Invalid(format!(
                    "variant `{}` has no graphs",
                    variant.name
                )));
            }
            if self.variants[..i].iter().any(|v| v.name == variant.name) {
                return Err(Error::Invalid(format!(
                    "two variants are called `{}`",
                    variant.name
                )));
            }
        }
        let graphs = self.variants.iter().flat_map(|v| v.graphs.values());
        let files = self.files.iter().map(|f| &f.path);
        for path in graphs
            .chain(files)
            .map(String::as_str)
            .chain(self.input.files())
        {
            check_relative(path)?;
        }
        for path in self.decode.files() {
            check_relative(path)?;
        }
        self.input.check()?;
        self.decode.check()
    }
}

/// A path that stays inside its bundle: relative, no `..`, no drive or root.
fn check_relative(path: &str) -> Result<(), Error> {
    let inside = Path::new(path)
        .components()
        .all(|c| matches!(c, Component::Normal(_)));
    if path.is_empty() || !inside {
        return Err(Error::Invalid(format!("path `{path}` leaves the bundle")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
