//! Speech tasks.

mod ctc;
mod detector;
mod live;
mod model;
mod moonshine;
mod options;
mod recent;
mod seq2seq;
mod sound;
mod split;
pub mod subtitles;
mod tokens;
mod transcribe;
mod vad;
mod whisper;

use serde::Serialize;

pub use live::{Event, Latency, Live, LiveInput, LiveOptions, LiveOutput};
pub use options::{SpeechOptions, Timestamps};
pub use sound::{Encoding, Pcm, Sound};
pub(crate) use transcribe::open_boxed;
pub use transcribe::{Progress, Transcribe};

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

/// One piece of a transcript: what was said between two pauses, or, where the caller asks for
/// [`Timestamps::Segments`], what the model itself holds together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Segment {
    /// Start in seconds, a little before the first word.
    pub start: f64,
    /// End in seconds, a little behind the last word.
    pub end: f64,
    /// Its text.
    pub text: String,
    /// Its words with their times, where the caller asks for [`Timestamps::Words`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

impl Segment {
    /// Counts its times from a moment that is so many seconds earlier, to the millisecond.
    fn shift(&mut self, seconds: f64) {
        let words = self.words.iter_mut();
        let words = words.flat_map(|word| [&mut word.start, &mut word.end]);
        for time in words.chain([&mut self.start, &mut self.end]) {
            *time = ((*time + seconds) * 1e3).round() / 1e3;
        }
    }
}

/// A word of a segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Word {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// The word with its punctuation, without space around it.
    pub text: String,
    /// How sure the model is, in 0 ..= 1: the mean probability of its tokens.
    pub score: f32,
}
