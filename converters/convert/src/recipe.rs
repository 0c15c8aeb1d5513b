//! What a recipe says goes before what the checkpoint says.

use std::path::PathBuf;

use bevel_manifest::{Decode, Task};

use crate::arch::{Built, BundleFile, Content};
use crate::{Error, Options};

/// Name of the label file in bundles whose recipe gives it none.
const LABELS: &str = "labels.txt";

impl Options {
    /// The task the user or the recipe names.
    pub(crate) fn wanted_task(&self) -> Option<Task> {
        self.task.or(self.recipe.as_ref().map(|recipe| recipe.task))
    }

    /// What the label file is called in the bundle.
    pub(crate) fn labels_name(&self) -> &str {
        let recipe = self.recipe.as_ref();
        let decode = recipe.and_then(|recipe| recipe.decode.as_ref());
        decode.and_then(labels_of).unwrap_or(LABELS)
    }

    /// The label file of the user, or the one that stands beside the recipe.
    ///
    /// # Errors
    /// [`Error::Request`] when the recipe's folder is not known.
    pub(crate) fn labels_path(&self) -> Result<Option<PathBuf>, Error> {
        if let Some(path) = &self.labels {
            return Ok(Some(path.clone()));
        }
        let name = self.labels_name();
        match &self.recipe {
            Some(recipe) if recipe.beside.iter().any(|file| file == name) => {
                self.beside(name).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn beside(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.recipe_dir.as_ref().ok_or_else(|| {
            Error::Request(format!(
                "the recipe has `{name}` beside it, but the folder of the recipe is not known"
            ))
        })?;
        Ok(folder.join(name))
    }
}

/// Lays the recipe over what was built, and sees that every label file named is there.
pub(crate) fn apply(built: &mut Built, options: &Options) -> Result<(), Error> {
    if let Some(recipe) = &options.recipe {
        if let Some(input) = &recipe.input {
            built.input = input.clone();
        }
        if let Some(decode) = &recipe.decode {
            built.decode = decode.clone();
        }
        for name in &recipe.beside {
            if !built.files.iter().any(|file| file.name == *name) {
                built.files.push(BundleFile {
                    name: name.clone(),
                    content: Content::Copy(options.beside(name)?),
                });
            }
        }
    }
    match labels_of(&built.decode) {
        Some(name) if !built.files.iter().any(|file| file.name == name) => Err(Error::Request(
            format!("the recipe names `{name}`, which is not beside it; give it with --labels"),
        )),
        _ => Ok(()),
    }
}

fn labels_of(decode: &Decode) -> Option<&str> {
    match decode {
        Decode::Classify(spec) => spec.labels.as_deref(),
        Decode::Tag(spec) => Some(&spec.labels),
        Decode::Detect(spec) => Some(&spec.labels),
        _ => None,
    }
}
