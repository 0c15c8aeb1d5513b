//! An encoder and a [`Decoder`], driven by hand: sound in, greedy tokens out.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_values` or `input_features` | N×S or N×M×F | f32 | samples, or a spectrogram |
//! | `attention_mask` | N×S | i64 | ones, where the encoder has it |
//! | `last_hidden_state` | N×T×D | f32 | fed to the decoder at every step |

use std::time::{Duration, Instant};

use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorRef};

use crate::bundle::Bundle;
use crate::decoder::{Decoder, Prompt, Rules};
use crate::error::{Error, Result, internal};
use crate::pipeline::Options;
use crate::session::Session;

/// The two graphs, ready to run.
pub(super) struct Seq2Seq {
    encoder: Session,
    decoder: Decoder,
    /// Name of what the encoder takes.
    input: &'static str,
    encoder_masked: bool,
    mask: Vec<i64>,
}

impl Seq2Seq {
    /// Loads the graphs `encoder` and `decoder` of a `family` whose encoder takes `input`, side by
    /// side, and learns layers, heads and sizes from them.
    ///
    /// # Errors
    /// Those of [`Session::load`] and [`Decoder::new`]; [`Error::Model`] when inputs or outputs are
    /// not those above.
    pub(super) fn load(
        bundle: &Bundle,
        options: &Options,
        family: &str,
        input: &'static str,
    ) -> Result<Self> {
        let load = |role| {
            let graph = bundle.graph(options.variant.as_deref(), role)?;
            Session::load(graph, options)
        };
        let (encoder, decoder) = std::thread::scope(|scope| {
            let encoder = scope.spawn(|| load("encoder"));
            let decoder = load("decoder");
            (encoder.join(), decoder)
        });
        let panicked = |_| Error::Internal("loading the encoder panicked".into());
        let (mut encoder, decoder) = (encoder.map_err(panicked)??, Decoder::new(decoder?)?);
        encoder.require(family, &[input], &["last_hidden_state"])?;
        encoder.keep_on_device("last_hidden_state");
        let inputs = ["input_ids", "encoder_hidden_states"];
        decoder.session().require(family, &inputs, &["logits"])?;
        Ok(Self {
            input,
            encoder_masked: encoder.has_input("attention_mask"),
            encoder,
            decoder,
            mask: Vec::new(),
        })
    }

    /// The graph that hears.
    pub(super) fn encoder(&self) -> &Session {
        &self.encoder
    }

    /// The graph that writes.
    pub(super) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The graph that writes, to be run.
    pub(super) fn decoder_mut(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Encodes `values` of `shape`: at most `limit` tokens behind `prompt`, the end token left out. Adds
    /// the time inside ONNX Runtime to `spent`.
    ///
    /// # Errors
    /// Those of [`Decoder::greedy`].
    pub(super) fn run(
        &mut self,
        (shape, values): (&[usize], &[f32]),
        (prompt, rules): (&[i64], &Rules),
        limit: usize,
        spent: &mut Duration,
    ) -> Result<Vec<u32>> {
        let hidden = self.encode(shape, values, spent)?;
        let prompt = Prompt {
            ids: prompt,
            mask: None,
            rows: 1,
            hidden: Some(&hidden),
        };
        let chosen = self.decoder.greedy(prompt, rules, limit, spent)?;
        let chosen = chosen.into_iter().flatten();
        Ok(chosen.filter(|id| !rules.end_ids.contains(id)).collect())
    }

    /// What the encoder makes of `values` of `shape`, N×…; an ONNX Runtime value N×T×D.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails.
    pub(super) fn encode(
        &mut self,
        shape: &[usize],
        values: &[f32],
        spent: &mut Duration,
    ) -> Result<DynValue> {
        let rows = shape.first().copied().unwrap_or_default();
        let times = shape.last().copied().unwrap_or_default();
        self.mask.resize(rows * times, 1);
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let values = TensorRef::from_array_view((shape, values))?;
            let mut inputs = vec![(self.input, values.into())];
            if self.encoder_masked {
                let mask = TensorRef::from_array_view(([rows, times], self.mask.as_slice()))?;
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
