//! Models trained by connectionist temporal classification (Graves et al. 2006), greedy: samples →
//! logits of frames → the best token of each, repeated ones once, blanks not at all.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_values` | 1×S | f32 | samples, of mean 0 and variance 1 where the bundle normalises |
//! | `attention_mask` | 1×S | i64 | ones, where the graph has it |
//! | `logits` | 1×T×V | f32 | one row a frame |

use std::time::Instant;

use bevel_manifest::{AudioInput, TranscribeSpec};
use bevel_prep::audio::normalize;
use ort::session::SessionInputValue;
use ort::value::TensorRef;

use crate::bundle::Bundle;
use crate::decoder::argmax;
use crate::error::{Error, Result, internal};
use crate::pipeline::{Options, Timing};
use crate::session::Session;
use crate::speech::model::{Heard, Later, Model, unknown};
use crate::speech::tokens::Tokens;

/// A tenth of a second: silence goes behind shorter pieces, which may have no frame.
const MIN_SAMPLES: usize = 1_600;

/// The graph `model`, ready to run.
pub(super) struct Ctc {
    graph: Session,
    tokens: Tokens,
    blank_id: u32,
    normalize: bool,
    masked: bool,
    max_tokens: usize,
    samples: Vec<f32>,
    mask: Vec<i64>,
}

impl Ctc {
    /// # Errors
    /// Those of [`Session::load`]; [`Error::Model`] when inputs or outputs are not those above.
    pub(super) fn load(
        bundle: &Bundle,
        options: &Options,
        input: &AudioInput,
        spec: &TranscribeSpec,
        tokens: Later<'_>,
    ) -> Result<Self> {
        let TranscribeSpec::Ctc { blank_id, .. } = spec else {
            return Err(unknown());
        };
        let path = bundle.graph(options.variant.as_deref(), "model")?;
        let graph = Session::load(path, &options.devices)?;
        graph.require("CTC", &["input_values"], &["logits"])?;
        Ok(Self {
            tokens: tokens(graph.width("logits"))?,
            masked: graph.has_input("attention_mask"),
            graph,
            blank_id: *blank_id,
            normalize: input.normalize,
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            samples: Vec::new(),
            mask: Vec::new(),
        })
    }
}

impl Ctc {
    /// The tokens of one piece.
    fn ids(&mut self, samples: &[f32], timing: &mut Timing) -> Result<Vec<u32>> {
        let start = Instant::now();
        self.samples.clear();
        self.samples.extend_from_slice(samples);
        if self.normalize {
            normalize(&mut self.samples);
        }
        let length = samples.len().max(MIN_SAMPLES);
        self.samples.resize(length, 0.0);
        self.mask.clear();
        self.mask.resize(length, 1);
        timing.prepare += start.elapsed();

        let shape = [1, length];
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let values = TensorRef::from_array_view((shape, self.samples.as_slice()))?;
            let mut inputs = vec![("input_values", values.into())];
            if self.masked {
                let mask = TensorRef::from_array_view((shape, self.mask.as_slice()))?;
                inputs.push(("attention_mask", mask.into()));
            }
            Ok(inputs)
        };
        let inputs = inputs().map_err(internal)?;
        let start = Instant::now();
        let outputs = self.graph.run(inputs)?;
        timing.run += start.elapsed();
        let logits = outputs.get("logits").map(|v| v.try_extract_tensor::<f32>());
        if let Some(Ok((shape, values))) = logits
            && let [1, _, classes] = shape[..]
            && classes > 0
        {
            let frames = values.chunks_exact(classes as usize);
            let tokens = collapse(frames.map(argmax), self.blank_id);
            return Ok(tokens.take(self.max_tokens).collect());
        }
        drop(outputs);
        let what = "output `logits` is not float32 1×T×V";
        Err(Error::model(self.graph.path(), what))
    }
}

impl Model for Ctc {
    fn write_down(&mut self, pieces: &[&[f32]], timing: &mut Timing) -> Result<Vec<Heard>> {
        let mut piece = |samples: &&[f32]| {
            let ids = self.ids(samples, timing)?;
            Ok(Heard::whole(self.tokens.text(&ids)?, samples))
        };
        pieces.iter().map(&mut piece).collect()
    }
}

/// Each run of one token once, without blanks, which part equal tokens.
fn collapse(frames: impl Iterator<Item = u32>, blank: u32) -> impl Iterator<Item = u32> {
    let mut last = None;
    frames.filter(move |token| {
        let new = last != Some(*token);
        last = Some(*token);
        new && *token != blank
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_collapse() {
        struct Case {
            name: &'static str,
            frames: &'static [u32],
            tokens: &'static [u32],
        }
        let cases = [
            Case {
                name: "nothing",
                frames: &[],
                tokens: &[],
            },
            Case {
                name: "only blanks",
                frames: &[0, 0, 0],
                tokens: &[],
            },
            Case {
                name: "repeated",
                frames: &[0, 5, 5, 5, 0, 7, 7],
                tokens: &[5, 7],
            },
            Case {
                name: "twice, parted by a blank",
                frames: &[5, 5, 0, 5, 6, 6, 0],
                tokens: &[5, 5, 6],
            },
        ];
        for case in cases {
            let tokens: Vec<u32> = collapse(case.frames.iter().copied(), 0).collect();
            assert_eq!(tokens, case.tokens, "{}", case.name);
        }
    }
}
