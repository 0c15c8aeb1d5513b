//! An encoder and a decoder with key/value cache, driven by hand: sound in, greedy tokens out.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_values` or `input_features` | 1×S or 1×M×F | f32 | samples, or a spectrogram |
//! | `attention_mask` | 1×S | i64 | ones, where the encoder has it |
//! | `last_hidden_state` | 1×T×D | f32 | fed to the decoder at every step |
//! | `input_ids` | 1×L | i64 | the prompt, then the last token |
//! | `encoder_attention_mask` | 1×1 | i64 | one, which broadcasts; where the decoder has it |
//! | `past_key_values.{i}.{decoder,encoder}.{key,value}` | 1×H×P×K | f32 | P = 0 at the first step |
//! | `use_cache_branch` | 1 | bool | false at the first step, true after it; where the decoder has it |
//! | `logits` | 1×L×V | f32 | the last row is the next token |
//! | `present.{i}.{decoder,encoder}.{key,value}` | 1×H×(P+L)×K | f32 | the next past; `encoder` only at the first step |
//!
//! Encoder output and cache stay ONNX Runtime values: they are moved from outputs to inputs.

use std::time::{Duration, Instant};

use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorRef};

use crate::bundle::Bundle;
use crate::error::{Error, Result, one_line};
use crate::pipeline::Options;
use crate::session::Session;
use crate::speech::cache::{Cache, Past};

/// How tokens are chosen.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    /// What the decoder reads before it chooses; not empty.
    pub(super) prompt: Vec<i64>,
    /// Ends the text.
    pub(super) end_id: u32,
    /// Never chosen.
    pub(super) suppress: Vec<u32>,
    /// Not chosen first.
    pub(super) begin_suppress: Vec<u32>,
}

/// The two graphs, ready to run.
pub(super) struct Seq2Seq {
    encoder: Session,
    decoder: Session,
    /// Name of what the encoder takes.
    input: &'static str,
    encoder_masked: bool,
    decoder_masked: bool,
    branched: bool,
    cache: Cache,
    mask: Vec<i64>,
    row: Vec<f32>,
}

impl Seq2Seq {
    /// Loads the graphs `encoder` and `decoder` of a `family` whose encoder takes `input`, side by
    /// side, and learns layers, heads and sizes from them.
    ///
    /// # Errors
    /// Those of [`Session::load`]; [`Error::Model`] when inputs or outputs are not those above.
    pub(super) fn load(
        bundle: &Bundle,
        options: &Options,
        family: &str,
        input: &'static str,
    ) -> Result<Self> {
        let load = |role| {
            let graph = bundle.graph(options.variant.as_deref(), role)?;
            Session::load(graph, &options.devices)
        };
        let (encoder, decoder) = std::thread::scope(|scope| {
            let encoder = scope.spawn(|| load("encoder"));
            let decoder = load("decoder");
            (encoder.join(), decoder)
        });
        let panicked = |_| Error::Internal("loading the encoder panicked".into());
        let (encoder, decoder) = (encoder.map_err(panicked)??, decoder?);
        require(&encoder, family, &[input], &["last_hidden_state"])?;
        let inputs = ["input_ids", "encoder_hidden_states"];
        require(&decoder, family, &inputs, &["logits"])?;
        Ok(Self {
            input,
            encoder_masked: encoder.has_input("attention_mask"),
            decoder_masked: decoder.has_input("encoder_attention_mask"),
            branched: decoder.has_input("use_cache_branch"),
            cache: Cache::of(&decoder)?,
            encoder,
            decoder,
            mask: Vec::new(),
            row: Vec::new(),
        })
    }

    /// The graph that hears.
    pub(super) fn encoder(&self) -> &Session {
        &self.encoder
    }

    /// The graph that writes.
    pub(super) fn decoder(&self) -> &Session {
        &self.decoder
    }

    /// How many tokens the decoder knows, where its graph says so.
    pub(super) fn vocabulary(&self) -> Option<usize> {
        let logits = self.decoder.outputs().iter().find(|o| o.name == "logits");
        logits.and_then(|o| o.shape.last().copied().flatten())
    }

    /// Encodes `values` of `shape` and appends at most `limit` tokens to `ids`, the end token left
    /// out. Adds the time inside ONNX Runtime to `spent`.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails, [`Error::Model`] when logits are not 1×L×V.
    pub(super) fn run(
        &mut self,
        (shape, values): (&[usize], &[f32]),
        search: &Search,
        limit: usize,
        ids: &mut Vec<u32>,
        spent: &mut Duration,
    ) -> Result<()> {
        if limit == 0 {
            return Ok(());
        }
        let hidden = self.encode(shape, values, spent)?;
        let mut past = self.cache.empty()?;
        let mut step = Step {
            session: &mut self.decoder,
            hidden: &hidden,
            masked: self.decoder_masked,
            branched: self.branched,
            row: &mut self.row,
        };
        let mut chosen = step.run(&search.prompt, &mut past, spent, |row| {
            banned(row, &search.suppress);
            banned(row, &search.begin_suppress);
        })?;
        for _ in 1..limit {
            if chosen == search.end_id {
                return Ok(());
            }
            ids.push(chosen);
            let last = [i64::from(chosen)];
            chosen = step.run(&last, &mut past, spent, |row| banned(row, &search.suppress))?;
        }
        if chosen != search.end_id {
            ids.push(chosen);
        }
        Ok(())
    }

