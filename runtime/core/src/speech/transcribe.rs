use std::io::Cursor;
use std::path::Path;
use std::time::Instant;

use bevel_manifest::Task as TaskName;
use bevel_prep::audio::{RateError, Resampler, Span, check_samples};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
use crate::registry::{Answer, AnyPipeline, Sample};
use crate::session::Session;
use crate::speech::model::{self, Model};
use crate::speech::sound::Sound;
use crate::speech::split::Splitter;
use crate::speech::{SAMPLE_RATE_HZ, Segment, Transcript};

/// Samples that are gathered before the voice activity detector runs on them: half a second.
const BLOCK: usize = 8_000;

/// Speech to text.
///
/// Sound of any rate, length and number of channels is made 16 kHz mono, cut at pauses into pieces
/// of at most `max_piece_s` of the bundle, and each piece is transcribed on its own. Sound without
/// speech has an empty text. Memory does not grow with the length of a file: what is held is one
/// packet of it, the piece that is being heard and its successor.
///
/// ```no_run
/// use bevel::{Options, Transcribe};
///
/// let mut transcribe = Transcribe::open("moonshine-tiny".as_ref(), &Options::default())?;
/// let transcript = transcribe.run_file("meeting.m4a".as_ref())?;
/// println!("{}", transcript.text);
/// # Ok::<(), bevel::Error>(())
/// ```
pub struct Transcribe {
    model: Box<dyn Model>,
    /// The caller's or the bundle's; empty where it is to be found out.
    language: String,
    heard_language: String,
    splitter: Splitter,
    /// Pieces that are heard together, and those that wait for more.
    batch: usize,
    waiting: Vec<(Span, Vec<f32>)>,
    timing: Timing,
    block: Vec<f32>,
    resampled: Vec<f32>,
}

/// What is told while sound is being heard.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The next segment.
    Segment(&'a Segment),
    /// How far the sound was heard, after each half second of it or more.
    Position {
        /// Seconds that were read.
        seconds: f64,
        /// Seconds in all, where a header says; some only guess.
        of: Option<f64>,
    },
}

/// Where samples come from.
enum Source<'a> {
    Memory(&'a [f32], u32),
    Sound(Sound),
}

impl Source<'_> {
    fn sample_rate_hz(&self) -> u32 {
        match self {
            Self::Memory(_, rate) => *rate,
            Self::Sound(sound) => sound.sample_rate_hz(),
        }
    }

    /// Its length in seconds, where it is known before the end.
    fn seconds(&self) -> Option<f64> {
        match self {
            Self::Memory(samples, rate) => Some(samples.len() as f64 / f64::from(*rate)),
            Self::Sound(sound) => sound.seconds(),
        }
    }

    /// Appends the next samples; `false` at the end.
    fn read(&mut self, block: &mut Vec<f32>) -> Result<bool> {
        match self {
            Self::Memory(samples, _) => {
                let (now, later) = samples.split_at(samples.len().min(BLOCK));
                block.extend_from_slice(now);
                *samples = later;
                Ok(!now.is_empty())
            }
            Self::Sound(sound) => sound.read(block),
        }
    }
}

