//! Whisper (Radford et al. 2022, arXiv 2212.04356): 16 kHz samples → log-mel spectrogram 1×M×F →
//! encoder → decoder with key/value cache, greedy.
//!
//! The decoder is prompted with start, language, task and `<|notimestamps|>`; a model of one
//! language is not told language and task. Which tokens are chosen, which are not, and where it ends
//! is as `WhisperForConditionalGeneration.generate` of transformers 5.23 does it without timestamps.

use std::time::Instant;

use bevel_manifest::{AudioInput, TranscribeSpec};
use bevel_prep::audio::LogMel;

use crate::bundle::Bundle;
use crate::decoder::Rules;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
use crate::session::Session;
use crate::speech::model::{Heard, Later, Model, unknown};
use crate::speech::seq2seq::Seq2Seq;
use crate::speech::tokens::Tokens;

const INPUT: &str = "input_features";

/// Front end, graphs and prompt, ready to run.
pub(super) struct Whisper {
    mel: LogMel,
    tokens: Tokens,
    graphs: Seq2Seq,
    prompt: Vec<i64>,
    rules: Rules,
    /// The most tokens behind the prompt.
    limit: usize,
    features: Vec<f32>,
}

impl Whisper {
    /// # Errors
    /// Those of [`Seq2Seq::load`]; [`Error::Model`] when spectrogram or tokens do not fit the
    /// graphs.
    pub(super) fn load(
        bundle: &Bundle,
        options: &Options,
        input: &AudioInput,
        spec: &TranscribeSpec,
        language: &str,
        tokens: Later<'_>,
    ) -> Result<Self> {
        let TranscribeSpec::Whisper {
            end_id,
            max_tokens,
            suppress_ids,
            begin_suppress_ids,
            ..
        } = spec
        else {
            return Err(unknown());
        };
        let mel = input.mel.as_ref().ok_or_else(|| {
            let what = "[input] has no mel, and Whisper hears a spectrogram";
            Error::model(bundle.root(), what)
        })?;
        let prompt = prompt(spec, language);
        let room = max_tokens.saturating_sub(prompt.len());
        let graphs = Seq2Seq::load(bundle, options, "Whisper", INPUT)?;
        let whisper = Self {
            tokens: tokens(graphs.decoder().vocabulary())?,
            mel: LogMel::new(mel, input.sample_rate_hz),
            graphs,
            limit: options.max_tokens.unwrap_or(room).min(room),
            prompt,
            rules: Rules {
                end_ids: vec![*end_id],
                suppress: suppress_ids.clone(),
                begin_suppress: begin_suppress_ids.clone(),
                ..Rules::default()
            },
            features: Vec::new(),
        };
        fit_features(whisper.graphs.encoder(), &whisper.mel)?;
        let vocabulary = whisper.graphs.decoder().vocabulary().unwrap_or(usize::MAX);
        match whisper.prompt.iter().find(|id| **id as usize >= vocabulary) {
            Some(id) => {
                let what = format!(
                    "answers {vocabulary} tokens, but [decode] prompts with token {id}; they \
                     belong to different models"
                );
                Err(Error::model(
                    whisper.graphs.decoder().session().path(),
                    what,
                ))
            }
            None => Ok(whisper),
        }
    }
}

/// What the decoder reads first, to hear `language`.
fn prompt(spec: &TranscribeSpec, language: &str) -> Vec<i64> {
    let TranscribeSpec::Whisper {
        start_id,
        transcribe_id,
        no_timestamps_id,
        languages,
        ..
    } = spec
    else {
        return Vec::new();
    };
    let language_id = languages.get(language).copied();
    let task_id = language_id.and(*transcribe_id);
    let ids = [Some(*start_id), language_id, task_id, *no_timestamps_id];
    ids.into_iter().flatten().map(i64::from).collect()
}

/// Sees that the encoder takes as many bins and frames as the front end makes.
fn fit_features(encoder: &Session, mel: &LogMel) -> Result<()> {
    let made = [1, mel.bins(), mel.frames(0)];
    let input = encoder.inputs().iter().find(|i| i.name == INPUT);
    let Some(input) = input else {
        return Ok(());
    };
    let fits = |(axis, made): (&Option<usize>, usize)| axis.is_none_or(|size| size == made);
    if input.shape.len() == made.len() && input.shape.iter().zip(made).all(fits) {
        return Ok(());
    }
    let what = format!(
        "input `{INPUT}` is {}, [input] mel makes {made:?}; correct bins and frames",
        input.shape_text()
    );
    Err(Error::model(encoder.path(), what))
}

impl Whisper {
    /// The tokens of one piece.
    fn ids(&mut self, samples: &[f32], timing: &mut Timing) -> Result<Vec<u32>> {
        let start = Instant::now();
        let [bins, frames] = self.mel.write(samples, &mut self.features);
        timing.prepare += start.elapsed();
        let shape = [1, bins, frames];
        let sound = (&shape[..], self.features.as_slice());
        let search = (self.prompt.as_slice(), &self.rules);
        self.graphs.run(sound, search, self.limit, &mut timing.run)
    }
}

impl Model for Whisper {
    fn write_down(&mut self, pieces: &[&[f32]], timing: &mut Timing) -> Result<Vec<Heard>> {
        let piece = |samples: &&[f32]| {
            let ids = self.ids(samples, timing)?;
            Ok(Heard::whole(self.tokens.text(&ids)?, samples))
        };
        pieces.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests;
