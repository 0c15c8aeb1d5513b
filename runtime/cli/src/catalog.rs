//! The recipes in `models/`, compiled in, and where pulled models lie.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_manifest::{ErrorKind, Recipe};

use crate::failure::fail;

/// A recipe and the small files that stand beside it.
pub struct Entry {
    /// The recipe's text.
    pub text: &'static str,
    /// Name and content of the files beside it.
    pub beside: &'static [(&'static str, &'static str)],
}

macro_rules! recipe {
    ($path:literal $(, $name:literal in $folder:literal)*) => {
        Entry {
            text: include_str!(concat!("../../../models/", $path)),
            beside: &[$(($name, include_str!(concat!("../../../models/", $folder, "/", $name)))),*],
        }
    };
}

/// Every recipe of `models/`; a test compares this list with the folder.
pub const ENTRIES: [Entry; 5] = [
    recipe!("classify/efficientnet-lite0.toml", "imagenet-1k.txt" in "classify"),
    recipe!("detect/yolox-nano.toml", "coco-80.txt" in "detect"),
    recipe!("embed/all-minilm-l6-v2.toml"),
    recipe!("transcribe/moonshine-tiny.toml"),
    recipe!("transcribe/whisper-base.toml"),
];

impl Entry {
    /// The parsed recipe.
    pub fn recipe(&self) -> anyhow::Result<Recipe> {
        Ok(Recipe::from_toml(self.text)?)
    }
}

/// The recipe of a catalogue name.
pub fn find(name: &str) -> anyhow::Result<Option<(Recipe, &'static Entry)>> {
    for entry in &ENTRIES {
        let recipe = entry.recipe()?;
        if recipe.name == name {
            return Ok(Some((recipe, entry)));
        }
    }
    Ok(None)
}

/// Where pulled models lie: `BEVEL_MODELS`, else `models/.cache` of a checkout, else the user's data
/// folder.
pub fn folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("BEVEL_MODELS").filter(|f| !f.is_empty()) {
        return Ok(folder.into());
    }
    if Path::new("models/embed").is_dir() {
        return Ok("models/.cache".into());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    let data = data.context(fail(
        ErrorKind::Input,
        "no HOME; set BEVEL_MODELS to a folder",
    ))?;
    Ok(data.join("bevel/models"))
}

/// The folder of a pulled model, if `name` is in the catalogue.
///
/// # Errors
/// Says how to pull it when it has not been pulled.
pub fn pulled(name: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Some(name) = name.to_str() else {
        return Ok(None);
    };
    if find(name)?.is_none() {
        return Ok(None);
    }
    let folder = folder()?.join(name);
    if folder.join(RECIPE_FILE).is_file() {
        return Ok(Some(folder));
    }
    Err(fail(
        ErrorKind::Model,
        format!("`{name}` is not here yet; run: bevel models pull {name}"),
    ))
}

/// Written last into a pulled model's folder: its presence says that the pull was complete.
pub const RECIPE_FILE: &str = "recipe.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_in_the_folder_is_listed_and_valid() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let mut files = Vec::new();
        for task in std::fs::read_dir(&models)
            .unwrap()
            .map(|e| e.unwrap().path())
        {
            // The cache holds copies of recipes, one folder deeper or not at all.
            if task.is_dir() && !task.ends_with(".cache") {
                files.extend(std::fs::read_dir(task).unwrap().map(|e| e.unwrap().path()));
            }
        }
        files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
        assert_eq!(files.len(), ENTRIES.len(), "{files:?}");
        for file in files {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let (recipe, entry) = find(name).unwrap().expect(name);
            let task = file
                .parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap();
            assert_eq!(recipe.task.name(), task, "{name}");
            let beside: Vec<_> = entry.beside.iter().map(|(n, _)| n.to_string()).collect();
            assert_eq!(recipe.beside, beside, "{name}");
            assert!(
                !recipe.license.is_empty() && !recipe.sources.is_empty(),
                "{name}"
            );
            if recipe.checkpoint.is_none() {
                recipe.manifest().unwrap();
            }
        }
    }
}
