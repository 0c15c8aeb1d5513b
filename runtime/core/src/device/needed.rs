//! Which shared libraries another one asks for: the `NEEDED` entries of a 64-bit little-endian ELF file
//! (System V ABI, chapter 5). Only its tables are read, not what may be hundreds of megabytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The most bytes of a table that are read. Those of the largest provider have a hundred thousand.
const MAX_TABLE: u64 = 8 << 20;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;

/// The names in file order; `None` for what is no such file.
pub(super) fn needed(path: &Path) -> Option<Vec<String>> {
    let mut file = File::open(path).ok()?;
    let head = bytes(&mut file, 0, 64)?;
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (offset, size, count) = (
        word(&head, 32, 8)?,
        word(&head, 54, 2)?,
        word(&head, 56, 2)?,
    );
    let headers = bytes(&mut file, offset, size.checked_mul(count)?)?;
    let mut segments = Vec::new();
    let mut dynamic = None;
    for header in headers.chunks_exact(usize::try_from(size).ok().filter(|s| *s >= 56)?) {
        let (kind, offset) = (word(header, 0, 4)?, word(header, 8, 8)?);
        let (address, length) = (word(header, 16, 8)?, word(header, 32, 8)?);
        match kind {
            PT_LOAD => segments.push((address, offset, length)),
            PT_DYNAMIC => dynamic = Some((offset, length)),
            _ => (),
        }
    }
    let (offset, length) = dynamic?;
    let entries = bytes(&mut file, offset, length)?;
    let entries: Vec<(u64, u64)> = entries
        .chunks_exact(16)
        .filter_map(|e| Some((word(e, 0, 8)?, word(e, 8, 8)?)))
        .collect();
    let of = |tag: u64| entries.iter().find(|(t, _)| *t == tag).map(|(_, v)| *v);
    let (address, size) = (of(DT_STRTAB)?, of(DT_STRSZ)?);
    let strings = segments.iter().find_map(|(start, offset, length)| {
        let at = address.checked_sub(*start)?;
        (at < *length).then(|| offset.checked_add(at))?
    })?;
    let strings = bytes(&mut file, strings, size)?;
    let names = entries.iter().filter(|(tag, _)| *tag == DT_NEEDED);
    let names = names.map(|(_, at)| {
        let text = strings.get(usize::try_from(*at).ok()?..)?;
        let end = text.iter().position(|b| *b == 0)?;
        String::from_utf8(text[..end].to_vec()).ok()
    });
    names.collect()
}

fn bytes(file: &mut File, offset: u64, length: u64) -> Option<Vec<u8>> {
    if length > MAX_TABLE {
        return None;
    }
    file.seek(SeekFrom::Start(offset)).ok()?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == length).then_some(bytes)
}

/// A little-endian number of up to 8 bytes.
fn word(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut word = [0u8; 8];
    word[..size].copy_from_slice(bytes.get(at..at.checked_add(size)?)?);
    Some(u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn a_program_needs_the_c_library() {
        let program = std::env::current_exe().unwrap();
        let names = needed(&program).unwrap();
        assert!(names.iter().any(|n| n == "libc.so.6"), "{names:?}");
        // Cut at any place there is an answer or none, never a panic.
        let whole = std::fs::read(&program).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut");
        for size in [0, 5, 63, 64, 100, 1000, whole.len() / 2] {
            std::fs::write(&path, &whole[..size]).unwrap();
            needed(&path);
        }
        for at in 0..64 {
            let mut bad = whole[..4096].to_vec();
            bad[at] ^= 0xff;
            std::fs::write(&path, &bad).unwrap();
            needed(&path);
        }
    }
}
