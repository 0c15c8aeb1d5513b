//! ID3v2 tags in front of sound. A picture in one can be larger than what a probe searches, and hold bytes
//! that look like a frame.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

const HEADER_BYTES: usize = 10;

/// Bytes of the tag that `head` starts with (ID3v2.4, section 3.1): seven bits of its length a byte,
/// header and footer not counted.
pub(super) fn tag_bytes(head: &[u8]) -> Option<u64> {
    let header = head.get(..HEADER_BYTES).filter(|h| h.starts_with(b"ID3"))?;
    let [.., flags, a, b, c, d] = header else {
        return None;
    };
    if [a, b, c, d].iter().any(|byte| **byte >= 0x80) {
        return None;
    }
    let size = [a, b, c, d]
        .iter()
        .fold(0, |size, byte| size << 7 | u64::from(**byte));
    let footer = if flags & 0x10 != 0 { HEADER_BYTES } else { 0 };
    Some(size + (HEADER_BYTES + footer) as u64)
}

/// A file without its first bytes.
pub(super) struct Behind {
    file: File,
    base: u64,
}

impl Behind {
    pub(super) fn new(mut file: File, base: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(base))?;
        Ok(Self { file, base })
    }
}

impl Read for Behind {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for Behind {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(at.saturating_add(self.base)),
            to => to,
        };
        Ok(self.file.seek(to)?.saturating_sub(self.base))
    }
}

impl MediaSource for Behind {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        let length = self.file.metadata().ok()?.len();
        Some(length.saturating_sub(self.base))
    }
}
