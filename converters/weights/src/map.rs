use std::fs::File;
use std::path::Path;

use bytes::Bytes;

use crate::Error;

/// The content of a file, mapped. The mapping lives as long as any slice of it.
pub(crate) fn map(path: &Path) -> Result<Bytes, Error> {
    let failed = |source| Error::Read {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::NotCheckpoint {
            path: path.into(),
            what: "a folder",
            next: "name the checkpoint file inside it",
        });
    }
    if metadata.len() == 0 {
        return Err(Error::NotCheckpoint {
            path: path.into(),
            what: "empty (0 bytes)",
            next: "download or copy it again",
        });
    }
    map_file(&file).map_err(failed)
}

#[allow(unsafe_code)]
pub(crate) fn map_file(file: &File) -> std::io::Result<Bytes> {
    // SAFETY: the map is private and read-only, and only bytes are read from it, for which every
    // pattern is valid. Another process that truncates the file meanwhile can end this one with a
    // signal; a converter on a workstation accepts that, and the crate's documentation says so.
    let map = unsafe { memmap2::Mmap::map(file) }?;
    Ok(Bytes::from_owner(map))
}
