use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Token ids to text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TranscribeSpec {
    /// Moonshine (Jeffries et al. 2024): waveform encoder and decoder with key/value cache.
    Moonshine {
        /// `tokenizer.json`, or `tokenizer.bin`: pieces, each behind its length.
        tokenizer: String,
        /// Token that starts a transcript.
        start_id: u32,
        /// Token that ends it.
        end_id: u32,
        /// Upper bound on tokens per second of sound; more is a loop, not speech.
        max_tokens_per_s: f32,
        /// Language of the model, ISO 639-1.
        language: String,
    },
    /// Whisper (Radford et al. 2022): log-mel encoder and decoder with key/value cache. The decoder
    /// is prompted with `start_id`, for a model of many languages the language's id and
    /// `transcribe_id`, then `no_timestamps_id`.
    Whisper {
        /// `tokenizer.json` of Hugging Face tokenizers.
        tokenizer: String,
        /// `<|startoftranscript|>`.
        start_id: u32,
        /// `<|endoftext|>`.
        end_id: u32,
        /// `<|transcribe|>`; a model of one language is not told its job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transcribe_id: Option<u32>,
        /// `<|translate|>`, to English.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        translate_id: Option<u32>,
        /// `<|notimestamps|>`, where the vocabulary has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_timestamps_id: Option<u32>,
        /// `<|startofprev|>`: before text that a transcript goes on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_id: Option<u32>,
        /// `<|nospeech|>`, whose probability behind `start_id` says that nobody speaks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_speech_id: Option<u32>,
        /// Language when the caller names none, as in `languages`, or `auto`: the one that is heard; for
        /// a model of one language, it.
        language: String,
        /// Silence that goes behind a piece that is shorter than the window, in seconds: the encoder then
        /// hears the two instead of the whole window. Without it the window is always filled up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        margin_s: Option<f32>,
        /// Longest sequence of the decoder in tokens, prompt included: 448.
        max_tokens: usize,
        /// Tokens that are never chosen.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        suppress_ids: Vec<u32>,
        /// Tokens that are not chosen first: the end, and a space.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        begin_suppress_ids: Vec<u32>,
        /// Language, as `en` of `<|en|>`, to its id; empty for a model of one language.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        languages: BTreeMap<String, u32>,
    },
    /// Connectionist temporal classification (Graves et al. 2006): logits N×T×V of frames. Repeated
    /// tokens are one, blanks are none.
    Ctc {
        /// A text file with one token a line, in the order of the logits.
        tokens: String,
        /// The token that stands for nothing.
        blank_id: u32,
        /// The token that stands for a space, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        word_delimiter_id: Option<u32>,
        /// Samples from one frame to the next, where it is known: the product of the strides.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frame_samples: Option<u32>,
        /// Language of the model, ISO 639-1; empty where nobody says.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        language: String,
    },
}

impl TranscribeSpec {
    /// The language that stands for the one that is heard.
    pub const AUTO: &str = "auto";

    /// The tokenizer's file.
    pub fn tokenizer(&self) -> &str {
        match self {
            Self::Moonshine { tokenizer, .. } | Self::Whisper { tokenizer, .. } => tokenizer,
            Self::Ctc { tokens, .. } => tokens,
        }
    }

    /// Language when the caller names none.
    pub fn language(&self) -> &str {
        match self {
            Self::Moonshine { language, .. }
            | Self::Whisper { language, .. }
            | Self::Ctc { language, .. } => language,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[decode] {what}")));
        match self {
            Self::Moonshine {
                max_tokens_per_s, ..
            } if !(max_tokens_per_s.is_finite() && *max_tokens_per_s > 0.0) => {
                invalid("max_tokens_per_s must be above zero")
            }
            Self::Whisper { max_tokens, .. } if !(5..=65_536).contains(max_tokens) => {
                invalid("max_tokens must be in 5 ..= 65536")
            }
            Self::Whisper {
                languages,
                language,
                ..
            } if !languages.is_empty()
                && language != Self::AUTO
                && !languages.contains_key(language) =>
            {
                invalid(&format!("language `{language}` is not among languages"))
            }
            Self::Whisper {
                margin_s: Some(margin),
                ..
            } if !(0.0..=30.0).contains(margin) => invalid("margin_s must be in 0 ..= 30"),
            Self::Whisper {
                languages,
                transcribe_id: None,
                ..
            } if !languages.is_empty() => invalid("a model of many languages needs transcribe_id"),
            Self::Ctc {
                frame_samples: Some(0),
                ..
            } => invalid("frame_samples must be above zero"),
            _ => Ok(()),
        }
    }
}
