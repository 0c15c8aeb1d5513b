//! What may be set of a device, and how it is written.

use crate::error::{Error, Result};

/// An option of a provider.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// As it is written.
    pub name: &'static str,
    /// What may stand behind `=`.
    pub values: Values,
    /// What ONNX Runtime calls it; empty where Bevel makes something else of it.
    pub(crate) key: &'static str,
    /// What it does, for people.
    pub meaning: &'static str,
}

/// What an option may be set to.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Values {
    /// Standing alone it is on; else `on` or `off`.
    Switch,
    /// A number of bytes, such as `512MiB`.
    Bytes,
    /// A whole number in a range.
    Number(u32, u32),
    /// One of these words, and what ONNX Runtime is told for it. The words of the option `unit` may stand
    /// alone.
    Words(&'static [(&'static str, &'static str)]),
    /// A path or a name.
    Text,
}

impl Setting {
    /// What ONNX Runtime is told for what is written.
    ///
    /// # Errors
    /// [`Error::Input`] with what is expected.
    pub(super) fn told(&self, written: &str) -> Result<String> {
        let told = match &self.values {
            Values::Switch => match written {
                "on" => Some("1".into()),
                "off" => Some("0".into()),
                _ => None,
            },
            Values::Bytes => bytes(written).map(|bytes| bytes.to_string()),
            Values::Number(low, high) => {
                let number = written.parse().ok();
                let number = number.filter(|n: &u32| (low..=high).contains(&n));
                number.map(|n| n.to_string())
            }
            Values::Words(words) => {
                let found = words.iter().find(|(word, _)| *word == written);
                found.map(|(_, told)| (*told).to_string())
            }
            // ONNX Runtime takes strings that end at a NUL.
            Values::Text => {
                (!written.is_empty() && !written.contains('\0')).then(|| written.into())
            }
        };
        told.ok_or_else(|| {
            let (name, expected) = (self.name, self.expected());
            Error::Input(format!("`{name}={written}`: expected {expected}"))
        })
    }

    /// What may stand behind `=`, for people.
    pub fn expected(&self) -> String {
        match &self.values {
            Values::Switch => "on or off".into(),
            Values::Bytes => "a size such as 512MiB or 2GiB".into(),
            Values::Number(low, high) => format!("a number {low} to {high}"),
            Values::Words(words) => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                words.join(", ")
            }
            Values::Text => "text".into(),
        }
    }
}

/// The largest size that is believed: more is a slip of the pen.
const MAX_BYTES: u64 = 1 << 50;

fn bytes(text: &str) -> Option<u64> {
    let bytes = text.parse::<bytesize::ByteSize>().ok()?.as_u64();
    (1..=MAX_BYTES).contains(&bytes).then_some(bytes)
}
