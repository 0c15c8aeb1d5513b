//! The ids that steer the decoder.

use bevel_manifest::TranscribeSpec;

use crate::error::{Error, Result};
use crate::pipeline::Options;
use crate::speech::Timestamps;
use crate::speech::tokens::Tokens;

/// What the decoder is told before it writes.
#[derive(Debug, Clone, Default)]
pub(super) struct Prompt {
    /// `<|startofprev|>` and text that the transcript goes on with, where there is some.
    before: Vec<i64>,
    start_id: i64,
    task_id: Option<i64>,
    no_timestamps_id: Option<i64>,
}

impl Prompt {
    /// # Errors
    /// [`Error::Unsupported`] when the model cannot translate, take a prompt or write times and is asked
    /// to.
    pub(super) fn new(spec: &TranscribeSpec, options: &Options, tokens: &Tokens) -> Result<Self> {
        let TranscribeSpec::Whisper {
            start_id,
            transcribe_id,
            translate_id,
            no_timestamps_id,
            previous_id,
            max_tokens,
            ..
        } = spec
        else {
            return Ok(Self::default());
        };
        let speech = &options.speech;
        let cannot = |what: &str| Err(Error::Unsupported(format!("this Whisper {what}")));
        if speech.translate && translate_id.is_none() {
            return cannot("knows English alone and cannot translate; take a multilingual one");
        }
        if speech.timestamps == Timestamps::Segments && no_timestamps_id.is_none() {
            return cannot("has no tokens for times; ask for those of pauses");
        }
        let said = [
            speech.prompt.clone().unwrap_or_default(),
            speech.hot_words.join(", "),
        ];
        let said: Vec<&str> = said
            .iter()
            .map(|s| s.trim())
            .filter(|s| !s.is_empty())
            .collect();
        let mut before = Vec::new();
        if !said.is_empty() {
            let Some(previous_id) = previous_id else {
                return cannot("was not taught to go on with a prompt (no <|startofprev|>)");
            };
            let ids = tokens.encode(&format!(" {}", said.join(" ")))?;
            // Of a long text the end counts; half of the decoder's room is the transcript's.
            let room = (max_tokens / 2).saturating_sub(1);
            before.push(i64::from(*previous_id));
            let ids = &ids[ids.len().saturating_sub(room)..];
            before.extend(ids.iter().map(|id| i64::from(*id)));
        }
        let task_id = if speech.translate {
            translate_id
        } else {
            transcribe_id
        };
        let wants_times = speech.timestamps == Timestamps::Segments;
        Ok(Self {
            before,
            start_id: i64::from(*start_id),
            task_id: task_id.map(i64::from),
            no_timestamps_id: no_timestamps_id.filter(|_| !wants_times).map(i64::from),
        })
    }

    /// All of it, to hear a language; a model of one language is not told its job.
    pub(super) fn ids(&self, language_id: Option<u32>) -> Vec<i64> {
        let mut ids = self.before.clone();
        let language_id = language_id.map(i64::from);
        let task_id = language_id.and(self.task_id);
        let steering = [
            Some(self.start_id),
            language_id,
            task_id,
            self.no_timestamps_id,
        ];
        ids.extend(steering.into_iter().flatten());
        ids
    }

    /// What comes before the language: its last token is the one that [`start`](Self::start) names.
    pub(super) fn opening(&self) -> [i64; 1] {
        [self.start_id]
    }

    /// Place of `<|startoftranscript|>` in [`ids`](Self::ids).
    pub(super) fn start(&self) -> usize {
        self.before.len()
    }
}
