//! Moonshine (Jeffries et al. 2024, arXiv 2410.15608): 16 kHz waveform → encoder → merged decoder
//! with key/value cache, greedy.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_values` | 1×S | f32 | samples in −1 ..= 1, at least 895 |
//! | `attention_mask` | 1×S | i64 | ones, where the encoder has it |
//! | `last_hidden_state` | 1×T×D | f32 | 41.7 frames a second; fed to the decoder at every step |
//! | `input_ids` | 1×1 | i64 | the last token |
//! | `encoder_attention_mask` | 1×1 | i64 | one, which broadcasts; where the decoder has it |
//! | `past_key_values.{i}.{decoder,encoder}.{key,value}` | 1×H×P×K | f32 | P = 0 at the first step |
//! | `use_cache_branch` | 1 | bool | false at the first step, true after it |
//! | `logits` | 1×1×V | f32 | the next token |
//! | `present.{i}.{decoder,encoder}.{key,value}` | 1×H×(P+1)×K | f32 | the next past; `encoder` only at the first step |
//!
//! Encoder output and cache stay ONNX Runtime values: they are moved from outputs to inputs.

use std::time::{Duration, Instant};

use ort::session::SessionInputValue;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};
use ort::value::{DynValue, Tensor, TensorRef};

use crate::bundle::Bundle;
use crate::error::{Error, Result, one_line};
use crate::pipeline::Options;
use crate::session::Session;

/// The only rate the model knows.
pub(super) const SAMPLE_RATE_HZ: u32 = 16_000;
/// Below this the encoder has no frame left after its convolutions.
const MIN_SAMPLES: usize = 895;

/// Token ids and limits from the manifest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) start_id: u32,
    pub(super) end_id: u32,
    pub(super) max_tokens_per_s: f32,
    /// The caller's own limit a piece.
    pub(super) max_tokens: Option<usize>,
}

/// Encoder and decoder, ready to run.
pub(super) struct Moonshine {
    encoder: Session,
    decoder: Session,
    limits: Limits,
    /// Whether the decoder asks for a mask over the encoder's output.
    decoder_masked: bool,
    cache: Vec<Cache>,
    heads: [usize; 2],
    /// Asks for logits and the decoder's half of the cache: the other half comes back empty from
    /// the second step on.
    cached_step: RunOptions<HasSelectedOutputs>,
    samples: Vec<f32>,
    mask: Vec<i64>,
}

/// One tensor of the cache.
struct Cache {
    past: String,
    present: String,
    /// Whether it belongs to the encoder's output and is made once a piece.
    of_encoder: bool,
}

impl Moonshine {
    /// Loads the graphs `encoder` and `decoder` and learns layers, heads and sizes from them.
    ///
    /// # Errors
    /// Those of [`Session::load`]; [`Error::Model`] when inputs or outputs are not Moonshine's.
    pub(super) fn load(bundle: &Bundle, options: &Options, limits: Limits) -> Result<Self> {
        let graph = |role| bundle.graph(options.variant.as_deref(), role);
        let encoder = Session::load(graph("encoder")?, &options.devices)?;
        let decoder = Session::load(graph("decoder")?, &options.devices)?;
        require(&encoder, &["input_values"], &["last_hidden_state"])?;
        let inputs = ["input_ids", "encoder_hidden_states", "use_cache_branch"];
        require(&decoder, &inputs, &["logits"])?;
        let (cache, heads) = cache(&decoder)?;
        let mut selected = OutputSelector::no_default().with("logits");
        for entry in cache.iter().filter(|c| !c.of_encoder) {
            selected = selected.with(&entry.present);
        }
        let cached_step = RunOptions::new()
            .map_err(|e| Error::Internal(one_line(&e.to_string())))?
            .with_outputs(selected);
        Ok(Self {
            decoder_masked: decoder.has_input("encoder_attention_mask"),
            encoder,
            decoder,
            limits,
            cache,
            heads,
            cached_step,
            samples: Vec::new(),
            mask: Vec::new(),
        })
    }

    /// How many tokens the decoder knows, where its graph says so.
    pub(super) fn vocabulary(&self) -> Option<usize> {
        let logits = self.decoder.outputs().iter().find(|o| o.name == "logits");
        logits.and_then(|o| o.shape.last().copied().flatten())
    }

    /// Appends the tokens of one piece, without start and end token. It stops at the end token, and
    /// at `ceil(seconds · max_tokens_per_s)` steps: more is a loop, not speech. Adds the time inside
    /// ONNX Runtime to `spent`.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails, [`Error::Model`] when logits are not 1×1×V.
    pub(super) fn run(
        &mut self,
        samples: &[f32],
        ids: &mut Vec<u32>,
        spent: &mut Duration,
    ) -> Result<()> {
        let seconds = samples.len() as f32 / SAMPLE_RATE_HZ as f32;
        let limit = (seconds * self.limits.max_tokens_per_s).ceil() as usize;
        let limit = limit.min(self.limits.max_tokens.unwrap_or(usize::MAX));
        let hidden = self.encode(samples, spent)?;
        let mut past = self.empty_past()?;
        let mut last = self.limits.start_id;
        for step in 0..limit {
            last = self.step(step > 0, last, &hidden, &mut past, spent)?;
            if last == self.limits.end_id {
                break;
            }
            ids.push(last);
        }
        Ok(())
    }

