//! The folder as an archive: the same bytes for the same content, whoever makes it and when.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tar::{EntryType, Header};

use super::staged::Entry;

/// As far as one can go without losing much for it.
const ZSTD_LEVEL: i32 = 12;

/// Writes the files of `folder` below `prefix`, such as `./opt/bevel/name`, after its folders.
pub fn tar(out: impl Write, folder: &Path, prefix: &str, entries: &[Entry]) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    let files: Vec<_> = entries.iter().map(|entry| (entry, prefix)).collect();
    append(&mut archive, folder, &files)?;
    archive.finish()
}

/// Appends files, each below its prefix, with the folders that they need before them.
pub fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    folder: &Path,
    files: &[(&Entry, &str)],
) -> io::Result<()> {
    let mut made = Vec::new();
    for (entry, prefix) in files {
        let path = format!("{prefix}/{}", entry.path);
        for (at, _) in path.match_indices('/') {
            let parent = &path[..=at];
            if parent != "./" && !made.iter().any(|m| m == parent) {
                let mut header = header(EntryType::Directory, 0, 0o755);
                archive.append_data(&mut header, parent, io::empty())?;
                made.push(parent.to_owned());
            }
        }
        let mode = if entry.program { 0o755 } else { 0o644 };
        let mut header = header(EntryType::Regular, entry.size_bytes, mode);
        archive.append_data(&mut header, &path, File::open(folder.join(&entry.path))?)?;
    }
    Ok(())
}

/// A header with nothing of this machine in it: no owner, no time.
pub fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// The same, compressed.
pub fn tar_zst(out: impl Write, folder: &Path, name: &str, entries: &[Entry]) -> io::Result<()> {
    let mut zstd = zstd::Encoder::new(out, ZSTD_LEVEL)?;
    zstd.include_checksum(true)?;
    tar(&mut zstd, folder, name, entries)?;
    zstd.finish()?.flush()
}
