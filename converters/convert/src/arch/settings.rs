//! Typed reading of `config.json`.

use std::path::PathBuf;

use serde_json::Value;

use super::layers::Activation;
use crate::Error;
use crate::source::Source;

/// Beyond this a number in `config.json` is a mistake.
const MAX_SIZE: u64 = 1 << 24;

/// One object of `config.json`, with errors that name the file, the family and the key.
#[derive(Clone)]
pub(super) struct Settings<'a> {
    path: PathBuf,
    family: &'static str,
    config: &'a Value,
}

impl<'a> Settings<'a> {
    /// Deeper than any model: a graph of so many layers still fits into memory.
    pub const MAX_LAYERS: usize = 1024;

    /// `config.json` itself.
    ///
    /// # Errors
    /// [`Error::SideFile`] where there is none.
    pub fn read(source: &'a Source, family: &'static str) -> Result<Self, Error> {
        let path = source.path("config.json");
        let Some(config) = &source.config else {
            return Err(Error::SideFile {
                path,
                what: format!("missing; a {family} checkpoint needs it beside the weights"),
            });
        };
        Ok(Self {
            path,
            family,
            config,
        })
    }

    /// The object under `key`, such as `text_config`; `None` where there is none.
    pub fn section(&self, key: &str) -> Option<Self> {
        let config = self.get(key).filter(|value| value.is_object())?;
        Some(Self {
            config,
            ..self.clone()
        })
    }

    /// A value that is there and not null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.config.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key is there, to say that there is none.
    pub fn is_null(&self, key: &str) -> bool {
        self.config.get(key).is_some_and(Value::is_null)
    }

    /// A whole number above 0.
    ///
    /// # Errors
    /// [`Error::SideFile`] for anything else.
    pub fn size(&self, key: &str, default: usize) -> Result<usize, Error> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        match value.as_u64() {
            Some(n) if (1..=MAX_SIZE).contains(&n) => Ok(n as usize),
            _ => Err(self.wrong(format!("`{key}` is {value}, expected a size above 0"))),
        }
    }

    /// A size that no default can stand for.
    ///
    /// # Errors
    /// [`Error::SideFile`] where it is missing, too.
    pub fn needed(&self, key: &str) -> Result<usize, Error> {
        if self.get(key).is_none() {
            return Err(self.wrong(format!("has no `{key}`, which {} needs", self.family)));
        }
        self.size(key, 0)
    }

    /// How many layers there are, at most 1024.
    ///
    /// # Errors
    /// [`Error::SideFile`] for anything else.
    pub fn layers(&self, key: &str, default: usize) -> Result<usize, Error> {
        match self.size(key, default)? {
            layers @ ..=Self::MAX_LAYERS => Ok(layers),
            layers => Err(self.wrong(format!(
                "`{key}` is {layers}, expected at most {} layers",
                Self::MAX_LAYERS
            ))),
        }
    }

    /// A list of sizes.
    ///
    /// # Errors
    /// [`Error::SideFile`] for anything else.
    pub fn sizes(&self, key: &str, default: &[usize]) -> Result<Vec<usize>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(default.to_vec());
        };
        let size = |v: &Value| v.as_u64().filter(|n| (1..=MAX_SIZE).contains(n));
        let list = value.as_array().map(|list| list.iter().map(size));
        let sizes: Option<Vec<u64>> = list.and_then(Iterator::collect);
        match sizes {
            Some(sizes) if !sizes.is_empty() => Ok(sizes.into_iter().map(|n| n as usize).collect()),
            _ => Err(self.wrong(format!("`{key}` is {value}, expected a list of sizes"))),
        }
    }

    pub fn number(&self, key: &str, default: f64) -> Result<f64, Error> {
        match self.get(key).map(|value| (value, value.as_f64())) {
            None => Ok(default),
            Some((_, Some(number))) => Ok(number),
            Some((value, None)) => {
                Err(self.wrong(format!("`{key}` is {value}, expected a number")))
            }
        }
    }

    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str)
    }

    /// A token id, or the first of a list of them.
    pub fn id(&self, key: &str) -> Option<u32> {
        let value = self.get(key)?;
        let first = value.as_array().map_or(Some(value), |list| list.first())?;
        u32::try_from(first.as_u64()?).ok()
    }

    /// The non-linearity named under `key`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the names that are known.
    pub fn activation(&self, key: &str, default: Activation) -> Result<Activation, Error> {
        let Some(name) = self.text(key) else {
            return Ok(default);
        };
        Activation::named(name).ok_or_else(|| {
            let next = format!("known: {}", Activation::names());
            self.unsupported(format!("{key} `{name}`"), next)
        })
    }

    /// The class that was saved: the first of `architectures`.
    pub fn architecture(&self) -> Option<&'a str> {
        self.get("architectures")?.as_array()?.first()?.as_str()
    }

    /// D / H, the width of one attention head.
    ///
    /// # Errors
    /// [`Error::SideFile`] when H does not divide D.
    pub fn head_width(&self, hidden: usize, heads: usize) -> Result<usize, Error> {
        match hidden.is_multiple_of(heads) {
            true => Ok(hidden / heads),
            false => Err(self.wrong(format!(
                "{heads} attention heads do not divide the hidden size {hidden}"
            ))),
        }
    }

    pub fn wrong(&self, what: String) -> Error {
        Error::SideFile {
            path: self.path.clone(),
            what,
        }
    }

    pub fn unsupported(&self, what: impl Into<String>, next: impl Into<String>) -> Error {
        Error::Unsupported {
            family: self.family,
            what: what.into(),
            next: next.into(),
        }
    }
}
