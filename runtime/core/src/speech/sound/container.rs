use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// What a sound file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Wav,
    Aiff,
    Caf,
    Flac,
    Ogg,
    Mp4,
    Mp3,
    Adts,
    /// Starts with a tag or padding: the probe has to look further.
    Other,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wav => "WAV",
            Self::Aiff => "AIFF",
            Self::Caf => "CAF",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
            Self::Mp4 => "M4A",
            Self::Mp3 => "MP3",
            Self::Adts => "AAC",
            Self::Other => "sound",
        })
    }
}

/// Tells a container by its first bytes, and what is certainly none of those that are read. The
/// probe behind it searches a megabyte for anything like a frame, which finds "MP3" in many a
/// picture or archive.
///
/// # Errors
/// [`Error::Unsupported`] for sound in a container that is not read, [`Error::Input`] for the rest.
pub(super) fn sniff(head: &[u8]) -> Result<Container> {
    let at = |from: usize, magic: &[u8]| head.get(from..from + magic.len()) == Some(magic);
    let unsupported = |what: &str| {
        Err(Error::Unsupported(format!(
            "{what} is not read here; convert it to WAV, FLAC, MP3, Ogg Vorbis or AAC, e.g. ffmpeg -i IN \
             OUT.flac"
        )))
    };
    match head {
        _ if at(0, b"RIFF") && (at(8, b"WAVE") || head.len() < 12) => Ok(Container::Wav),
        _ if at(0, b"fLaC") => Ok(Container::Flac),
        _ if at(0, b"OggS") && head.windows(8).any(|w| w == b"OpusHead") => unsupported("Opus"),
        _ if at(0, b"OggS") => Ok(Container::Ogg),
        _ if at(4, b"ftyp") => Ok(Container::Mp4),
        _ if (at(0, b"RF64") || at(0, b"BW64")) && at(8, b"WAVE") => Ok(Container::Wav),
        _ if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) => Ok(Container::Aiff),
        _ if at(0, b"caff") => Ok(Container::Caf),
        _ if at(0, b"riff\x2e\x91\xcf\x11") => unsupported("Wave64"),
        _ if at(0, b"\x1a\x45\xdf\xa3") => unsupported("Matroska or WebM"),
        _ if at(0, b"ID3") => Ok(Container::Other),
        // Frame sync; layer bits 00 are ADTS, anything else MPEG audio.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Ok(Container::Adts),
        [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => Ok(Container::Mp3),
        // Some MP3 files start with padding.
        [0, 0, 0, 0, ..] if head.iter().all(|b| *b == 0) => Ok(Container::Other),
        _ => Err(Error::Input("not sound".into())),
    }
}

/// Whether it starts with four letters that samples hardly do by chance: a frame sync is a quiet sample
/// and a padding is silence.
pub(super) fn has_magic(head: &[u8]) -> bool {
    let letters: [&[u8]; 7] = [
        b"RIFF", b"RF64", b"BW64", b"FORM", b"caff", b"fLaC", b"OggS",
    ];
    letters.iter().any(|l| head.starts_with(l)) || head.get(4..8) == Some(b"ftyp")
}

/// A page of Ogg is at most 27 + 255 + 255 · 255 bytes.
const PAGE_BYTES: usize = 66_000;

/// Whether the last page of an Ogg file is complete: every page says how long it is, but nothing
/// says how many there are.
pub(super) fn ogg_is_whole(file: &mut File, size_bytes: u64) -> io::Result<bool> {
    let tail_bytes = size_bytes.min(PAGE_BYTES as u64);
    file.seek(SeekFrom::Start(size_bytes - tail_bytes))?;
    let mut tail = Vec::with_capacity(tail_bytes as usize);
    file.take(tail_bytes).read_to_end(&mut tail)?;
    Ok(last_page_is_whole(&tail))
}

/// Keeps the last bytes that went through it, for streams whose end cannot be looked at before.
pub(super) struct Tail<R> {
    inner: R,
    kept: Kept,
}

/// What a [`Tail`] has kept.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// Whether a page of Ogg ends where the stream does.
    pub(super) fn ends_a_page(&self) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last_page_is_whole(&kept[kept.len().saturating_sub(PAGE_BYTES)..])
    }
}

impl<R> Tail<R> {
    pub(super) fn new(inner: R) -> (Self, Kept) {
        let kept = Kept::default();
        let shared = kept.clone();
        (Self { inner, kept }, shared)
    }
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Moved together seldom: only when as much again has come.
        if kept.len() > 2 * PAGE_BYTES {
            let gone = kept.len() - PAGE_BYTES;
            kept.drain(..gone);
        }
        kept.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// The same for the last bytes of a file. The magic may also occur inside a page, so all its places
/// are tried: the file is whole when a page ends exactly where the file does.
fn last_page_is_whole(tail: &[u8]) -> bool {
    let starts = tail.windows(4).enumerate().filter(|(_, w)| *w == b"OggS");
    starts
        .into_iter()
        .any(|(start, _)| page_bytes(&tail[start..]) == Some(tail.len() - start))
}

/// Length of the page that starts here, if its header is complete.
fn page_bytes(page: &[u8]) -> Option<usize> {
    let segments = usize::from(*page.get(26)?);
    let lacing = page.get(27..27 + segments)?;
    Some(27 + segments + lacing.iter().map(|l| usize::from(*l)).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_by_their_first_bytes() {
        let known: [(&[u8], Container); 12] = [
            (b"RIFF\0\0\0\0WAVEfmt ", Container::Wav),
            (b"RF64\xff\xff\xff\xffWAVEds64", Container::Wav),
            (b"FORM\0\0\0\0AIFFCOMM", Container::Aiff),
            (b"FORM\0\0\0\0AIFCFVER", Container::Aiff),
            (b"caff\0\x01\0\0desc", Container::Caf),
            (b"fLaC\0\0\0\x22", Container::Flac),
            (b"OggS\0\x02 \x01vorbis", Container::Ogg),
            (b"\0\0\0\x20ftypM4A ", Container::Mp4),
            (b"\xff\xfb\x90\x64", Container::Mp3),
            (b"\xff\xf1\x50\x80", Container::Adts),
            (b"ID3\x04\0\0", Container::Other),
            (&[0; 64], Container::Other),
        ];
        for (head, expected) in known {
            assert_eq!(sniff(head).unwrap(), expected, "{head:?}");
        }
        for head in [
            &b"OggS\0\x02 OpusHead"[..],
            b"riff\x2e\x91\xcf\x11",
            b"\x1a\x45\xdf\xa3",
        ] {
            assert!(
                matches!(sniff(head), Err(Error::Unsupported(_))),
                "{head:?}"
            );
        }
        for head in [
            &b"Dear diary"[..],
            b"\xff\xd8\xff\xe0JFIF",
            b"PK\x03\x04",
            b"R",
            b"%PDF",
        ] {
            assert!(matches!(sniff(head), Err(Error::Input(_))), "{head:?}");
        }
    }

    #[test]
    fn a_cut_page_is_noticed() {
        let mut page = vec![0; 27];
        page[..4].copy_from_slice(b"OggS");
        page[26] = 2;
        page.extend([255, 3]);
        page.extend([7; 258]);
        assert!(last_page_is_whole(&page));
        assert!(last_page_is_whole(&[page.clone(), page.clone()].concat()));
        for end in [0, 3, 20, 28, page.len() - 1] {
            assert!(!last_page_is_whole(&page[..end]), "{end}");
        }
    }
}
