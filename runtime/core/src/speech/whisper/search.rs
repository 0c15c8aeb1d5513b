//! One pass of the decoder over what the encoder heard.

use std::time::Duration;

use ort::value::DynValue;

use super::rules::{Choice, Rules, log_sum_exp};
use crate::decoder::{Decoder, Step, round};
use crate::error::Result;

/// What a pass is asked for.
pub(super) struct Ask<'a> {
    pub(super) prompt: &'a [i64],
    /// Place of `<|startoftranscript|>` in the prompt.
    pub(super) start: usize,
    /// The id whose probability there says that nobody speaks.
    pub(super) no_speech: Option<u32>,
    pub(super) rules: &'a Rules,
    pub(super) temperature: f32,
    /// The most tokens behind the prompt.
    pub(super) limit: usize,
    /// Whether the attention is kept.
    pub(super) attention: bool,
}

/// What came of it for one piece.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoded {
    /// The tokens without the end.
    pub(super) ids: Vec<u32>,
    /// Of each token its log-probability.
    pub(super) log_probabilities: Vec<f32>,
    /// Of all of them, the end included.
    pub(super) log_probability: f32,
    /// In 0 ..= 1; 0 where the model does not say.
    pub(super) no_speech: f32,
    /// Whether it came to its end by itself.
    pub(super) ended: bool,
    /// (L + ids + 1)×A×S: where heads looked for the prompt, each token and the end; one row more where it
    /// came to its end, of what would be behind it.
    pub(super) attention: Vec<f32>,
    /// L, the tokens of the prompt from its start on without the last, whose row is the first token's.
    pub(super) lead: usize,
    /// Whether the row behind the end is there.
    pub(super) behind: bool,
    /// S.
    pub(super) frames: usize,
}

impl Decoded {
    /// The mean over all tokens, the end included.
    pub(super) fn mean_log_probability(&self) -> f32 {
        self.log_probability / (self.ids.len() + 1) as f32
    }

    /// Whether it came to its end and does not know where heads look behind it.
    fn looks_no_further(&self) -> bool {
        self.ended && self.frames > 0 && !self.behind
    }

    fn look_behind(&mut self, step: &Step<'_>, row: usize) {
        if self.looks_no_further() {
            self.behind = step.attention(row, 0, &mut self.attention).is_some();
        }
    }

    fn take(&mut self, choice: Choice, end_id: u32) {
        self.log_probability += choice.log_probability;
        match choice.id == end_id {
            true => self.ended = true,
            false => {
                self.ids.push(choice.id);
                self.log_probabilities.push(choice.log_probability);
            }
        }
    }
}

/// Writes down `rows` pieces, whose encodings are the rows of `hidden`. Adds the time inside ONNX Runtime
/// to `spent`.
///
/// # Errors
/// Those of [`Decoder::begin`] and [`Run::step`](crate::decoder::Run::step).
pub(super) fn decode(
    decoder: &mut Decoder,
    hidden: &DynValue,
    rows: usize,
    ask: &Ask<'_>,
    spent: &mut Duration,
) -> Result<Vec<Decoded>> {
    let end_id = ask.rules.end_id;
    let mut found = vec![Decoded::default(); rows];
    let mut over = vec![false; rows];
    let mut ids = ask.prompt.repeat(rows);
    let mut logits = Vec::new();
    // The same sound gives the same text.
    let mut random = fastrand::Rng::with_seed(7);
    let mut run = decoder.begin(rows, None, Some(hidden))?;
    for step_index in 0..ask.limit {
        let step = run.step(&ids, spent)?;
        ids.clear();
        for (row, found) in found.iter_mut().enumerate() {
            if over[row] {
                found.look_behind(&step, row);
                ids.push(i64::from(end_id));
                continue;
            }
            if let (0, Some(id)) = (step_index, ask.no_speech)
                && step.tokens() == ask.prompt.len()
            {
                let logits = step.logits(row, ask.start);
                let silent = logits.get(id as usize).copied();
                let silent = silent.unwrap_or(f32::NEG_INFINITY);
                found.no_speech = (silent - log_sum_exp(logits)).exp();
            }
            // At first the prompt's, which help to tell what is common to all.
            let from = if step_index == 0 { ask.start } else { 0 };
            if ask.attention
                && let Some(frames) = step.attention(row, from, &mut found.attention)
            {
                (found.frames, found.lead) = (frames, ask.prompt.len() - 1 - ask.start);
            }
            logits.clear();
            logits.extend_from_slice(step.last(row));
            let (temperature, place) = (ask.temperature, random.f64());
            let choice = ask
                .rules
                .choose(&mut logits, &found.ids, temperature, place);
            found.take(choice, end_id);
            over[row] = found.ended || round(&found.ids).is_some();
            ids.push(i64::from(choice.id));
        }
        if over.iter().all(|over| *over) {
            break;
        }
    }
    if ask.attention && found.iter().any(Decoded::looks_no_further) {
        let step = run.step(&ids, spent)?;
        for (row, found) in found.iter_mut().enumerate() {
            found.look_behind(&step, row);
        }
    }
    Ok(found)
}

/// The probability of each of `ids` behind the tokens of `opening`, among themselves, row by row.
///
/// # Errors
/// As [`decode`].
pub(super) fn compare(
    decoder: &mut Decoder,
    hidden: &DynValue,
    rows: usize,
    opening: &[i64],
    ids: &[u32],
    spent: &mut Duration,
) -> Result<Vec<Vec<f32>>> {
    let mut run = decoder.begin(rows, None, Some(hidden))?;
    let step = run.step(&opening.repeat(rows), spent)?;
    let row = |row: usize| {
        let logits = step.last(row);
        let logit = |id: &u32| logits.get(*id as usize).copied();
        let chosen: Vec<f32> = ids
            .iter()
            .map(|id| logit(id).unwrap_or(f32::NEG_INFINITY))
            .collect();
        let sum = log_sum_exp(&chosen);
        chosen.iter().map(|logit| logit - sum).collect()
    };
    Ok((0..rows).map(row).collect())
}
