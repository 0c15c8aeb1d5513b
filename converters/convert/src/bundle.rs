//! A bundle under construction: a hidden folder beside its destination, renamed when it is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use bevel_manifest::{FILE_NAME, FileEntry, Manifest};

use crate::Error;
use crate::arch::{BundleFile, Content};

/// The unfinished folder. Dropping it removes it.
pub(crate) struct Staging {
    dir: PathBuf,
    out: PathBuf,
}

impl Staging {
    /// Makes the folder, after seeing that `out` is free or a bundle that may be replaced.
    pub fn new(out: &Path) -> Result<Self, Error> {
        let request = |what: &str| Err(Error::Request(format!("{} {what}", out.display())));
        let Some(name) = out.file_name() else {
            return request("is no name for a bundle; write for example -o model.bevel");
        };
        let empty = |out: &Path| out.read_dir().is_ok_and(|mut d| d.next().is_none());
        if out.exists() && !out.join(FILE_NAME).is_file() && !empty(out) {
            return request("exists and is not a bundle; it is left alone, choose another name");
        }
        let parent = out.parent().unwrap_or(Path::new(""));
        let hidden = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let dir = parent.join(hidden);
        // A leftover of a crashed process that had the same id.
        let _ = std::fs::remove_dir_all(&dir);
        if !parent.as_os_str().is_empty() {
            std::fs::create_dir_all(parent).map_err(|e| Error::write(parent, e))?;
        }
        std::fs::create_dir(&dir).map_err(|e| Error::write(out, e))?;
        Ok(Self {
            dir,
            out: out.into(),
        })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn add(&self, file: &BundleFile) -> Result<(), Error> {
        let path = self.dir.join(&file.name);
        match &file.content {
            Content::Copy(from) => std::fs::copy(from, &path).map_err(|e| Error::read(from, e))?,
            Content::Text(text) => {
                std::fs::write(&path, text).map_err(|e| Error::write(&path, e))?;
                text.len() as u64
            }
        };
        Ok(())
    }

    /// Size and hash of every file, in name order.
    pub fn entries(&self) -> Result<Vec<FileEntry>, Error> {
        let failed = |e| Error::read(&self.dir, e);
        let mut entries = Vec::new();
        for found in self.dir.read_dir().map_err(failed)? {
            let path = found.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name == FILE_NAME {
                continue;
            }
            entries.push(entry(name, &path)?);
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        std::fs::remove_file(&path).map_err(|e| Error::write(path, e))
    }

    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = self.dir.join(FILE_NAME);
        std::fs::write(&path, manifest.to_toml()?).map_err(|e| Error::write(path, e))
    }

    /// Puts the bundle in its place. An older one there goes only once the new one has come.
    pub fn finish(self) -> Result<(), Error> {
        let out = self.out.clone();
        self.finish_at(&out)
    }

    /// The same in another place.
    pub fn finish_at(self, out: &Path) -> Result<(), Error> {
        let failed = |e| Error::write(out, e);
        if !out.exists() {
            return std::fs::rename(&self.dir, out).map_err(failed);
        }
        let old = self.dir.with_extension("old");
        std::fs::rename(out, &old).map_err(failed)?;
        if let Err(error) = std::fs::rename(&self.dir, out) {
            let _ = std::fs::rename(&old, out);
            return Err(failed(error));
        }
        std::fs::remove_dir_all(&old).map_err(|e| Error::write(old, e))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After `finish` there is nothing left to remove.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Size and SHA-256 of a file, under the name it has in a bundle.
pub(crate) fn entry(name: impl Into<String>, path: &Path) -> Result<FileEntry, Error> {
    let failed = |e| Error::read(path, e);
    FileEntry::of(name, File::open(path).map_err(failed)?).map_err(failed)
}