    fn encode(
        &mut self,
        shape: &[usize],
        values: &[f32],
        spent: &mut Duration,
    ) -> Result<DynValue> {
        let times = shape.last().copied().unwrap_or_default();
        self.mask.resize(times, 1);
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let values = TensorRef::from_array_view((shape, values))?;
            let mut inputs = vec![(self.input, values.into())];
            if self.encoder_masked {
                let mask = TensorRef::from_array_view(([1, times], self.mask.as_slice()))?;
                inputs.push(("attention_mask", mask.into()));
            }
            Ok(inputs)
        };
        let inputs = inputs().map_err(internal)?;
        let start = Instant::now();
        let mut outputs = self.encoder.run(inputs)?;
        *spent += start.elapsed();
        let hidden = outputs.remove("last_hidden_state");
        hidden.ok_or_else(|| Error::Internal("`last_hidden_state` is gone".into()))
    }
}

/// What stays the same from step to step of the decoder.
struct Step<'a> {
    session: &'a mut Session,
    hidden: &'a DynValue,
    masked: bool,
    branched: bool,
    /// Logits of the next token.
    row: &'a mut Vec<f32>,
}

impl Step<'_> {
    /// Feeds tokens and the past, which moves on, and chooses the next token once `rule` has changed
    /// its logits.
    fn run(
        &mut self,
        tokens: &[i64],
        past: &mut Past<'_>,
        spent: &mut Duration,
        rule: impl Fn(&mut [f32]),
    ) -> Result<u32> {
        let (one, later) = ([1_i64], [!past.is_empty()]);
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let ids = TensorRef::from_array_view(([1, tokens.len()], tokens))?;
            let mut inputs = vec![
                ("input_ids", ids.into()),
                ("encoder_hidden_states", self.hidden.into()),
            ];
            if self.branched {
                let later = TensorRef::from_array_view(([1], later.as_slice()))?;
                inputs.push(("use_cache_branch", later.into()));
            }
            if self.masked {
                let mask = TensorRef::from_array_view(([1, 1], one.as_slice()))?;
                inputs.push(("encoder_attention_mask", mask.into()));
            }
            inputs.extend(past.inputs().map(|(name, value)| (name, value.into())));
            Ok(inputs)
        };
        let inputs = inputs().map_err(internal)?;
        let start = Instant::now();
        let mut outputs = match past.wanted() {
            Some(wanted) => self.session.run_selected(inputs, wanted)?,
            None => self.session.run(inputs)?,
        };
        *spent += start.elapsed();
        past.take(&mut outputs)?;
        let logits = outputs.get("logits").map(|v| v.try_extract_tensor::<f32>());
        self.row.clear();
        if let Some(Ok((shape, values))) = logits
            && let [_, _, vocabulary] = shape[..]
            && let Some(start) = values.len().checked_sub(vocabulary as usize)
        {
            self.row.extend_from_slice(&values[start..]);
        }
        drop(outputs);
        if self.row.is_empty() {
            let what = "output `logits` is not float32 1×L×V";
            return Err(Error::model(self.session.path(), what));
        }
        rule(self.row);
        Ok(argmax(self.row))
    }
}

/// Takes tokens out of the choice.
fn banned(row: &mut [f32], ids: &[u32]) {
    for id in ids {
        if let Some(logit) = row.get_mut(*id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Index of the largest value, the first of equals; NaN is never the largest.
fn argmax(values: &[f32]) -> u32 {
    let (mut at, mut best) = (0, f32::NEG_INFINITY);
    for (i, value) in values.iter().enumerate() {
        if *value > best {
            (at, best) = (i as u32, *value);
        }
    }
    at
}

fn internal(e: ort::Error) -> Error {
    Error::Internal(one_line(&e.to_string()))
}

fn require(session: &Session, family: &str, inputs: &[&str], outputs: &[&str]) -> Result<()> {
    let has_output = |name: &str| session.outputs().iter().any(|o| o.name == name);
    let missing = inputs.iter().find(|n| !session.has_input(n));
    match missing.or_else(|| outputs.iter().find(|n| !has_output(n))) {
        Some(name) => {
            let what = format!("has no `{name}`, so it is no part of a {family} model");
            Err(Error::model(session.path(), what))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_is_not_banned_is_chosen() {
        for (name, row, ids, expected) in [
            ("largest", &[0.0, 2.0, 1.0][..], &[][..], 1),
            ("first of equals", &[1.0, 2.0, 2.0], &[], 1),
            ("banned", &[0.0, 2.0, 1.0], &[1], 2),
            (
                "banned beyond the vocabulary",
                &[0.0, 2.0],
                &[2, u32::MAX],
                1,
            ),
            ("not a number", &[f32::NAN, 0.0], &[], 1),
        ] {
            let mut row = row.to_vec();
            banned(&mut row, ids);
            assert_eq!(argmax(&row), expected, "{name}");
        }
    }
}
