//! Files and folders in order of name.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_manifest::ErrorKind;

use super::table::ending;
use crate::failure::fail;

/// Endings of pictures.
pub const PICTURES: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// Endings of sound.
pub const SOUNDS: [&str; 8] = ["wav", "flac", "mp3", "ogg", "oga", "m4a", "aac", "mp4"];

/// Folders within folders are not followed further than this, nor links that go round.
const DEPTH: usize = 16;

/// What is in a folder, in order of name; hidden files are left out.
///
/// # Errors
/// Where it cannot be read.
pub fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || {
        fail(
            ErrorKind::Input,
            format!("cannot read {}", folder.display()),
        )
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if !name(&path).starts_with('.') {
            entries.push(path);
        }
    }
    entries.sort();
    Ok(entries)
}

/// The folders in a folder.
///
/// # Errors
/// Where it cannot be read.
pub fn folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(entries(folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect())
}

/// The files with one of these endings, in folders within it, too.
///
/// # Errors
/// Where a folder cannot be read.
pub fn with_endings(folder: &Path, endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    gather(folder, endings, DEPTH, &mut files)?;
    Ok(files)
}

fn gather(
    folder: &Path,
    endings: &[&str],
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            if depth > 0 {
                gather(&path, endings, depth - 1, files)?;
            }
        } else if endings.contains(&ending(&path).as_str()) {
            files.push(path);
        }
    }
    Ok(())
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The same without its ending.
pub fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The name of the folder `levels` above a file's own.
pub fn folder_above(path: &Path, levels: usize) -> Option<String> {
    path.ancestors()
        .nth(levels + 1)
        .map(name)
        .filter(|name| !name.is_empty())
}
