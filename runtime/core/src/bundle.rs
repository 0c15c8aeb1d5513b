//! A bundle on disk, or a plain model seen through a recipe: a manifest and where its files are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bevel_manifest::{Error as ManifestError, FILE_NAME, Manifest, Recipe};

use crate::error::{Error, Result};

/// A model that can be opened: its manifest, and a real path for every file the manifest names.
#[derive(Debug, Clone)]
pub struct Bundle {
    root: PathBuf,
    manifest: Manifest,
    files: BTreeMap<String, PathBuf>,
}

impl Bundle {
    /// Opens a bundle directory. Sizes of its files are compared with the manifest, so a truncated
    /// copy is told at once; hashes are compared by `bevel verify`, which reads everything.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when the directory or a file is missing, [`Error::Manifest`] when
    /// `bundle.toml` is wrong, [`Error::Model`] when a file is not the size it should be.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join(FILE_NAME);
        if !root.is_dir() || !path.is_file() {
            return Err(Error::model(
                root,
                "not a bundle (a directory with bundle.toml); for a plain model give --recipe \
                 FILE.toml, for a checkpoint run `bevel convert` first",
            ));
        }
        let text = read_text(&path)?;
        let manifest = Manifest::from_toml(&text).map_err(|source| Error::Manifest {
            path: path.clone(),
            source,
        })?;
        for file in &manifest.files {
            let path = root.join(&file.path);
            let size = std::fs::metadata(&path)
                .map_err(|source| Error::ModelFile {
                    path: path.clone(),
                    source,
                })?
                .len();
            if size != file.size_bytes {
                return Err(Error::model(
                    &path,
                    format!(
                        "{size} bytes, bundle.toml says {}; copy the bundle again",
                        file.size_bytes
                    ),
                ));
            }
        }
        Self::new(root.to_path_buf(), manifest, |name| Some(root.join(name)))
    }

    /// A plain model through a recipe file. `model` is the graph, or for models of several graphs
    /// the folder that holds them; other files are looked for there and beside the recipe.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the recipe is wrong or describes a checkpoint that must be
    /// converted, [`Error::Model`] when a file it names is nowhere.
    pub fn load_with_recipe(model: &Path, recipe: &Path) -> Result<Self> {
        let text = read_text(recipe)?;
        let bad = |source| Error::Manifest {
            path: recipe.to_path_buf(),
            source,
        };
        let parsed = Recipe::from_toml(&text).map_err(bad)?;
        let manifest = parsed.manifest().map_err(bad)?;
        let (folder, graph) = match model.is_dir() {
            true => (model, None),
            false => (model.parent().unwrap_or(Path::new("")), Some(model)),
        };
        if graph.is_some() && parsed.graphs.len() > 1 {
            return Err(bad(ManifestError::Invalid(format!(
                "`{}` has {} graphs; give the folder that holds them instead of {}",
                parsed.name,
                parsed.graphs.len(),
                model.display()
            ))));
        }
        let beside = recipe.parent().unwrap_or(Path::new(""));
        Self::new(folder.to_path_buf(), manifest, |name| match graph {
            Some(graph) if parsed.graphs.values().any(|g| g == name) => Some(graph.to_path_buf()),
            _ => [folder, beside]
                .iter()
                .map(|f| f.join(name))
                .find(|p| p.is_file()),
        })
    }

    fn new(
        root: PathBuf,
        manifest: Manifest,
        find: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self> {
        let mut files = BTreeMap::new();
        for name in manifest.paths() {
            let path = find(name).ok_or_else(|| {
                Error::model(
                    &root,
                    format!("`{name}` is missing, and not beside the recipe either"),
                )
            })?;
            files.insert(name.to_string(), path);
        }
        Ok(Self {
            root,
            manifest,
            files,
        })
    }

    /// The directory of the bundle.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The real path of a file that the manifest names.
    ///
    /// # Errors
    /// [`Error::Internal`] for a name the manifest does not hold.
    pub fn file(&self, name: &str) -> Result<&Path> {
        let path = self.files.get(name).map(PathBuf::as_path);
        path.ok_or_else(|| Error::Internal(format!("`{name}` is not a file of the bundle")))
    }

    /// The graph of a role in the chosen variant, or in the one called `variant`.
    ///
    /// # Errors
    /// [`Error::Manifest`] when there is no such variant or role.
    pub fn graph(&self, variant: Option<&str>, role: &str) -> Result<&Path> {
        let graphs = self.graphs(variant)?;
        graphs.get(role).copied().ok_or_else(|| {
            let roles: Vec<_> = graphs.keys().copied().collect();
            self.bad_manifest(ManifestError::Invalid(format!(
                "variant `{}` has no graph `{role}`, only: {}",
                variant.unwrap_or(&self.manifest.variant),
                roles.join(", ")
            )))
        })
    }

    /// Role to file of all graphs of the chosen variant, or of the one called `variant`.
    ///
    /// # Errors
    /// [`Error::Manifest`] when there is no such variant.
    pub fn graphs(&self, variant: Option<&str>) -> Result<BTreeMap<&str, &Path>> {
        let variant = self.manifest.variant(variant);
        let variant = variant.map_err(|source| self.bad_manifest(source))?;
        let graphs = variant.graphs.iter();
        graphs
            .map(|(role, name)| Ok((role.as_str(), self.file(name)?)))
            .collect()
    }

    fn bad_manifest(&self, source: ManifestError) -> Error {
        Error::Manifest {
            path: self.root.join(FILE_NAME),
            source,
        }
    }

    /// The lines of a label file.
    ///
    /// # Errors
    /// [`Error::ModelFile`] or [`Error::Model`] when it is missing, empty or not UTF-8.
    pub fn labels(&self, name: &str) -> Result<Vec<String>> {
        let path = self.file(name)?;
        let labels: Vec<_> = read_text(path)?
            .lines()
            .map(|l| l.trim().to_string())
            .collect();
        if labels.is_empty() {
            return Err(Error::model(
                path,
                "no labels in it; write one label a line",
            ));
        }
        Ok(labels)
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|source| Error::ModelFile {
        path: path.to_path_buf(),
        source,
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::model(path, format!("not UTF-8 text (byte {at})"))
    })
}
