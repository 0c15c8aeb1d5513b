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
//! | `logits` | N×T×V | f32 | the last token's are those of the next |
//! | `present.{i}.…{key,value}` | N×H×(P+T)×K | f32 | the next past; an encoder's half only at the first step |
//!
//! What the encoder made and the cache stay ONNX Runtime values: they are moved from outputs to inputs.

mod cache;
mod rules;

use std::time::{Duration, Instant};

use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{DynValue, TensorRef};

use crate::error::{Error, Result, internal};
use crate::session::Session;
use cache::{Cache, Past};

pub(crate) use rules::Rules;

/// A graph, ready to go on with a prompt.
pub(crate) struct Decoder {
    session: Session,
    cache: Cache,
    inputs: Inputs,
}

/// Inputs that not every graph has.
#[derive(Clone, Copy)]
struct Inputs {
    mask: bool,
    positions: bool,
    encoder: bool,
    encoder_mask: bool,
    branch: bool,
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
    pub(crate) fn new(session: Session) -> Result<Self> {
        session.require("decoder", &["input_ids"], &["logits"])?;
        let has = |name: &str| session.has_input(name);
        Ok(Self {
            inputs: Inputs {
                mask: has("attention_mask"),
                positions: has("position_ids"),
                encoder: has("encoder_hidden_states"),
                encoder_mask: has("encoder_attention_mask"),
                branch: has("use_cache_branch"),
            },
            cache: Cache::of(&session)?,
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
        if self.inputs.encoder && prompt.hidden.is_none() {
            let what = "asks for `encoder_hidden_states`, and there is no encoder";
            return Err(Error::model(self.session.path(), what));
        }
        let rows = prompt.rows;
        if rows == 0 || prompt.ids.len() < rows {
            return Err(Error::Input("the prompt has no tokens".into()));
        }
        let texts: Vec<_> = (0..rows).map(|row| prompt.text(row)).collect();
        let mut chosen = vec![Vec::new(); rows];
        let mut past = self.cache.empty(rows)?;
        let mut step = Step::first(self.inputs, &prompt);
        let mut row = Vec::new();
        for _ in 0..limit {
            let mut outputs = step.run(&mut self.session, &past, spent)?;
            past.take(&mut outputs)?;
            let Some(logits) = Logits::of(&outputs, rows) else {
                drop(outputs);
                let what = "output `logits` is not float32 N×T×V";
                return Err(Error::model(self.session.path(), what));
            };
            step.ids.clear();
            for (i, chosen) in chosen.iter_mut().enumerate() {
                if rules.ended(chosen) {
                    step.ids.push(i64::from(rules.pad_id));
                    continue;
                }
                row.clear();
                row.extend_from_slice(logits.last(i));
                let id = rules.choose(&mut row, texts[i], chosen);
                step.ids.push(i64::from(id));
                chosen.push(id);
            }
            if chosen.iter().all(|row| rules.ended(row)) {
                break;
            }
            step.advance();
        }
        Ok(chosen)
    }

    /// The sum over a row of tokens, from the second on, of the log-probability that each follows those
    /// before it: one run of the graph.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the graph answers logits of the last token alone; else as
    /// [`greedy`](Self::greedy).
    pub(crate) fn log_probability(&mut self, ids: &[i64], spent: &mut Duration) -> Result<f64> {
        if self.inputs.encoder {
            let what = "asks for `encoder_hidden_states`, and there is no encoder";
            return Err(Error::model(self.session.path(), what));
        }
        if ids.is_empty() {
            return Err(Error::Input("the text has no tokens".into()));
        }
        let prompt = Prompt {
            ids,
            mask: None,
            rows: 1,
            hidden: None,
        };
        let past = self.cache.empty(1)?;
        let step = Step::first(self.inputs, &prompt);
        let outputs = step.run(&mut self.session, &past, spent)?;
        let wrong = "output `logits` is not float32 1×T×V for T tokens";
        let Some(logits) = Logits::of(&outputs, 1).filter(|logits| logits.tokens == ids.len())
        else {
            return Err(Error::Unsupported(wrong.into()));
        };
        let rows = logits.values.chunks_exact(logits.vocabulary);
        let sum = rows.zip(&ids[1..]).map(|(row, &id)| {
            let id = usize::try_from(id).ok().and_then(|id| row.get(id))?;
            Some(log_softmax(row, *id))
        });
        let sum: Option<f64> = sum.sum();
        sum.ok_or_else(|| {
            Error::Unsupported(format!(
                "the text has tokens beyond the {} that the graph knows",
                logits.vocabulary
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

/// What is fed at one step besides the cache.
struct Step<'a> {
    inputs: Inputs,
    rows: usize,
    hidden: Option<&'a DynValue>,
    ids: Vec<i64>,
    mask: Vec<i64>,
    positions: Vec<i64>,
}

impl<'a> Step<'a> {
    fn first(inputs: Inputs, prompt: &Prompt<'a>) -> Self {
        let (rows, tokens) = (prompt.rows, prompt.ids.len());
        let mask = prompt.mask.map_or_else(|| vec![1; tokens], <[i64]>::to_vec);
        // Counted from the first token; padding stands at the same place as that.
        let place = |seen: &mut i64, mask: &i64| {
            *seen += mask;
            Some((*seen - 1).max(0))
        };
        let places = mask.chunks(tokens / rows);
        let positions = places.flat_map(|row| row.iter().scan(0, place)).collect();
        Self {
            inputs,
            rows,
            hidden: prompt.hidden,
            ids: prompt.ids.to_vec(),
            mask,
            positions,
        }
    }

    /// Makes room for one token a row, which [`ids`](Self::ids) holds already.
    fn advance(&mut self) {
        let width = self.mask.len() / self.rows;
        let grown = self.mask.chunks(width).flat_map(|row| [row, &[1]]);
        self.mask = grown.flatten().copied().collect();
        let width = self.positions.len() / self.rows;
        let last = self.positions.chunks(width).filter_map(|row| row.last());
        self.positions = last.map(|last| last + 1).collect();
    }

    fn run<'s>(
        &self,
        session: &'s mut Session,
        past: &Past<'s>,
        spent: &mut Duration,
    ) -> Result<SessionOutputs<'s>> {
        let (ones, later) = (vec![1; self.rows], [!past.is_empty()]);
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let named = [
                (true, "input_ids", &self.ids),
                (self.inputs.mask, "attention_mask", &self.mask),
                (self.inputs.positions, "position_ids", &self.positions),
                (self.inputs.encoder_mask, "encoder_attention_mask", &ones),
            ];
            let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::new();
            for (_, name, values) in named.iter().filter(|(wanted, ..)| *wanted) {
                let shape = [self.rows, values.len() / self.rows];
                let tensor = TensorRef::from_array_view((shape, values.as_slice()))?;
                inputs.push((name, tensor.into()));
            }
            if self.inputs.branch {
                let later = TensorRef::from_array_view(([1], later.as_slice()))?;
                inputs.push(("use_cache_branch", later.into()));
            }
            let hidden = self.hidden.filter(|_| self.inputs.encoder);
            inputs.extend(hidden.map(|hidden| ("encoder_hidden_states", hidden.into())));
            inputs.extend(past.inputs().map(|(name, value)| (name, value.into())));
            Ok(inputs)
        };
        let inputs = inputs().map_err(internal)?;
        let start = Instant::now();
        let outputs = match past.wanted() {
            Some(wanted) => session.run_selected(inputs, wanted),
            None => session.run(inputs),
        };
        *spent += start.elapsed();
        outputs
    }
}

/// N×T×V.
struct Logits<'o> {
    values: &'o [f32],
    tokens: usize,
    vocabulary: usize,
}

impl<'o> Logits<'o> {
    /// `None` when the output is not what it should be.
    fn of(outputs: &'o SessionOutputs<'_>, rows: usize) -> Option<Self> {
        let (shape, values) = outputs.get("logits")?.try_extract_tensor::<f32>().ok()?;
        let [n, tokens, vocabulary] = shape[..] else {
            return None;
        };
        let size = |size: i64| usize::try_from(size).ok().filter(|size| *size > 0);
        let logits = Self {
            values,
            tokens: size(tokens)?,
            vocabulary: size(vocabulary)?,
        };
        (size(n)? == rows).then_some(logits)
    }

    /// Those of the last token of a row.
    fn last(&self, row: usize) -> &'o [f32] {
        let end = (row + 1) * self.tokens * self.vocabulary;
        &self.values[end - self.vocabulary..end]
    }
}

#[cfg(test)]
pub(crate) mod tests;
