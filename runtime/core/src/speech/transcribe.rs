use std::path::Path;
use std::time::Instant;

use bevel_manifest::Task as TaskName;
use bevel_prep::audio::{RateError, Resampler, check_samples};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
use crate::registry::{Answer, AnyPipeline, Sample};
use crate::speech::model::{self, Model};
use crate::speech::sound::SoundFile;
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
    language: String,
    splitter: Splitter,
    timing: Timing,
    block: Vec<f32>,
    resampled: Vec<f32>,
}

/// Where samples come from.
enum Source<'a> {
    Memory(&'a [f32], u32),
    File(Box<SoundFile>),
}

impl Source<'_> {
    fn sample_rate_hz(&self) -> u32 {
        match self {
            Self::Memory(_, rate) => *rate,
            Self::File(file) => file.sample_rate_hz(),
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
            Self::File(file) => file.read(block),
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
            language: opened.language,
            splitter: Splitter::load(bundle, opened.input)?,
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
        self.collect(Source::Memory(samples, sample_rate_hz))
    }

    /// Transcribes a sound file: WAV, FLAC, MP3, Ogg Vorbis, AAC in M4A or ADTS, told by content.
    ///
    /// # Errors
    /// [`Error::InputFile`] when it cannot be read; [`Error::Input`] when it is empty, no sound,
    /// cut off (an incomplete recording is an error that says how many seconds could be read, not a
    /// shorter text), damaged, 0 s long, or has samples that are NaN, infinite or far beyond 1;
    /// [`Error::Unsupported`] for a codec that is not decoded here, such as Opus; [`Error::Run`]
    /// when ONNX Runtime fails.
    pub fn run_file(&mut self, path: &Path) -> Result<Transcript> {
        self.collect(Source::File(Box::new(SoundFile::open(path)?)))
    }

    /// The same, segment by segment, each as soon as it is known. Answers the length of the sound
    /// in seconds.
    ///
    /// # Errors
    /// As [`run_file`](Self::run_file). Segments before the place of an error were handed out.
    pub fn run_file_with(&mut self, path: &Path, on: &mut dyn FnMut(&Segment)) -> Result<f64> {
        self.segments(Source::File(Box::new(SoundFile::open(path)?)), on)
    }

    /// Where the time of the last run went: `prepare` is decoding, resampling, voice activity
    /// detection and the spectrogram, `run` encoder and decoder, `decode` the choice of tokens and their text.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    fn collect(&mut self, source: Source<'_>) -> Result<Transcript> {
        let mut segments = Vec::new();
        let duration = self.segments(source, &mut |segment| segments.push(segment.clone()))?;
        let texts: Vec<_> = segments.iter().map(|s: &Segment| s.text.as_str()).collect();
        Ok(Transcript {
            text: texts.join(" "),
            language: self.language.clone(),
            duration,
            segments,
        })
    }

    fn segments(&mut self, mut source: Source<'_>, on: &mut dyn FnMut(&Segment)) -> Result<f64> {
        self.timing = Timing::default();
        self.splitter.reset();
        self.resampled.clear();
        let mut resampler: Option<Resampler> = None;
        let mut samples = 0;
        let mut more = true;
        while more {
            let start = Instant::now();
            self.block.clear();
            more = source.read(&mut self.block)?;
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
        }
        Ok(samples as f64 / f64::from(source.sample_rate_hz()))
    }

    /// Transcribes the pieces that are finished.
    fn pieces(&mut self, on: &mut dyn FnMut(&Segment)) -> Result<()> {
        while let Some((span, samples)) = self.splitter.pop() {
            let (start, mut timing) = (Instant::now(), Timing::default());
            let heard = self.model.write_down(&[samples], &mut timing)?;
            timing.decode = start.elapsed().saturating_sub(timing.prepare + timing.run);
            self.timing += timing;
            let from = span.start as f64 / f64::from(SAMPLE_RATE_HZ);
            for mut segment in heard.into_iter().flat_map(|heard| heard.segments) {
                segment.shift(from);
                on(&segment);
            }
        }
        self.splitter.forget();
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

    fn timing(&self) -> Timing {
        self.timing
    }
}

pub(crate) fn open_boxed(bundle: &Bundle, options: &Options) -> Result<Box<dyn AnyPipeline>> {
    Ok(Box::new(Transcribe::load(bundle, options)?))
}
