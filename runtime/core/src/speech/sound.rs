//! Sound from files and pipes, packet by packet: what is in memory is one packet, however long the
//! sound is.

mod container;
mod decoded;
mod raw;
mod tag;
mod wav;

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use symphonia::core::io::{MediaSource, ReadOnlySource};

use crate::error::{Error, Result};
use container::{Container, Tail, ogg_is_whole, sniff};
use decoded::{Decoded, Known, READS};
use raw::Raw;
pub use raw::{Encoding, Pcm};
use tag::{Behind, tag_bytes};

/// Sound that is being read: a recording in a container, found by content, or samples without a header.
///
/// ```no_run
/// use bevel::speech::{Pcm, Sound};
///
/// // What `arecord` or `ffmpeg -f s16le -` write to a pipe; a WAV or FLAC file is noticed as well.
/// let pcm: Pcm = "s16le:16000:1".parse()?;
/// let sound = Sound::from_reader("standard input", std::io::stdin(), Some(pcm))?;
/// assert_eq!(sound.sample_rate_hz(), 16_000);
/// # Ok::<(), bevel::Error>(())
/// ```
pub struct Sound {
    kind: Kind,
}

enum Kind {
    Container(Box<Decoded>),
    Raw(Box<Raw>),
}

impl Sound {
    /// Opens a file and reads its header: WAV, AIFF, CAF, FLAC, MP3, Ogg Vorbis, AAC or ALAC in M4A,
    /// and AAC in ADTS, told by content. What is no regular file, such as a named pipe, is read as
    /// [`from_reader`](Self::from_reader) reads.
    ///
    /// # Errors
    /// [`Error::InputFile`] when it cannot be read, [`Error::Input`] when it is empty or no sound,
    /// [`Error::Unsupported`] for a container or codec that is not decoded here, such as Opus.
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable = |source| Error::InputFile {
            path: path.to_path_buf(),
            source,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let name = path.display().to_string();
        if !metadata.is_file() {
            return Self::from_reader(&name, file, None);
        }
        let (head, tags_bytes) = head(&mut file).map_err(unreadable)?;
        let container = told(&name, &head, tags_bytes)?;
        let mut known = Known::default();
        let source: Box<dyn MediaSource> = match container {
            // A WAV needs no seeking, and its header may want mending.
            Container::Wav => wav::source(&mut known, head, file),
            _ => {
                if container == Container::Ogg {
                    known.cut = !ogg_is_whole(&mut file, metadata.len()).map_err(unreadable)?;
                }
                Box::new(Behind::new(file, tags_bytes).map_err(unreadable)?)
            }
        };
        Self::decoded(name, container, source, known)
    }

    /// Reads sound from a stream that can only be read forwards, such as standard input or a socket. It
    /// is a recording in a container where its first bytes say so, else samples as `raw` describes
    /// them. Errors call it by `name`.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Input`] also for an M4A file whose index lies behind the
    /// sound, and for bytes that are no container while `raw` is not given.
    pub fn from_reader(
        name: &str,
        mut reader: impl Read + Send + Sync + 'static,
        raw: Option<Pcm>,
    ) -> Result<Self> {
        let unreadable = |source| Error::InputFile {
            path: name.into(),
            source,
        };
        let (head, tags_bytes) = head(&mut reader).map_err(unreadable)?;
        if let Some(pcm) = raw.filter(|_| !container::has_magic(&head)) {
            let all = Box::new(Cursor::new(head).chain(reader));
            let kind = Kind::Raw(Box::new(Raw::new(name, pcm, all)?));
            return Ok(Self { kind });
        }
        let container = told(name, &head, tags_bytes).map_err(|e| match e {
            Error::Input(what) if !head.is_empty() && raw.is_none() => Error::Input(format!(
                "{what}; raw samples need --pcm, such as s16le:16000:1"
            )),
            e => e,
        })?;
        let mut known = Known {
            piped: true,
            ..Known::default()
        };
        let source: Box<dyn MediaSource> = match container {
            Container::Wav => wav::source(&mut known, head, reader),
            Container::Ogg => {
                let (tail, kept) = Tail::new(Cursor::new(head).chain(reader));
                known.tail = Some(kept);
                Box::new(ReadOnlySource::new(tail))
            }
            _ => Box::new(ReadOnlySource::new(Cursor::new(head).chain(reader))),
        };
        Self::decoded(name.to_owned(), container, source, known)
    }

    fn decoded(
        name: String,
        container: Container,
        source: Box<dyn MediaSource>,
        known: Known,
    ) -> Result<Self> {
        let decoded = Decoded::open(name, container, source, known)?;
        Ok(Self {
            kind: Kind::Container(Box::new(decoded)),
        })
    }

    /// Rate of the samples. The first packet may correct what the header says.
    pub fn sample_rate_hz(&self) -> u32 {
        match &self.kind {
            Kind::Container(decoded) => decoded.sample_rate_hz(),
            Kind::Raw(raw) => raw.sample_rate_hz(),
        }
    }

    /// Its length, where the header says or hints at one.
    pub fn seconds(&self) -> Option<f64> {
        match &self.kind {
            Kind::Container(decoded) => decoded.seconds(),
            Kind::Raw(_) => None,
        }
    }

    /// Appends the samples of the next packet, one channel in −1 ..= 1; `false` at the end.
    ///
    /// # Errors
    /// [`Error::Input`] when the sound is cut off or damaged, has no samples, or holds some that are
    /// NaN, infinite or far beyond full scale; [`Error::Unsupported`] when rate or channels change.
    pub fn read(&mut self, mono: &mut Vec<f32>) -> Result<bool> {
        match &mut self.kind {
            Kind::Container(decoded) => decoded.read(mono),
            Kind::Raw(raw) => raw.read(mono),
        }
    }
}

/// The first bytes behind tags, as many as a WAV header with notes in it may take, fewer where there are
/// no more; and how long the tags are.
fn head(reader: &mut impl Read) -> io::Result<(Vec<u8>, u64)> {
    const HEAD_BYTES: u64 = 4096;
    let mut head = Vec::with_capacity(HEAD_BYTES as usize);
    let mut tags_bytes = 0;
    loop {
        let missing = HEAD_BYTES - head.len() as u64;
        reader.take(missing).read_to_end(&mut head)?;
        let Some(bytes) = tag_bytes(&head) else {
            return Ok((head, tags_bytes));
        };
        tags_bytes += bytes;
        let here = head.len().min(bytes as usize);
        head.drain(..here);
        let far = bytes - here as u64;
        let skipped = io::copy(&mut reader.take(far), &mut io::sink())?;
        if skipped < far {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
}

/// The container that the first bytes tell.
fn told(name: &str, head: &[u8], tags_bytes: u64) -> Result<Container> {
    if head.is_empty() && tags_bytes == 0 {
        return Err(Error::Input(format!("{name} is empty, expected sound")));
    }
    let found = match sniff(head) {
        // Some write padding behind a tag.
        Err(Error::Input(_)) if tags_bytes > 0 => Ok(Container::Other),
        found => found,
    };
    found.map_err(|e| match e {
        Error::Unsupported(what) => Error::Unsupported(format!("{name}: {what}")),
        _ => Error::Input(format!("{name}: not a sound file ({READS})")),
    })
}

#[cfg(test)]
mod tests;
