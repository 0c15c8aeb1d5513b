use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A board that models are made for: `targets/NAME.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is called on the command line.
    pub name: String,
    /// The Rust target triple, such as `aarch64-unknown-linux-gnu`.
    pub triple: String,
    /// What its processor can do, as Rust calls target features: `neon`, `dotprod`, `i8mm`, `fp16`,
    /// `avx2` …; `vnni` stands for any of Intel's.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// Threads that a model gets: the fast cores.
    pub threads: usize,
    /// Where models run, the best first.
    pub providers: Vec<String>,
}

/// Instructions that multiply bytes and add up the products.
const BYTE_PRODUCTS: [&str; 3] = ["dotprod", "i8mm", "vnni"];

impl Target {
    /// Reads a board profile.
    ///
    /// # Errors
    /// [`Error::Parse`] for text that is not one, [`Error::Invalid`] for one without threads.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let target: Self = toml::from_str(text).map_err(Error::parse)?;
        match target.threads {
            0 => Err(Error::Invalid("a target has at least one thread".into())),
            _ => Ok(target),
        }
    }

    /// Whether int8 is fast there.
    pub fn multiplies_bytes(&self) -> bool {
        let mut features = self.cpu_features.iter();
        features.any(|feature| BYTE_PRODUCTS.contains(&feature.as_str()))
    }

    /// Whether fp16 is calculated and not only stored.
    pub fn calculates_halves(&self) -> bool {
        self.cpu_features.iter().any(|feature| feature == "fp16")
    }

    /// Whether its int8 kernels want activations with a sign.
    pub fn wants_signed(&self) -> bool {
        self.triple.starts_with("aarch64") || self.triple.starts_with("arm")
    }
}