impl Transcribe {
    /// Opens a bundle directory.
    ///
    /// # Errors
    /// Those of [`Bundle::load`] and [`load`](Self::load).
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        Self::load(&Bundle::load(path)?, options)
    }

    /// Opens a bundle that is at hand.
    ///
    /// # Errors
    /// [`Error::Model`] for a bundle of another task, or whose graphs or tokenizer do not fit;
    /// [`Error::Input`] for a language the model does not know; those of [`Session::load`](crate::Session::load).
    pub fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let opened = model::open(bundle, options)?;
        Ok(Self {
            model: opened.model,
            heard_language: opened.language.clone(),
            language: opened.language,
            splitter: Splitter::load(bundle, options, opened.input)?,
            batch: options.speech.batch.unwrap_or(1).max(1),
            waiting: Vec::new(),
            timing: Timing::default(),
            block: Vec::new(),
            resampled: Vec::new(),
        })
    }

    /// Transcribes sound in memory: one channel in −1 ..= 1 at a rate of 1 to 384 kHz.
    ///
    /// # Errors
    /// [`Error::Input`] for no samples, for one that is NaN, infinite or far beyond 1, and for a
    /// rate out of range; [`Error::Run`] when ONNX Runtime fails.
    pub fn run(&mut self, samples: &[f32], sample_rate_hz: u32) -> Result<Transcript> {
        if samples.is_empty() {
            return Err(Error::Input("the recording is 0 s long".into()));
        }
        check_samples(samples).map_err(|loud| {
            Error::Input(format!(
                "sample {} is {}, expected −1 to 1; divide integers by their full scale",
                loud.at, loud.value
            ))
        })?;
        self.collect(Source::Memory(samples, sample_rate_hz), &mut |_| {})
    }

    /// Transcribes a sound file of a format that [`Sound::open`] names, told by content.
    ///
    /// # Errors
    /// [`Error::InputFile`] when it cannot be read; [`Error::Input`] when it is empty, no sound,
    /// cut off (an incomplete recording is an error that says how many seconds could be read, not a
    /// shorter text), damaged, 0 s long, or has samples that are NaN, infinite or far beyond 1;
    /// [`Error::Unsupported`] for a codec that is not decoded here, such as Opus; [`Error::Run`]
    /// when ONNX Runtime fails.
    pub fn run_file(&mut self, path: &Path) -> Result<Transcript> {
        self.run_sound(Sound::open(path)?, &mut |_| {})
    }

    /// The same, segment by segment, each as soon as it is known. Answers the length of the sound
    /// in seconds.
    ///
    /// # Errors
    /// As [`run_file`](Self::run_file). Segments before the place of an error were handed out.
    pub fn run_file_with(&mut self, path: &Path, on: &mut dyn FnMut(&Segment)) -> Result<f64> {
        let on = &mut |told: Progress<'_>| match told {
            Progress::Segment(segment) => on(segment),
            Progress::Position { .. } => {}
        };
        self.segments(Source::Sound(Sound::open(path)?), on)
    }

    /// Transcribes sound that was opened before, such as standard input, and tells `on` what is
    /// found and how far it is meanwhile.
    ///
    /// # Errors
    /// As [`run_file`](Self::run_file). What was told before the place of an error stays told.
    pub fn run_sound(
        &mut self,
        sound: Sound,
        on: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Transcript> {
        self.collect(Source::Sound(sound), on)
    }

    /// Where the time of the last run went: `prepare` is decoding, resampling, voice activity
    /// detection and the spectrogram, `run` encoder and decoder, `decode` the choice of tokens and their text.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    fn collect(
        &mut self,
        source: Source<'_>,
        on: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Transcript> {
        let mut segments = Vec::new();
        let duration = self.segments(source, &mut |told| {
            if let Progress::Segment(segment) = told {
                segments.push(segment.clone());
            }
            on(told);
        })?;
        let texts: Vec<_> = segments.iter().map(|s: &Segment| s.text.as_str()).collect();
        Ok(Transcript {
            text: texts.join(" "),
            language: self.heard_language.clone(),
            duration,
            segments,
        })
    }

    fn segments(
        &mut self,
        mut source: Source<'_>,
        on: &mut dyn FnMut(Progress<'_>),
    ) -> Result<f64> {
        let of = source.seconds();
        self.timing = Timing::default();
        self.splitter.reset();
        self.heard_language.clone_from(&self.language);
        self.model.start();
        self.resampled.clear();
        self.waiting.clear();
        let mut resampler: Option<Resampler> = None;
        let mut samples = 0;
        let mut more = true;
        while more {
            let start = Instant::now();
            self.block.clear();
            more = match source.read(&mut self.block) {
                Ok(more) => more,
                Err(error) => {
                    self.hear(on)?;
                    return Err(error);
                }
            };
            samples += self.block.len();
            if !self.block.is_empty() {
                let resampler = match &mut resampler {
                    Some(resampler) => resampler,
                    // Only now: the first packet may correct the header's rate.
                    none => none.insert(new_resampler(source.sample_rate_hz())?),
                };
                resampler
                    .push(&self.block, &mut self.resampled)
                    .map_err(failed)?;
            }
            if !more && let Some(resampler) = &mut resampler {
                resampler.finish(&mut self.resampled).map_err(failed)?;
            }
            if more && self.resampled.len() < BLOCK {
                self.timing.prepare += start.elapsed();
                continue;
            }
            self.splitter.push(&self.resampled)?;
            self.resampled.clear();
            if !more {
                self.splitter.finish()?;
            }
            self.timing.prepare += start.elapsed();
            self.pieces(on)?;
            if !more {
                self.hear(on)?;
            }
            let seconds = samples as f64 / f64::from(source.sample_rate_hz());
            on(Progress::Position { seconds, of });
        }
        Ok(samples as f64 / f64::from(source.sample_rate_hz()))
    }

    /// Takes the pieces that are finished, and transcribes them once there are as many as are heard
    /// together.
    fn pieces(&mut self, on: &mut dyn FnMut(Progress<'_>)) -> Result<()> {
        while let Some((span, samples)) = self.splitter.pop() {
            self.waiting.push((span, samples.to_vec()));
            if self.waiting.len() >= self.batch {
                self.hear(on)?;
            }
        }
        self.splitter.forget();
        Ok(())
    }

    /// Transcribes the pieces that wait.
    fn hear(&mut self, on: &mut dyn FnMut(Progress<'_>)) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (start, mut timing) = (Instant::now(), Timing::default());
        let pieces: Vec<&[f32]> = self
            .waiting
            .iter()
            .map(|(_, samples)| samples.as_slice())
            .collect();
        let heard = self.model.write_down(&pieces, &mut timing)?;
        timing.decode = start.elapsed().saturating_sub(timing.prepare + timing.run);
        self.timing += timing;
        for ((span, _), heard) in self.waiting.drain(..).zip(heard) {
            if let Some(language) = heard.language {
                self.heard_language = language;
            }
            let from = span.start as f64 / f64::from(SAMPLE_RATE_HZ);
            for mut segment in heard.segments {
                segment.shift(from);
                on(Progress::Segment(&segment));
            }
        }
        Ok(())
    }
}

fn new_resampler(from_hz: u32) -> Result<Resampler> {
    Resampler::new(from_hz, SAMPLE_RATE_HZ).map_err(|e| Error::Input(e.to_string()))
}

fn failed(e: RateError) -> Error {
    Error::Internal(e.to_string())
}

impl AnyPipeline for Transcribe {
    fn task(&self) -> TaskName {
        TaskName::Transcribe
    }

    fn run(&mut self, samples: &[Sample<'_>]) -> Result<Vec<Answer>> {
        let mut total = Timing::default();
        let mut answers = Vec::with_capacity(samples.len());
        for sample in samples {
            let transcript = match *sample {
                Sample::Sound(samples, rate) => Self::run(self, samples, rate)?,
                Sample::SoundFile(path) => self.run_file(path)?,
                Sample::SoundBytes(bytes) => {
                    let reader = Cursor::new(bytes.to_vec());
                    let sound = Sound::from_reader("sound in memory", reader, None)?;
                    self.run_sound(sound, &mut |_| {})?
                }
                _ => {
                    let what = format!("`transcribe` does not take {}", sample.noun());
                    return Err(Error::Input(what));
                }
            };
            total += self.timing;
            answers.push(Answer::Transcribe(transcript));
        }
        self.timing = total;
        Ok(answers)
    }

    fn sessions(&self) -> Vec<&Session> {
        self.model.sessions()
    }

    fn timing(&self) -> Timing {
        self.timing
    }

    fn transcribe(&mut self) -> Option<&mut Transcribe> {
        Some(self)
    }
}

pub(crate) fn open_boxed(bundle: &Bundle, options: &Options) -> Result<Box<dyn AnyPipeline>> {
    Ok(Box::new(Transcribe::load(bundle, options)?))
}
