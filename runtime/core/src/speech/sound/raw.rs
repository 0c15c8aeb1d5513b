use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use bevel_prep::audio::{SAMPLE_RATES_HZ, check_samples, mix_down};

use crate::error::{Error, Result};

const MAX_CHANNELS: u16 = 64;
/// Read at once; a pipe gives less, and what it gives is used at once.
const BLOCK_BYTES: usize = 16_384;

/// How samples without a header are written: interleaved, as [`FromStr`] reads it from
/// `ENCODING[:RATE[:CHANNELS]]`, 16 kHz and one channel where it is shorter.
///
/// ```
/// use bevel::speech::{Encoding, Pcm};
///
/// let pcm: Pcm = "f32le:48000:2".parse()?;
/// assert_eq!((pcm.encoding, pcm.sample_rate_hz, pcm.channels), (Encoding::F32Le, 48_000, 2));
/// assert_eq!("s16le".parse::<Pcm>()?.to_string(), "s16le:16000:1");
/// # Ok::<(), bevel::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pcm {
    /// Of one sample.
    pub encoding: Encoding,
    /// Frames a second.
    pub sample_rate_hz: u32,
    /// Samples a frame.
    pub channels: u16,
}

/// How one sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Unsigned 8-bit integers around 128.
    U8,
    /// Signed 16-bit integers, low byte first.
    S16Le,
    /// Signed 32-bit integers, low byte first.
    S32Le,
    /// 32-bit floats in −1 ..= 1, low byte first.
    F32Le,
}

impl Encoding {
    const ALL: [Self; 4] = [Self::S16Le, Self::S32Le, Self::F32Le, Self::U8];

    fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::S16Le => "s16le",
            Self::S32Le => "s32le",
            Self::F32Le => "f32le",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::S16Le => 2,
            Self::S32Le | Self::F32Le => 4,
        }
    }

    /// Appends samples in −1 ..= 1; bytes that are no whole sample are left out.
    fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        let words = bytes.as_chunks::<4>().0.iter();
        match self {
            Self::U8 => out.extend(bytes.iter().map(|b| (f32::from(*b) - 128.0) / 128.0)),
            Self::S16Le => {
                let pairs = bytes.as_chunks::<2>().0.iter();
                out.extend(pairs.map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0));
            }
            Self::S32Le => {
                out.extend(words.map(|b| i32::from_le_bytes(*b) as f32 / 2_147_483_648.0));
            }
            Self::F32Le => out.extend(words.map(|b| f32::from_le_bytes(*b))),
        }
    }
}

/// What most tools write: 16 bits at 16 kHz, one channel.
impl Default for Pcm {
    fn default() -> Self {
        Self {
            encoding: Encoding::S16Le,
            sample_rate_hz: 16_000,
            channels: 1,
        }
    }
}

impl fmt::Display for Pcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (encoding, rate) = (self.encoding.name(), self.sample_rate_hz);
        write!(f, "{encoding}:{rate}:{}", self.channels)
    }
}

impl FromStr for Pcm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: &str| {
            let names = Encoding::ALL.map(Encoding::name).join(", ");
            Error::Input(format!(
                "`{text}`: {what}; expected ENCODING[:RATE[:CHANNELS]] such as s16le:16000:1, with \
                 ENCODING one of {names}"
            ))
        };
        let mut parts = text.split(':');
        let encoding = parts.next().unwrap_or_default();
        let found = Encoding::ALL.into_iter().find(|e| e.name() == encoding);
        let rate = parts.next().map_or(Ok(16_000), str::parse);
        let channels = parts.next().map_or(Ok(1), str::parse);
        let pcm = Self {
            encoding: found.ok_or_else(|| bad(&format!("no encoding `{encoding}`")))?,
            sample_rate_hz: rate.map_err(|_| bad("the rate is no number"))?,
            channels: channels.map_err(|_| bad("the channels are no number"))?,
        };
        if parts.next().is_some() {
            return Err(bad("too many parts"));
        }
        pcm.check()?;
        Ok(pcm)
    }
}

impl Pcm {
    fn check(self) -> Result<()> {
        let (low, high) = SAMPLE_RATES_HZ.into_inner();
        if !SAMPLE_RATES_HZ.contains(&self.sample_rate_hz) {
            let what = format!("`{self}`: the rate is not between {low} and {high} Hz");
            return Err(Error::Input(what));
        }
        if !(1..=MAX_CHANNELS).contains(&self.channels) {
            let what = format!("`{self}`: the channels are not between 1 and {MAX_CHANNELS}");
            return Err(Error::Input(what));
        }
        Ok(())
    }
}

/// Samples without a header.
pub(super) struct Raw {
    name: String,
    pcm: Pcm,
    reader: Box<dyn Read + Send + Sync>,
    /// Bytes of which no whole frame has come yet, and room for more.
    bytes: Vec<u8>,
    rest: usize,
    interleaved: Vec<f32>,
    frames: u64,
}

impl Raw {
    pub(super) fn new(name: &str, pcm: Pcm, reader: Box<dyn Read + Send + Sync>) -> Result<Self> {
        pcm.check()?;
        Ok(Self {
            name: name.to_owned(),
            pcm,
            reader,
            bytes: vec![0; BLOCK_BYTES],
            rest: 0,
            interleaved: Vec::new(),
            frames: 0,
        })
    }

    pub(super) fn sample_rate_hz(&self) -> u32 {
        self.pcm.sample_rate_hz
    }

    /// See [`Sound::read`](super::Sound::read). An incomplete frame at the end is left out: who cuts a
    /// stream does not look where its frames begin.
    pub(super) fn read(&mut self, mono: &mut Vec<f32>) -> Result<bool> {
        let count = loop {
            match self.reader.read(&mut self.bytes[self.rest..]) {
                Ok(count) => break count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::InputFile {
                        path: self.name.clone().into(),
                        source,
                    });
                }
            }
        };
        if count == 0 {
            if self.rest > 0 {
                tracing::warn!(file = self.name, bytes = self.rest, "left out half a frame");
            }
            return match self.frames {
                0 => Err(Error::Input(format!(
                    "{}: the recording is 0 s long",
                    self.name
                ))),
                _ => Ok(false),
            };
        }
        let frame = self.pcm.encoding.bytes() * usize::from(self.pcm.channels);
        let filled = self.rest + count;
        let whole = filled - filled % frame;
        self.interleaved.clear();
        let encoding = self.pcm.encoding;
        encoding.decode(&self.bytes[..whole], &mut self.interleaved);
        self.bytes.copy_within(whole..filled, 0);
        self.rest = filled - whole;
        let first = mono.len();
        mix_down(&self.interleaved, usize::from(self.pcm.channels), mono);
        if let Err(loud) = check_samples(&mono[first..]) {
            let at = (self.frames + loud.at as u64) as f64 / f64::from(self.pcm.sample_rate_hz);
            return Err(Error::Input(format!(
                "{}: the sample at {at:.3} s is {}, expected −1 to 1; are these samples {}?",
                self.name, loud.value, self.pcm
            )));
        }
        self.frames += (mono.len() - first) as u64;
        Ok(true)
    }
}
