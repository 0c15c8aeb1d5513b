use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bevel_prep::audio::{SAMPLE_RATES_HZ, check_samples, mix_down};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use crate::error::{Error, Result};
use crate::speech::sound::container::{Container, Kept};

/// More channels than any recording has; more is a broken header.
const MAX_CHANNELS: usize = 64;
/// Damaged packets that are bridged by silence before a file is refused.
const MAX_DAMAGED: u64 = 10;

/// What is known of a source besides its bytes.
#[derive(Default)]
pub(super) struct Known {
    /// The end is known to be missing before it is reached.
    pub(super) cut: bool,
    /// It can only be read forwards.
    pub(super) piped: bool,
    /// The last bytes that were read, where only they tell whether the end is missing.
    pub(super) tail: Option<Kept>,
    /// Frames that a header promises which the parser does not understand.
    pub(super) frames: Option<u64>,
}

/// A recording in a container.
pub(super) struct Decoded {
    name: String,
    container: Container,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    sample_rate_hz: u32,
    interleaved: Vec<f32>,
    /// Frames the header promises, where its format counts them exactly.
    promised: Option<u64>,
    /// How long it should be about.
    seconds: Option<f64>,
    cut: bool,
    tail: Option<Kept>,
    frames: u64,
    packets: u64,
    damaged: u64,
}

