//! Devices: what `--device` names, and how each becomes an execution provider of ONNX Runtime.
//!
//! ```text
//! NAME[:INDEX][:OPTION[=VALUE]]…        cuda:1:memory=2GiB     tensorrt:fp16:cache=/var/cache/engines
//! plugin:LIBRARY[:OPTION[=VALUE]]…      plugin:/opt/libonnxruntime_providers_qnn.so:npu
//! ```
//!
//! `fix.AXIS=SIZE` gives a named dynamic axis of the graph one size, for accelerators that take fixed shapes only:
//! `qnn:fix.batch=1`.
//!
//! A list with commas is tried in order: `cuda,cpu`. A device that is asked for and cannot be had is an
//! error; the CPU serves in its place only where the caller lists it. Names, options and what to install are
//! rows of a table, [`PROVIDERS`].

mod engines;
mod nvidia;
mod options;
mod parse;
mod plugin;
mod profile;
mod providers;
mod register;
mod survey;

use std::fmt;
use std::path::{Path, PathBuf};

pub use engines::{Engines, cache_dir};
pub use options::{Setting, Values};
pub use providers::{PROVIDERS, Provider, ProviderKind};
pub use survey::{Survey, survey};

pub(crate) use register::Registration;

/// Where a graph runs: a provider, which of its devices, and its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    provider: &'static Provider,
    index: Option<u32>,
    /// The library of a plug-in.
    library: Option<PathBuf>,
    choices: Vec<Choice>,
}

/// An option that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    name: String,
    /// As it is written behind `=`; nothing for what stands alone.
    written: Option<String>,
    /// What ONNX Runtime is told.
    told: String,
}

impl Device {
    /// The processor.
    pub fn cpu() -> Self {
        Self::of(&providers::CPU)
    }

    /// A device of a provider, without options.
    fn of(provider: &'static Provider) -> Self {
        Self {
            provider,
            index: None,
            library: None,
            choices: Vec::new(),
        }
    }

    /// The row of the table that it belongs to.
    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// Whether it is the processor through ONNX Runtime's own kernels.
    pub fn is_cpu(&self) -> bool {
        self.provider.kind == ProviderKind::Cpu
    }

    /// Which of the provider's devices, counted from 0.
    pub fn index(&self) -> u32 {
        self.index.unwrap_or(0)
    }

    /// The library of a plug-in.
    pub fn library(&self) -> Option<&Path> {
        self.library.as_deref()
    }

    /// The dynamic axes that are given a size, by their names in the graph.
    fn fixed(&self) -> impl Iterator<Item = (&str, i64)> {
        self.choices.iter().filter_map(|choice| {
            let axis = choice.name.strip_prefix(parse::FIX)?;
            Some((axis, choice.told.parse().ok()?))
        })
    }

    /// What ONNX Runtime is told for an option, where it was given.
    fn choice(&self, name: &str) -> Option<&str> {
        let found = self.choices.iter().find(|choice| choice.name == name);
        found.map(|choice| choice.told.as_str())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provider.name)?;
        if let Some(library) = &self.library {
            write!(f, ":{}", library.display())?;
        }
        match self.index {
            Some(index) => write!(f, ":{index}")?,
            None if self.provider.default_index() => f.write_str(":0")?,
            None => (),
        }
        for choice in &self.choices {
            match &choice.written {
                Some(written) => write!(f, ":{}={written}", choice.name)?,
                None => write!(f, ":{}", choice.name)?,
            }
        }
        Ok(())
    }
}

/// Devices in order of preference; the first that can be had is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices(Vec<Device>);

impl Default for Devices {
    fn default() -> Self {
        Self(vec![Device::cpu()])
    }
}

impl From<Device> for Devices {
    fn from(device: Device) -> Self {
        Self(vec![device])
    }
}

impl Devices {
    /// The devices in order.
    pub fn iter(&self) -> impl Iterator<Item = &Device> {
        self.0.iter()
    }

    /// The devices before the CPU, where it is listed last and others before it: those that it may
    /// stand in for.
    pub fn before_cpu(&self) -> Option<Self> {
        match self.0.split_last() {
            Some((last, before)) if last.is_cpu() && !before.is_empty() => {
                Some(Self(before.to_vec()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, device) in self.0.iter().enumerate() {
            write!(f, "{}{device}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
