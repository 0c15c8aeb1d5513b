//! What a recipe says goes before what the checkpoint says.

use std::path::PathBuf;

use bevel_manifest::{Decode, Task};

use crate::arch::{Built, BundleFile, Content};
use crate::source::Source;
use crate::{Error, Options};

/// Name of the label file in bundles whose recipe gives it none.
const LABELS: &str = "labels.txt";

impl Options {
    /// The task the user or the recipe names.
    pub(crate) fn wanted_task(&self) -> Option<Task> {
        self.task.or(self.recipe.as_ref().map(|recipe| recipe.task))
    }

    /// What a family is to do: what was asked for, else the first of those that it can.
    ///
    /// # Errors
    /// [`Error::Task`] for what it cannot do.
    pub(crate) fn task_of(&self, family: &'static str, known: &[Task]) -> Result<Task, Error> {
        let usual = known.first().copied().unwrap_or(Task::Tensors);
        let task = self.wanted_task().unwrap_or(usual);
        if known.contains(&task) {
            return Ok(task);
        }
        let names: Vec<_> = known.iter().map(Task::to_string).collect();
        Err(Error::Task {
            family,
            task,
            known: names.join(", "),
        })
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

/// Lays the recipe over what was built, and sees that every file named is there: labels beside the
/// recipe, what the input needs (such as a voice activity detector) there or beside the checkpoint.
pub(crate) fn apply(built: &mut Built, options: &Options, source: &Source) -> Result<(), Error> {
    if let Some(recipe) = &options.recipe {
        if let Some(input) = &recipe.input {
            built.input = input.clone();
        }
        if let Some(decode) = &recipe.decode {
            built.decode = decode.clone();
        }
        for name in &recipe.beside {
            if !has(built, name) {
                built.files.push(copy(name, options.beside(name)?));
            }
        }
    }
    let missing = |name: &str, what: &str| {
        let text = format!("the recipe names `{name}`, which is not beside it; {what}");
        Err(Error::Request(text))
    };
    if let Some(name) = labels_of(&built.decode).filter(|name| !has(built, name)) {
        return missing(name, "give it with --labels");
    }
    let needed: Vec<String> = built.input.files().into_iter().map(Into::into).collect();
    for name in needed {
        if has(built, &name) {
            continue;
        }
        let beside = options.recipe_dir.as_ref().map(|folder| folder.join(&name));
        let mut places = beside.into_iter().chain([source.path(&name)]);
        match places.find(|path| path.is_file()) {
            Some(path) => built.files.push(copy(&name, path)),
            None => return missing(&name, "put it there, or beside the checkpoint"),
        }
    }
    Ok(())
}

fn has(built: &Built, name: &str) -> bool {
    built.files.iter().any(|file| file.name == name)
}

fn copy(name: &str, from: PathBuf) -> BundleFile {
    BundleFile {
        name: name.into(),
        content: Content::Copy(from),
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

#[cfg(test)]
mod tests {
    use bevel_manifest::{Manifest, Recipe};

    use super::*;
    use crate::convert;
    use crate::testing::Bert;

    const RECIPE: &str = r#"
        name = "m"
        task = "embed"
        family = "bert"
        license = "MIT"
        homepage = ""
        sources = []
        checkpoint = "model.safetensors"
        [input]
        kind = "audio"
        sample_rate_hz = 16000
        max_piece_s = 30.0
        vad = { graph = "vad.onnx", threshold = 0.5, min_silence_ms = 500, pad_ms = 400 }
    "#;

    #[test]
    fn what_the_input_names_travels_into_the_bundle() {
        for (name, beside, in_checkpoint, travels) in [
            ("beside the recipe", true, false, Some("recipe")),
            ("beside the checkpoint", false, true, Some("checkpoint")),
            ("in both", true, true, Some("recipe")),
            ("nowhere", false, false, None),
        ] {
            let bert = Bert::new("BertModel", "");
            let (checkpoint, folder) = (bert.write(), tempfile::tempdir().unwrap());
            let put = |dir: &std::path::Path, text| std::fs::write(dir.join("vad.onnx"), text);
            if beside {
                put(folder.path(), "recipe").unwrap();
            }
            if in_checkpoint {
                put(&checkpoint, "checkpoint").unwrap();
            }
            let options = Options {
                recipe: Some(Recipe::from_toml(RECIPE).unwrap()),
                recipe_dir: Some(folder.path().into()),
                ..Options::default()
            };
            let done = convert(&checkpoint, &bert.out(), &options, None, &mut |_| {});
            let Some(expected) = travels else {
                let error = done.unwrap_err().to_string();
                assert!(error.contains("`vad.onnx`"), "{name}: {error}");
                continue;
            };
            done.unwrap();
            let found = std::fs::read_to_string(bert.out().join("vad.onnx")).unwrap();
            assert_eq!(found, expected, "{name}");
            let text = std::fs::read_to_string(bert.out().join("bundle.toml")).unwrap();
            let manifest = Manifest::from_toml(&text).unwrap();
            let mut files = manifest.files.iter();
            assert!(files.any(|file| file.path == "vad.onnx"), "{name}");
        }
    }
}
