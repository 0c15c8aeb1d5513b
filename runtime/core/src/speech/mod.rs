//! Speech tasks.

mod container;
mod ctc;
mod model;
mod moonshine;
mod seq2seq;
mod sound;
mod split;
mod tokens;
mod transcribe;
mod vad;
mod whisper;

use serde::Serialize;

pub use transcribe::Transcribe;
pub(crate) use transcribe::open_boxed;

/// The only rate of detectors and models here; sound of another is resampled.
const SAMPLE_RATE_HZ: u32 = 16_000;

/// Text with times.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Transcript {
    /// The whole text: that of the segments, a space between them. Empty when nobody speaks.
    pub text: String,
    /// What was to be heard: ISO 639-1, or three letters where a language has no two. Empty where
    /// neither the bundle nor the caller says.
    pub language: String,
    /// Length of the sound in seconds.
    pub duration: f64,
    /// Pieces in order, without overlap.
    pub segments: Vec<Segment>,
}

/// One piece of a transcript: what was said between two pauses. Times of single words are not known
/// yet; once they are they will stand here as `words`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Segment {
    /// Start in seconds, a little before the first word.
    pub start: f64,
    /// End in seconds, a little behind the last word.
    pub end: f64,
    /// Its text.
    pub text: String,
}