    fn encode(&mut self, samples: &[f32], spent: &mut Duration) -> Result<DynValue> {
        // Silence behind a piece that is too short for one frame.
        let mut values = samples;
        if samples.len() < MIN_SAMPLES {
            self.samples.clear();
            self.samples.extend_from_slice(samples);
            self.samples.resize(MIN_SAMPLES, 0.0);
            values = &self.samples;
        }
        let shape = [1, values.len()];
        let masked = self.encoder.has_input("attention_mask");
        self.mask.resize(values.len(), 1);
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let values = TensorRef::from_array_view((shape, values))?;
            let mut inputs = vec![("input_values", values.into())];
            if masked {
                let mask = TensorRef::from_array_view((shape, self.mask.as_slice()))?;
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

    /// A cache of length 0, which the first step ignores.
    fn empty_past(&self) -> Result<Vec<DynValue>> {
        let [heads, head_dim] = self.heads;
        let empty = |_: &Cache| {
            let empty = Tensor::from_array(([1, heads, 0, head_dim], Vec::<f32>::new()));
            empty.map(Tensor::into_dyn).map_err(internal)
        };
        self.cache.iter().map(empty).collect()
    }

    /// One step of the decoder: the next token, and the cache that goes with it.
    fn step(
        &mut self,
        cached: bool,
        last: u32,
        hidden: &DynValue,
        past: &mut [DynValue],
        spent: &mut Duration,
    ) -> Result<u32> {
        let (id, one, branch) = ([i64::from(last)], [1_i64], [cached]);
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let ids = TensorRef::from_array_view(([1, 1], id.as_slice()))?;
            let branch = TensorRef::from_array_view(([1], branch.as_slice()))?;
            let mut inputs = vec![
                ("input_ids", ids.into()),
                ("encoder_hidden_states", hidden.into()),
                ("use_cache_branch", branch.into()),
            ];
            if self.decoder_masked {
                let mask = TensorRef::from_array_view(([1, 1], one.as_slice()))?;
                inputs.push(("encoder_attention_mask", mask.into()));
            }
            let past = self.cache.iter().zip(past.iter());
            inputs.extend(past.map(|(c, value)| (c.past.as_str(), value.into())));
            Ok(inputs)
        };
        let inputs = inputs().map_err(internal)?;
        let start = Instant::now();
        let mut outputs = match cached {
            true => self.decoder.run_selected(inputs, &self.cached_step)?,
            false => self.decoder.run(inputs)?,
        };
        *spent += start.elapsed();
        for (entry, value) in self.cache.iter().zip(past) {
            if cached && entry.of_encoder {
                continue;
            }
            let present = outputs.remove(&entry.present);
            *value = present
                .ok_or_else(|| Error::Internal(format!("output `{}` is gone", entry.present)))?;
        }
        let logits = outputs.get("logits").map(|v| v.try_extract_tensor::<f32>());
        let token = match logits {
            Some(Ok((shape, values))) if !values.is_empty() && shape.len() == 3 => {
                let vocabulary = shape[2] as usize;
                Some(argmax(&values[values.len() - vocabulary..]))
            }
            _ => None,
        };
        drop(outputs);
        let what = "output `logits` is not float32 1×1×V";
        token.ok_or_else(|| Error::model(self.decoder.path(), what))
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

fn require(session: &Session, inputs: &[&str], outputs: &[&str]) -> Result<()> {
    let missing = inputs.iter().find(|n| !session.has_input(n)).or_else(|| {
        outputs
            .iter()
            .find(|n| session.outputs().iter().all(|o| o.name != **n))
    });
    match missing {
        Some(name) => Err(Error::model(
            session.path(),
            format!("has no `{name}`, so it is no part of a Moonshine model"),
        )),
        None => Ok(()),
    }
}

/// The cache's tensors in the order of the graph, with its number of heads and their size.
fn cache(decoder: &Session) -> Result<(Vec<Cache>, [usize; 2])> {
    let bad = |what: String| Error::model(decoder.path(), what);
    let mut cache = Vec::new();
    let mut sizes = None;
    for input in decoder.inputs() {
        let Some(name) = input.name.strip_prefix("past_key_values.") else {
            continue;
        };
        let present = format!("present.{name}");
        if decoder.outputs().iter().all(|o| o.name != present) {
            let what = format!("has input `{}` but no output `{present}`", input.name);
            return Err(bad(what));
        }
        let found = match input.shape[..] {
            [_, Some(heads), _, Some(head_dim)] => [heads, head_dim],
            _ => {
                let shape = input.shape_text();
                let what = format!("input `{}` is {shape}, expected [1, H, ?, K]", input.name);
                return Err(bad(what));
            }
        };
        if *sizes.get_or_insert(found) != found {
            return Err(bad(format!("layers differ in size at `{}`", input.name)));
        }
        cache.push(Cache {
            past: input.name.clone(),
            present,
            of_encoder: name.contains(".encoder."),
        });
    }
    match sizes {
        Some(sizes) => Ok((cache, sizes)),
        None => Err(bad(
            "has no `past_key_values.*` inputs; use the merged decoder".into(),
        )),
    }
}
