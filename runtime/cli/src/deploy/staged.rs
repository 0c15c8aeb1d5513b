//! A deployment under construction: a hidden folder that is complete before it gets its name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_manifest::ErrorKind;
use tempfile::TempDir;

use super::model::cannot;
use crate::failure::fail;
use crate::{disk, verify};

/// Of every file but itself; also what tells a deployment from other folders.
pub const SUMS: &str = "SHA256SUMS";

/// The unfinished folder; dropping it removes it.
pub struct Staged {
    folder: TempDir,
}

/// A file of the finished folder.
pub struct Entry {
    /// Relative, with `/` between parts.
    pub path: String,
    pub size_bytes: u64,
    pub program: bool,
}

impl Staged {
    /// Makes the folder inside `parent`, where there is room for so many bytes.
    pub fn new(parent: &Path, needed_bytes: u64) -> anyhow::Result<Self> {
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        fs::create_dir_all(parent).with_context(|| cannot(parent))?;
        if let Some(free) = disk::free(parent).filter(|free| *free < needed_bytes) {
            let what = format!(
                "{}: {} free, {} needed; make room or write to another disk",
                parent.display(),
                disk::text(free),
                disk::text(needed_bytes)
            );
            return Err(fail(ErrorKind::Input, what));
        }
        let folder = tempfile::Builder::new()
            .prefix(".bevel-deploy-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent)
            .with_context(|| cannot(parent))?;
        Ok(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn copy(&self, from: &Path, name: &str, program: bool) -> anyhow::Result<()> {
        let to = self.place(name)?;
        fs::copy(from, &to).map_err(|source| bevel::Error::InputFile {
            path: from.to_owned(),
            source,
        })?;
        mode(&to, program)
    }

    pub fn write(&self, name: &str, bytes: &[u8], program: bool) -> anyhow::Result<()> {
        let to = self.place(name)?;
        fs::write(&to, bytes).with_context(|| cannot(&to))?;
        mode(&to, program)
    }

    /// Writes the hashes of all files and answers what there is, in order.
    pub fn finish(&self) -> anyhow::Result<Vec<Entry>> {
        let mut sums = String::new();
        for entry in self.entries()? {
            let path = self.path().join(&entry.path);
            let sha256 = verify::entry(&entry.path, &path.as_path().into())?.sha256;
            mode(&path, entry.program)?;
            sums += &format!("{sha256}  {}\n", entry.path);
        }
        self.write(SUMS, sums.as_bytes(), false)?;
        self.entries()
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for found in self.path().join(&folder).read_dir()? {
                let found = found?;
                let path = format!("{folder}{}", found.file_name().to_string_lossy());
                let data = found.metadata()?;
                match data.is_dir() {
                    true => folders.push(path + "/"),
                    false => entries.push(Entry {
                        path,
                        size_bytes: data.len(),
                        program: data.permissions().mode() & 0o100 != 0,
                    }),
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Puts the folder in its place. An older deployment there goes only once the new one has come.
    pub fn rename(self, out: &Path) -> anyhow::Result<()> {
        may_replace(out)?;
        let new = self.folder.keep();
        let moved = replace(&new, out);
        if moved.is_err() {
            // What is left of it helps nobody.
            let _ = fs::remove_dir_all(&new);
        }
        moved.with_context(|| cannot(out))
    }

    fn place(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path().join(name);
        let parent = path.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(parent).with_context(|| cannot(parent))?;
        Ok(path)
    }
}

/// Whether nothing but an older deployment is lost there.
///
/// # Errors
/// Of kind `Input` where something else is in the place.
pub fn may_replace(out: &Path) -> anyhow::Result<()> {
    let empty = || {
        out.read_dir()
            .is_ok_and(|mut folder| folder.next().is_none())
    };
    match !out.exists() || out.join(SUMS).is_file() || empty() {
        true => Ok(()),
        false => Err(fail(
            ErrorKind::Input,
            format!(
                "{} exists and is no deployment; it is left alone, choose another name",
                out.display()
            ),
        )),
    }
}

fn replace(new: &Path, out: &Path) -> std::io::Result<()> {
    if !out.exists() {
        return fs::rename(new, out);
    }
    let old = new.with_extension("old");
    fs::rename(out, &old)?;
    if let Err(error) = fs::rename(new, out) {
        let _ = fs::rename(&old, out);
        return Err(error);
    }
    fs::remove_dir_all(&old)
}

/// The same for everybody, whatever the files here may have.
fn mode(path: &Path, program: bool) -> anyhow::Result<()> {
    let mode = if program { 0o755 } else { 0o644 };
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).with_context(|| cannot(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deployments_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        for text in ["one", "two"] {
            let staged = Staged::new(folder.path(), 1).unwrap();
            staged.write("a/b", text.as_bytes(), true).unwrap();
            let entries = staged.finish().unwrap();
            let paths: Vec<_> = entries
                .iter()
                .map(|e| (e.path.as_str(), e.program))
                .collect();
            assert_eq!(paths, [(SUMS, false), ("a/b", true)]);
            staged.rename(&out).unwrap();
            assert_eq!(fs::read_to_string(out.join("a/b")).unwrap(), text);
        }
        let other = folder.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("mine"), "").unwrap();
        let staged = Staged::new(folder.path(), 1).unwrap();
        let error = staged.rename(&other).unwrap_err().to_string();
        assert!(error.contains("left alone"), "{error}");
        assert!(Staged::new(folder.path(), u64::MAX).is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }
}
