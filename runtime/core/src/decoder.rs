//! A decoder with key/value cache, driven token by token: the one loop for text and speech.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_ids` | N×T | i64 | the prompt, then the last token of each row |
//! | `attention_mask` | N×(P+T) | i64 | 1 for tokens, 0 for padding on the left; where the graph has it |
//! | `position_ids` | N×T | i64 | 0 at the first token of a row; where the graph has it |
//! | `encoder_hidden_states` | N×S×D | f32 | what an encoder made, at every step; where the graph has it |
//! | `encoder_attention_mask` | N×1 | i64 | ones, which broadcast; where the graph has it |
//! | `past_key_values.{i}.…{key,value}` | N×H×P×K | f32 | P = 0 at the first step |
//! | `use_cache_branch` | 1 | bool | false at the first step, true after it; where the graph has it |
//! | `cache_position` | T | i64 | P .. P+T; where the graph has it |
//! | `logits` | N×T×V | f32 | the last token's are those of the next |
//! | `cross_attentions` | N×A×T×S | f32 | where A heads look in the encoder's output; where the graph has it |
//! | `present.{i}.…{key,value}` | N×H×(P+T)×K | f32 | the next past; an encoder's half only at the first step |
//!
//! What the encoder made and the cache stay ONNX Runtime values: they are moved from outputs to inputs.

mod cache;
mod rules;
mod run;

use std::time::Duration;

use ort::value::DynValue;

use crate::error::{Error, Result};
use crate::session::Session;
use cache::Cache;
use run::Inputs;

pub(crate) use rules::{Rules, argmax, round};
pub(crate) use run::{Run, Step};

/// A graph, ready to go on with a prompt.
pub(crate) struct Decoder {
    session: Session,
    cache: Cache,
    inputs: Inputs,
}

/// What the decoder reads before it chooses.
#[derive(Clone, Copy)]
pub(crate) struct Prompt<'a> {
    /// N×T, neither of them 0.
    pub(crate) ids: &'a [i64],
    /// N×T: 0 for padding on the left. Without it there is none.
    pub(crate) mask: Option<&'a [i64]>,
    /// N.
    pub(crate) rows: usize,
    /// `encoder_hidden_states`, where there is an encoder.
    pub(crate) hidden: Option<&'a DynValue>,
}

impl Decoder {
    /// Learns inputs, layers, heads and sizes from a graph.
    ///
    /// # Errors
    /// [`Error::Model`] when inputs or outputs are not those above.
    pub(crate) fn new(mut session: Session) -> Result<Self> {
        session.require("decoder", &["input_ids"], &["logits"])?;
        let cache = Cache::of(&session)?;
        for output in cache.present() {
            session.keep_on_device(output);
        }
        Ok(Self {
            inputs: Inputs::of(&session),
            cache,
            session,
        })
    }

    /// The graph.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// How many tokens the graph knows, where it says so.
    pub(crate) fn vocabulary(&self) -> Option<usize> {
        self.session.width("logits")
    }

    /// The tokens that follow each row: the likeliest at each step, at most `limit`, the one that
    /// ends the row included. Adds the time inside ONNX Runtime to `spent`.
    ///
    /// # Errors
    /// [`Error::Input`] for a prompt without tokens, [`Error::Run`] when ONNX Runtime fails,
    /// [`Error::Model`] when the graph asks for an encoder and there is none, or logits are not
    /// N×T×V.
    pub(crate) fn greedy(
        &mut self,
        prompt: Prompt<'_>,
        rules: &Rules,
        limit: usize,
        spent: &mut Duration,
    ) -> Result<Vec<Vec<u32>>> {
        let rows = prompt.rows;
        if rows == 0 || prompt.ids.len() < rows {
            return Err(Error::Input("the prompt has no tokens".into()));
        }
        let texts: Vec<_> = (0..rows).map(|row| prompt.text(row)).collect();
        let mut chosen = vec![Vec::new(); rows];
        let mut ids = prompt.ids.to_vec();
        let mut run = self.begin(rows, prompt.mask, prompt.hidden)?;
        let mut logits = Vec::new();
        for _ in 0..limit {
            let step = run.step(&ids, spent)?;
            ids.clear();
            for (i, chosen) in chosen.iter_mut().enumerate() {
                if rules.ended(chosen) {
                    ids.push(i64::from(rules.pad_id));
                    continue;
                }
                logits.clear();
                logits.extend_from_slice(step.last(i));
                let id = rules.choose(&mut logits, texts[i], chosen);
                ids.push(i64::from(id));
                chosen.push(id);
                rules.end_round(chosen);
            }
            if chosen.iter().all(|row| rules.ended(row)) {
                break;
            }
        }
        Ok(chosen)
    }

    /// A decode of so many rows, before its first step; `mask` is that of the tokens of the first step.
    ///
    /// # Errors
    /// [`Error::Model`] when the graph asks for an encoder and there is none.
    pub(crate) fn begin<'d>(
        &'d mut self,
        rows: usize,
        mask: Option<&[i64]>,
        hidden: Option<&'d DynValue>,
    ) -> Result<Run<'d>> {
        if self.inputs.encoder && hidden.is_none() {
            let what = "asks for `encoder_hidden_states`, and there is no encoder";
            return Err(Error::model(self.session.path(), what));
        }
        let past = self.cache.empty(rows)?;
        Ok(Run::new(
            &mut self.session,
            self.inputs,
            past,
            rows,
            mask,
            hidden,
        ))
    }

    /// The sum over a row of tokens, from the second on, of the log-probability that each follows those
    /// before it: one run of the graph.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the graph answers logits of the last token alone; else as
    /// [`greedy`](Self::greedy).
    pub(crate) fn log_probability(&mut self, ids: &[i64], spent: &mut Duration) -> Result<f64> {
        if ids.is_empty() {
            return Err(Error::Input("the text has no tokens".into()));
        }
        let mut run = self.begin(1, None, None)?;
        let step = run.step(ids, spent)?;
        if step.tokens() != ids.len() {
            let what = "output `logits` is not float32 1×T×V for T tokens";
            return Err(Error::Unsupported(what.into()));
        }
        let vocabulary = step.vocabulary();
        let rows = (0..ids.len()).map(|token| step.logits(0, token));
        let sum = rows.zip(&ids[1..]).map(|(row, &id)| {
            let id = usize::try_from(id).ok().and_then(|id| row.get(id))?;
            Some(log_softmax(row, *id))
        });
        let sum: Option<f64> = sum.sum();
        sum.ok_or_else(|| {
            Error::Unsupported(format!(
                "the text has tokens beyond the {vocabulary} that the graph knows"
            ))
        })
    }
}

/// The log-probability of the token with this logit, in f64: a text adds up thousands of them.
fn log_softmax(row: &[f32], logit: f32) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|v| f64::from(v - max).exp()).sum();
    f64::from(logit - max) - sum.ln()
}

impl<'a> Prompt<'a> {
    /// A row without the padding on its left.
    fn text(&self, row: usize) -> &'a [i64] {
        let width = self.ids.len() / self.rows;
        let row = row * width..(row + 1) * width;
        let mask = self.mask.map_or(&[][..], |mask| &mask[row.clone()]);
        let pad = mask.iter().take_while(|keep| **keep == 0).count();
        &self.ids[row][pad..]
    }
}

#[cfg(test)]
pub(crate) mod tests;
