//! A bundle, on disk or in memory, or a plain model seen through a recipe: a manifest and where its
//! files are.

mod file;
mod packed;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use bevel_manifest::{Error as ManifestError, FILE_NAME, Manifest, Recipe};

use crate::error::{Error, Result};

pub use file::ModelFile;

/// A model that can be opened: its manifest, and every file that the manifest names.
#[derive(Debug, Clone)]
pub struct Bundle {
    root: PathBuf,
    manifest: Manifest,
    files: BTreeMap<String, ModelFile>,
}

impl Bundle {
    /// Opens a bundle directory, or the same packed into one file, a tar archive without compression.
    /// Sizes of its files are compared with the manifest, so a truncated copy is told at once; hashes
    /// are compared by `bevel verify`, which reads everything. A packed bundle is read into memory.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when the directory or a file is missing, [`Error::Manifest`] when
    /// `bundle.toml` is wrong, [`Error::Model`] when a file is not the size it should be.
    pub fn load(root: &Path) -> Result<Self> {
        let unreadable = |source| Error::ModelFile {
            path: root.to_path_buf(),
            source,
        };
        if root.is_file() {
            let archive = File::open(root).map_err(unreadable)?;
            let members = packed::members(root, archive)?;
            return Self::of(root, |name| ModelFile::packed(root, &members, name));
        }
        Self::of(root, |name| {
            let path = root.join(name);
            path.is_file().then(|| ModelFile::from(path.as_path()))
        })
    }

    /// Opens a packed bundle that is in memory, see [`load`](Self::load). What is needed is copied out of
    /// `archive`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(archive: &[u8]) -> Result<Self> {
        let root = Path::new("bundle in memory");
        let members = packed::members(root, archive)?;
        Self::of(root, |name| ModelFile::packed(root, &members, name))
    }

    /// Reads and checks the manifest.
    fn of(root: &Path, find: impl Fn(&str) -> Option<ModelFile>) -> Result<Self> {
        let Some(file) = find(FILE_NAME) else {
            return Err(Error::model(
                root,
                "not a bundle (a directory with bundle.toml); for a plain model give --recipe \
                 FILE.toml, for a checkpoint run `bevel convert` first",
            ));
        };
        let manifest = Manifest::from_toml(&file.text()?).map_err(|source| Error::Manifest {
            path: file.path().to_path_buf(),
            source,
        })?;
        for entry in &manifest.files {
            // One that is not there is as good as one that cannot be read.
            let file = find(&entry.path);
            let file = file.unwrap_or_else(|| root.join(&entry.path).as_path().into());
            let size = file.size_bytes()?;
            if size != entry.size_bytes {
                return Err(Error::model(
                    file.path(),
                    format!(
                        "{size} bytes, bundle.toml says {}; copy the bundle again",
                        entry.size_bytes
                    ),
                ));
            }
        }
        Self::new(root.to_path_buf(), manifest, find)
    }

    /// A plain model through a recipe file. `model` is the graph, or for models of several graphs
    /// the folder that holds them; other files are looked for there and beside the recipe.
    ///
    /// # Errors
    /// [`Error::Manifest`] when the recipe is wrong or describes a checkpoint that must be
    /// converted, [`Error::Model`] when a file it names is nowhere.
    pub fn load_with_recipe(model: &Path, recipe: &Path) -> Result<Self> {
        let text = ModelFile::from(recipe).text()?;
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
            Some(graph) if parsed.graphs.values().any(|g| g == name) => Some(graph.into()),
            _ => {
                let mut paths = [folder, beside].into_iter().map(|f| f.join(name));
                let path = paths.find(|p| p.is_file());
                path.map(|path| path.as_path().into())
            }
        })
    }

    fn new(
        root: PathBuf,
        manifest: Manifest,
        find: impl Fn(&str) -> Option<ModelFile>,
    ) -> Result<Self> {
        let mut files = BTreeMap::new();
        let listed = manifest.files.iter().map(|file| file.path.as_str());
        for name in manifest.paths().into_iter().chain(listed) {
            let file = find(name).ok_or_else(|| {
                Error::model(
                    &root,
                    format!("`{name}` is missing, and not beside the recipe either"),
                )
            })?;
            files.insert(name.to_string(), file);
        }
        Ok(Self {
            root,
            manifest,
            files,
        })
    }

    /// The directory of the bundle, its file where it is packed, or what messages call one in memory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A file that the manifest names.
    ///
    /// # Errors
    /// [`Error::Internal`] for a name the manifest does not hold.
    pub fn file(&self, name: &str) -> Result<&ModelFile> {
        let file = self.files.get(name);
        file.ok_or_else(|| Error::Internal(format!("`{name}` is not a file of the bundle")))
    }

    /// The graph of a role in the chosen variant, or in the one called `variant`.
    ///
    /// # Errors
    /// [`Error::Manifest`] when there is no such variant or role.
    pub fn graph(&self, variant: Option<&str>, role: &str) -> Result<&ModelFile> {
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
    pub fn graphs(&self, variant: Option<&str>) -> Result<BTreeMap<&str, &ModelFile>> {
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
        let file = self.file(name)?;
        let labels: Vec<_> = file.text()?.lines().map(|l| l.trim().to_string()).collect();
        if labels.is_empty() {
            return Err(Error::model(
                file.path(),
                "no labels in it; write one label a line",
            ));
        }
        Ok(labels)
    }
}
