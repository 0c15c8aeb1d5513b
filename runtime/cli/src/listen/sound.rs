//! Samples without a header, and plain WAV files.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::str::FromStr;

use bevel_manifest::ErrorKind;

use crate::failure::fail;

/// How samples without a header are written: `s16le:RATE:CHANNELS` or `f32le:RATE:CHANNELS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pcm {
    float: bool,
    sample_rate_hz: u32,
    channels: u16,
}

impl Default for Pcm {
    fn default() -> Self {
        Self {
            float: false,
            sample_rate_hz: 16_000,
            channels: 1,
        }
    }
}

impl FromStr for Pcm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || "expected s16le or f32le with :RATE:CHANNELS, such as s16le:16000:1".to_owned();
        let mut parts = text.split(':');
        let float = match parts.next() {
            Some("s16le") => false,
            Some("f32le") => true,
            _ => return Err(bad()),
        };
        let rate = parts.next().map_or(Ok(16_000), str::parse);
        let channels = parts.next().map_or(Ok(1), str::parse);
        let pcm = Self {
            float,
            sample_rate_hz: rate.map_err(|_| bad())?,
            channels: channels.map_err(|_| bad())?,
        };
        match parts.next().is_none() && (1..=64).contains(&pcm.channels) {
            true => Ok(pcm),
            false => Err(bad()),
        }
    }
}

/// Sound that is read as it comes.
pub struct Sound {
    reader: Box<dyn Read + Send>,
    pcm: Pcm,
    /// Whether it would come faster than it was spoken.
    pub recorded: bool,
    bytes: Vec<u8>,
    /// Bytes that are no whole frame yet.
    rest: usize,
}

impl Sound {
    /// A WAV file, or samples without a header where `pcm` says how they are written.
    pub fn open(path: &Path, pcm: Option<Pcm>) -> anyhow::Result<Self> {
        let unreadable = |source| bevel::Error::InputFile {
            path: path.to_path_buf(),
            source,
        };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let pcm = match pcm {
            Some(pcm) => pcm,
            None => header(&mut file).map_err(unreadable)?.ok_or_else(|| {
                let what = "no WAV of 16-bit integers; for samples without a header give --pcm";
                fail(ErrorKind::Input, format!("{}: {what}", path.display()))
            })?,
        };
        let mut sound = Self::from_reader(&path.display().to_string(), file, Some(pcm))?;
        sound.recorded = true;
        Ok(sound)
    }

    pub fn from_reader(
        name: &str,
        reader: impl Read + Send + 'static,
        raw: Option<Pcm>,
    ) -> anyhow::Result<Self> {
        let pcm = raw.ok_or_else(|| fail(ErrorKind::Input, format!("{name}: give --pcm")))?;
        Ok(Self {
            reader: Box::new(reader),
            pcm,
            recorded: false,
            bytes: vec![0; 16_384],
            rest: 0,
        })
    }

    pub fn sample_rate_hz(&self) -> u32 {
        self.pcm.sample_rate_hz
    }

    /// Appends the next samples, one channel; `false` at the end.
    pub fn read(&mut self, mono: &mut Vec<f32>) -> std::io::Result<bool> {
        let read = self.reader.read(&mut self.bytes[self.rest..])?;
        let width = if self.pcm.float { 4 } else { 2 };
        let frame = width * usize::from(self.pcm.channels);
        let whole = (self.rest + read) / frame * frame;
        let sample = |bytes: &[u8]| match *bytes {
            [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32_768.0,
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            _ => 0.0,
        };
        for frame in self.bytes[..whole].chunks_exact(frame) {
            let sum: f32 = frame.chunks_exact(width).map(sample).sum();
            mono.push(sum / f32::from(self.pcm.channels));
        }
        self.bytes.copy_within(whole..self.rest + read, 0);
        self.rest = self.rest + read - whole;
        Ok(read > 0)
    }
}

/// Reads a WAV header up to its samples; `None` for anything but 16-bit integers.
fn header(file: &mut impl Read) -> std::io::Result<Option<Pcm>> {
    let mut head = [0; 12];
    file.read_exact(&mut head)?;
    if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
        return Ok(None);
    }
    let mut pcm = None;
    loop {
        let mut chunk = [0; 8];
        file.read_exact(&mut chunk)?;
        let [a, b, c, d, size @ ..] = chunk;
        let size = u64::from(u32::from_le_bytes(size));
        match &[a, b, c, d] {
            b"data" => return Ok(pcm),
            b"fmt " if (16..=64).contains(&size) => {
                let mut format = vec![0; size as usize];
                file.read_exact(&mut format)?;
                let rate = [format[4], format[5], format[6], format[7]];
                let good = format[0] == 1 && format[14] == 16 && (1..=64).contains(&format[2]);
                pcm = good.then_some(Pcm {
                    float: false,
                    sample_rate_hz: u32::from_le_bytes(rate),
                    channels: u16::from(format[2]),
                });
            }
            _ => {
                std::io::copy(&mut file.take(size), &mut std::io::sink())?;
            }
        }
    }
}
