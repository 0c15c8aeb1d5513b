//! Bundles as one file: a tar archive of the directory, not compressed.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};
use std::sync::Arc;

use super::file::Members;
use crate::error::{Error, Result};

/// Reads every file of an archive. `root` is what messages call it.
///
/// # Errors
/// [`Error::Model`] when it is no such archive, is cut off, or holds names that leave it.
pub(super) fn members(root: &Path, archive: impl Read) -> Result<Members> {
    let broken = |e: io::Error| {
        let what = format!(
            "neither a bundle directory nor one packed by tar, or cut off ({e}); for a plain model give \
             --recipe FILE.toml, for a checkpoint run `bevel convert` first"
        );
        Error::model(root, what)
    };
    let mut members = BTreeMap::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let Some(name) = inside(&path) else {
            let what = format!("`{}` leaves the bundle", path.display());
            return Err(Error::model(root, what));
        };
        let size = entry.size();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() as u64 != size {
            let what = format!(
                "`{name}` has {} of {size} bytes; copy it again",
                bytes.len()
            );
            return Err(Error::model(root, what));
        }
        members.insert(name, Arc::from(bytes));
    }
    Ok(Arc::new(members))
}

/// The name of a member with `/` between its parts; `None` where it leaves the archive.
fn inside(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
