//! The classes of a model, by what datasets call them.

use std::collections::BTreeSet;

use bevel::Bundle;
use bevel_manifest::{Decode, ErrorKind};
use bevel_prep::score::spans;

use crate::eval::truth::Class;
use crate::failure::fail;

/// The names of a model's classes; none where it has no names.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    names: Vec<String>,
}

impl Labels {
    /// Those of a bundle.
    ///
    /// # Errors
    /// Where their file cannot be read.
    pub fn of(bundle: &Bundle) -> anyhow::Result<Self> {
        let decode = &bundle.manifest().decode;
        let file = match decode {
            Decode::Classify(spec) => spec.labels.as_deref(),
            Decode::Tag(spec) => Some(spec.labels.as_str()),
            Decode::Semantic(spec) => spec.labels.as_deref(),
            decode => decode.detect().map(|spec| spec.labels.as_str()),
        };
        let names = file.map(|file| bundle.labels(file)).transpose()?;
        Ok(Self {
            names: names.unwrap_or_default(),
        })
    }

    /// How many there are; `None` where the model has no names.
    pub fn len(&self) -> Option<usize> {
        Some(self.names.len()).filter(|count| *count > 0)
    }

    /// The labels of entities that the tags are of: those without `B-` and `I-`.
    pub fn entities(&self) -> BTreeSet<String> {
        let tags = self.names.iter().flat_map(|tag| spans(&[tag]));
        tags.map(|span| span.label).collect()
    }

    /// The class of an index.
    pub fn at(&self, index: usize) -> Option<Class> {
        if self.names.is_empty() {
            return Some(Class {
                index,
                label: index.to_string(),
            });
        }
        let label = self.names.get(index)?.clone();
        Some(Class { index, label })
    }

    /// The class of a name: as it is, or where capitals and what stands between words do not count.
    pub fn named(&self, name: &str) -> Option<Class> {
        let exact = self.names.iter().position(|known| known == name.trim());
        let loose = || {
            let name = loosened(name);
            self.names.iter().position(|known| loosened(known) == name)
        };
        self.at(exact.or_else(loose)?)
            .filter(|_| !self.names.is_empty())
    }

    /// The class of a name, or of an index in decimal.
    ///
    /// # Errors
    /// Where the model has no such class.
    pub fn class(&self, text: &str, place: &str) -> anyhow::Result<Class> {
        let index = || text.trim().parse().ok().and_then(|index| self.at(index));
        self.named(text)
            .or_else(index)
            .ok_or_else(|| self.missing(&[text], place))
    }

    /// The classes of all names of a dataset, in their order: by name, by index, or where none of them
    /// is known and there are as many, one after the other.
    ///
    /// # Errors
    /// Where the model does not have all of them.
    pub fn all(&self, names: &[String], place: &str) -> anyhow::Result<Vec<Class>> {
        let found: Vec<_> = names
            .iter()
            .map(|name| self.class(name, place).ok())
            .collect();
        if found.iter().all(Option::is_none) && self.len().is_none_or(|len| len == names.len()) {
            let by_order = (0..names.len()).map(|index| self.at(index));
            return by_order
                .collect::<Option<_>>()
                .ok_or_else(|| self.missing(&[], place));
        }
        let missing: Vec<&str> = names
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        match missing.is_empty() {
            true => Ok(found.into_iter().flatten().collect()),
            false => Err(self.missing(&missing, place)),
        }
    }

    fn missing(&self, names: &[&str], place: &str) -> anyhow::Error {
        let shown = |names: &[&str]| {
            let more = names.len().checked_sub(5).filter(|more| *more > 0);
            let list: Vec<_> = names
                .iter()
                .take(5)
                .map(|name| format!("`{name}`"))
                .collect();
            list.join(", ") + &more.map_or(String::new(), |more| format!(" and {more} more"))
        };
        let own: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let what = match own.is_empty() {
            true => format!(
                "{} is no class; this model has no names, give indices",
                shown(names)
            ),
            false => format!(
                "the model has no class {}; it has {}",
                shown(names),
                shown(&own)
            ),
        };
        fail(ErrorKind::Input, format!("{place}: {what}"))
    }
}

fn loosened(name: &str) -> String {
    let spaced = name.trim().replace(['_', '-'], " ");
    spaced.to_lowercase()
}