impl Decoded {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::InputFile`] when it cannot be read, [`Error::Input`] when it is broken,
    /// [`Error::Unsupported`] for a format or codec this build does not decode.
    pub(super) fn open(
        name: String,
        container: Container,
        source: Box<dyn MediaSource>,
        known: Known,
    ) -> Result<Self> {
        let input = |what: String| Error::Input(format!("{name}: {what}"));
        let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
        let probe = || {
            symphonia::default::get_probe().probe(
                &Hint::new(),
                stream,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
        };
        let format = guarded(probe).map_err(|e| match e {
            SymphoniaError::IoError(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                Error::InputFile {
                    path: name.clone().into(),
                    source,
                }
            }
            SymphoniaError::IoError(_) | SymphoniaError::Unsupported("isomp4: missing moov atom")
                if known.piped && matches!(container, Container::Mp4 | Container::Caf) =>
            {
                input(format!(
                    "the index of this {container} lies behind the sound, or is cut off, so it cannot \
                     be read from a pipe; give the file"
                ))
            }
            SymphoniaError::IoError(_) => input(format!(
                "truncated: the {container} header is cut off, 0.0 s could be read; copy or \
                     record the file again"
            )),
            SymphoniaError::Unsupported(what) if what.contains("missing moov") => input(
                "truncated: the index behind the sound (moov) is missing, 0.0 s could be read; \
                     copy or record the file again"
                    .into(),
            ),
            e if container == Container::Other => {
                input(format!("not a sound file that can be read: {e} ({READS})"))
            }
            e => input(format!("the {container} header is broken: {e}")),
        })?;
        // Behind a tag the first bytes said nothing.
        let container = match (container, format.format_info().short_name) {
            (Container::Other, "mp3") => Container::Mp3,
            (Container::Other, "flac") => Container::Flac,
            (Container::Other, "wave") => Container::Wav,
            (container, _) => container,
        };
        Self::with_format(name, container, known, format)
    }

    fn with_format(
        name: String,
        container: Container,
        known: Known,
        format: Box<dyn FormatReader>,
    ) -> Result<Self> {
        let unsupported = |what: String| Error::Unsupported(format!("{name}: {what} ({READS})"));
        let track = format
            .default_track(TrackType::Audio)
            .or_else(|| format.first_track(TrackType::Audio));
        let Some((track, params)) = track.and_then(|t| match &t.codec_params {
            Some(CodecParameters::Audio(params)) => Some((t, params)),
            _ => None,
        }) else {
            return Err(unsupported(format!(
                "the {container} file has no sound track with a codec this build knows"
            )));
        };
        let options = AudioDecoderOptions::default();
        let make = || symphonia::default::get_codecs().make_audio_decoder(params, &options);
        let decoder = guarded(make).map_err(|e| {
            unsupported(format!(
                "the codec of this {container} file is not decoded here: {e}"
            ))
        })?;
        let sample_rate_hz = params.sample_rate.unwrap_or_default();
        let (low, high) = SAMPLE_RATES_HZ.into_inner();
        if !SAMPLE_RATES_HZ.contains(&sample_rate_hz) {
            return Err(Error::Input(format!(
                "{name}: the header says {sample_rate_hz} Hz, expected {low} to {high} Hz"
            )));
        }
        let promised = match container {
            _ if known.frames.is_some() => known.frames,
            Container::Wav | Container::Aiff | Container::Flac => track.num_frames,
            // Without a LAME tag the count is a guess from the bit rate.
            Container::Mp3 if track.delay.is_some() => {
                track.num_frames.map(|f| f.saturating_sub(2 * 1152))
            }
            _ => None,
        };
        let frames = known.frames.or(track.num_frames);
        let seconds = frames.map(|frames| frames as f64 / f64::from(sample_rate_hz));
        // M4A counts in a unit of its own.
        let ticks = || {
            let (unit, ticks) = (track.time_base?, track.duration?.get());
            Some(ticks as f64 * f64::from(unit.numer.get()) / f64::from(unit.denom.get()))
        };
        Ok(Self {
            seconds: seconds.or_else(ticks).filter(|s| *s > 0.0),
            name,
            container,
            track: track.id,
            format,
            decoder,
            sample_rate_hz,
            interleaved: Vec::new(),
            promised,
            cut: known.cut,
            tail: known.tail,
            frames: 0,
            packets: 0,
            damaged: 0,
        })
    }

    /// Rate of the samples.
    pub(super) fn sample_rate_hz(&self) -> u32 {
        self.sample_rate_hz
    }

    /// Length that the header says, or that its parser guesses.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// See [`Sound::read`](super::Sound::read).
    pub(super) fn read(&mut self, mono: &mut Vec<f32>) -> Result<bool> {
        let packet = match guarded(|| self.format.next_packet()) {
            Ok(Some(packet)) => packet,
            Ok(None) => return self.end(),
            Err(SymphoniaError::IoError(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                // A WAV of unknown length, as it comes out of a pipe, ends where it ends; of one that is
                // known, the promise tells.
                self.cut |= self.container != Container::Wav;
                return self.end();
            }
            Err(SymphoniaError::IoError(source)) => {
                return Err(Error::InputFile {
                    path: self.name.clone().into(),
                    source,
                });
            }
            Err(SymphoniaError::ResetRequired) => {
                return Err(self.unsupported("several recordings are chained in it; split it"));
            }
            Err(e) => return Err(self.input(format!("damaged after {}: {e}", self.read_so_far()))),
        };
        if packet.track_id != self.track {
            return Ok(true);
        }
        self.packets += 1;
        let first = mono.len();
        match guarded(|| self.decoder.decode(&packet)) {
            Ok(decoded) => {
                let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
                // AAC tells its real rate only now, where half of it stands in the header.
                if self.frames == 0 && SAMPLE_RATES_HZ.contains(&rate) {
                    self.sample_rate_hz = rate;
                }
                if rate != self.sample_rate_hz {
                    let what = format!("the sample rate changes to {rate} Hz on the way; split it");
                    return Err(self.unsupported(&what));
                }
                if !(1..=MAX_CHANNELS).contains(&channels) {
                    let what = format!("{channels} channels, expected 1 to {MAX_CHANNELS}");
                    return Err(self.input(what));
                }
                decoded.copy_to_vec_interleaved(&mut self.interleaved);
                mix_down(&self.interleaved, channels, mono);
            }
            Err(SymphoniaError::DecodeError(why)) => {
                self.damaged += 1;
                if self.damaged > MAX_DAMAGED && self.damaged * 10 > self.packets {
                    let (damaged, packets) = (self.damaged, self.packets);
                    let after = self.read_so_far();
                    return Err(self.input(format!(
                        "damaged: {damaged} of {packets} packets do not decode after {after}: {why}"
                    )));
                }
                // Silence in its place keeps the times of what follows. The packet's length is only
                // trusted as far as a codec's packets can be long.
                tracing::warn!(file = self.name, why, "bridged a damaged packet");
                let frames = usize::try_from(packet.dur.get()).unwrap_or(0).min(65_536);
                mono.resize(first + frames, 0.0);
            }
            Err(e) => return Err(self.input(format!("damaged after {}: {e}", self.read_so_far()))),
        }
        if let Err(loud) = check_samples(&mono[first..]) {
            let at = (self.frames + loud.at as u64) as f64 / f64::from(self.sample_rate_hz);
            return Err(self.input(format!(
                "the sample at {at:.3} s is {}, expected −1 to 1; convert the file again",
                loud.value
            )));
        }
        self.frames += (mono.len() - first) as u64;
        Ok(true)
    }

    fn end(&mut self) -> Result<bool> {
        let rate = f64::from(self.sample_rate_hz);
        self.cut |= self.tail.as_ref().is_some_and(|tail| !tail.ends_a_page());
        let missing = self.promised.filter(|p| *p > self.frames);
        if let Some(promised) = missing {
            return Err(self.input(format!(
                "truncated: the {} header promises {:.1} s, {:.1} s could be read; copy or record \
                 the file again",
                self.container,
                promised as f64 / rate,
                self.frames as f64 / rate
            )));
        }
        if self.cut {
            return Err(self.input(format!(
                "truncated: the end of the {} file is missing, {:.1} s could be read; copy or \
                 record the file again",
                self.container,
                self.frames as f64 / rate
            )));
        }
        if self.frames == 0 {
            return Err(self.input("the recording is 0 s long".into()));
        }
        if self.damaged == self.packets {
            return Err(self.input(format!("none of its {} packets decodes", self.packets)));
        }
        Ok(false)
    }

    fn read_so_far(&self) -> String {
        let seconds = self.frames as f64 / f64::from(self.sample_rate_hz);
        format!("{seconds:.1} s")
    }

    fn input(&self, what: String) -> Error {
        Error::Input(format!("{}: {what}", self.name))
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported(format!("{}: {what}", self.name))
    }
}

/// Runs a parser that is not ours on bytes that nobody vouches for. Some broken headers make
/// symphonia 0.6 overflow or index out of range; that must not take the host down.
fn guarded<T>(parse: impl FnOnce() -> Result<T, SymphoniaError>) -> Result<T, SymphoniaError> {
    catch_unwind(AssertUnwindSafe(parse))
        .unwrap_or(Err(SymphoniaError::DecodeError("the decoder gave up")))
}

pub(super) const READS: &str =
    "WAV, AIFF, CAF, FLAC, MP3, Ogg Vorbis, AAC and ALAC in M4A, and AAC in ADTS are read";
