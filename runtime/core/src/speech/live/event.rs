use bevel_manifest::ErrorKind;
use serde::Serialize;

use crate::error::Error;
use crate::speech::Segment;

/// What happens in a stream. Times are seconds since its start.
///
/// An utterance is one `Started`, any number of `Partial`, and then either `Final` or `Empty`. As JSON
/// each is an object with its name under `event`: `{"event": "started", "start": 1.2}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event {
    /// Somebody speaks.
    Started {
        /// Where it began.
        start: f64,
    },
    /// What the utterance is so far: `agreed` and `rest`, one behind the other.
    Partial {
        /// Start of the sound.
        start: f64,
        /// End of the sound that was heard for it.
        end: f64,
        /// What does not change any more in partial texts of this utterance: each begins with that of the
        /// one before.
        agreed: String,
        /// What may still change.
        rest: String,
    },
    /// What was said in the utterance, or in a part of it where the model makes several.
    Final {
        /// Text and times.
        #[serde(flatten)]
        segment: Segment,
        /// The language, where the model found it out.
        #[serde(skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        /// How long it took.
        latency: Latency,
    },
    /// The utterance has no words: it was another sound, or the model failed on it.
    Empty {
        /// Start of the sound.
        start: f64,
        /// End of the sound.
        end: f64,
    },
    /// Sound was refused because the model is too slow and the buffer was full. Nobody has heard it.
    Dropped {
        /// Where it began.
        start: f64,
        /// How much was lost.
        seconds: f64,
    },
    /// The stream was [ended](super::LiveOutput::end), and everything in it is written down.
    Ended,
    /// Something failed; the stream goes on.
    Error {
        /// Where in the stream.
        at: f64,
        /// The kind of [`Error`].
        #[serde(skip)]
        kind: ErrorKind,
        /// What failed, for people.
        what: String,
    },
}

/// How long after speech its text was there, in seconds, for sound that is pushed as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Since the sound was pushed that decided that speech had ended.
    pub after_decision: f64,
    /// Since the last sound that was taken for speech; the pause that ends an utterance is part of it.
    pub after_speech: f64,
}

impl Event {
    pub(super) fn error(at: f64, error: &Error) -> Self {
        Self::Error {
            at,
            kind: error.kind(),
            what: error.to_string(),
        }
    }
}
