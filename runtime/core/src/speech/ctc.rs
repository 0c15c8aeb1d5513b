//! Models trained by connectionist temporal classification (Graves et al. 2006): samples or features →
//! logits of frames → text, by the likeliest path or by a beam search.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_values` | 1×S | f32 | samples, of mean 0 and variance 1 where the bundle normalises |
//! | `attention_mask` | 1×S | i64 | ones, where the graph has it |
//! | `logits` | 1×T×V | f32 | one row a frame |
//!
//! or, where the bundle has a spectrogram (Deep Speech):
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `features` | 1×1×T×M | f32 | log-mel |
//! | `log_probs` | 1×T×V | f32 | one row a frame |

mod decoder;

use std::time::Instant;

use bevel_manifest::{AudioInput, TranscribeSpec};
use bevel_prep::audio::{LogMel, normalize};
use bevel_prep::score::log_softmax;
use ort::session::SessionInputValue;
use ort::value::TensorRef;

use crate::bundle::Bundle;
use crate::error::{Error, Result, internal};
use crate::pipeline::{Options, Timing};
use crate::session::Session;
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::ctc::decoder::Decoder;
use crate::speech::model::{Heard, Later, Model, unknown};
use crate::speech::tokens::Tokens;

/// A tenth of a second: silence goes behind shorter pieces, which may have no frame.
const MIN_SAMPLES: usize = 1_600;

/// The graph `model`, ready to run.
pub(super) struct Ctc {
    graph: Session,
    decoder: Decoder,
    front: Front,
    output: &'static str,
    frame_samples: Option<u32>,
    max_tokens: usize,
    samples: Vec<f32>,
    log_probs: Vec<f32>,
}

/// What the graph hears.
enum Front {
    Samples { normalize: bool, mask: Mask },
    Mel(Box<LogMel>, Vec<f32>),
}

/// Ones, where the graph wants them.
type Mask = Option<Vec<i64>>;

impl Ctc {
    /// # Errors
    /// Those of [`Session::load`] and [`Decoder::new`]; [`Error::Model`] when inputs or outputs are not those
    /// above.
    pub(super) fn load(
        bundle: &Bundle,
        options: &Options,
        input: &AudioInput,
        spec: &TranscribeSpec,
        tokens: Later<'_>,
    ) -> Result<Self> {
        let TranscribeSpec::Ctc {
            blank_id,
            frame_samples,
            ..
        } = spec
        else {
            return Err(unknown());
        };
        let graph = bundle.graph(options.variant.as_deref(), "model")?;
        let graph = Session::load(graph, options)?;
        let (front, output) = match &input.mel {
            Some(mel) => {
                graph.require("CTC", &["features"], &["log_probs"])?;
                let mel = LogMel::new(mel, input.sample_rate_hz);
                let features = graph.inputs().iter().find(|i| i.name == "features");
                let width = features.and_then(|i| i.shape.last().copied().flatten());
                if let Some(width) = width.filter(|width| *width != mel.bins()) {
                    let bins = mel.bins();
                    let what = format!("hears {width} values a frame, the bundle makes {bins}");
                    return Err(Error::model(graph.path(), what));
                }
                (Front::Mel(Box::new(mel), Vec::new()), "log_probs")
            }
            None => {
                graph.require("CTC", &["input_values"], &["logits"])?;
                let front = Front::Samples {
                    normalize: input.normalize,
                    mask: graph.has_input("attention_mask").then(Vec::new),
                };
                (front, "logits")
            }
        };
        let Tokens::Characters(characters) = tokens(graph.width(output))? else {
            return Err(unknown());
        };
        Ok(Self {
            decoder: Decoder::new(characters, *blank_id, &options.speech)?,
            graph,
            front,
            output,
            frame_samples: *frame_samples,
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            samples: Vec::new(),
            log_probs: Vec::new(),
        })
    }

    /// The log probabilities of one piece, and the frames they are of.
    fn log_probs(&mut self, samples: &[f32], timing: &mut Timing) -> Result<usize> {
        let start = Instant::now();
        self.samples.clear();
        self.samples.extend_from_slice(samples);
        if let Front::Samples {
            normalize: true, ..
        } = self.front
        {
            normalize(&mut self.samples);
        }
        let length = samples.len().max(MIN_SAMPLES);
        self.samples.resize(length, 0.0);
        let inputs = self.front.inputs(&self.samples).map_err(internal)?;
        timing.prepare += start.elapsed();

        let start = Instant::now();
        let outputs = self.graph.run(inputs)?;
        timing.run += start.elapsed();
        let output = outputs.get(self.output);
        if let Some(Ok((shape, values))) = output.map(|v| v.try_extract_tensor::<f32>())
            && let [1, frames, classes] = shape[..]
            && classes as usize == self.decoder.classes()
            && classes > 0
        {
            self.log_probs.clear();
            self.log_probs.extend_from_slice(values);
            self.log_probs
                .chunks_exact_mut(classes as usize)
                .for_each(log_softmax);
            return Ok(frames as usize);
        }
        drop(outputs);
        let (output, classes) = (self.output, self.decoder.classes());
        let what = format!("output `{output}` is not float32 1×T×{classes}");
        Err(Error::model(self.graph.path(), what))
    }

    fn heard(&mut self, samples: &[f32], timing: &mut Timing) -> Result<Heard> {
        let frames = self.log_probs(samples, timing)?;
        let frame_samples = match self.frame_samples {
            Some(samples) => f64::from(samples),
            // A little too long: behind the last frame are samples that make none.
            None => samples.len().max(MIN_SAMPLES) as f64 / frames.max(1) as f64,
        };
        let [frame_s, duration] =
            [frame_samples, samples.len() as f64].map(|n| n / f64::from(SAMPLE_RATE_HZ));
        let times = (frame_s, duration);
        let segment = self
            .decoder
            .segment(&self.log_probs, self.max_tokens, times);
        Ok(Heard {
            segments: segment.into_iter().collect(),
            language: None,
        })
    }
}

impl Front {
    fn inputs<'a>(
        &'a mut self,
        samples: &'a [f32],
    ) -> ort::Result<Vec<(&'static str, SessionInputValue<'a>)>> {
        match self {
            Self::Samples { mask, .. } => {
                let shape = [1, samples.len()];
                let values = TensorRef::from_array_view((shape, samples))?;
                let mut inputs = vec![("input_values", values.into())];
                if let Some(mask) = mask {
                    mask.clear();
                    mask.resize(samples.len(), 1);
                    let mask = TensorRef::from_array_view((shape, mask.as_slice()))?;
                    inputs.push(("attention_mask", mask.into()));
                }
                Ok(inputs)
            }
            Self::Mel(mel, features) => {
                let mut spectrogram = Vec::new();
                let [bins, frames] = mel.write(samples, &mut spectrogram);
                features.clear();
                for frame in 0..frames {
                    let of_bin = spectrogram.chunks_exact(frames);
                    features.extend(of_bin.map(|values| values[frame]));
                }
                let shape = [1, 1, frames, bins];
                let values = TensorRef::from_array_view((shape, features.as_slice()))?;
                Ok(vec![("features", values.into())])
            }
        }
    }
}

impl Model for Ctc {
    fn sessions(&self) -> Vec<&Session> {
        vec![&self.graph]
    }

    fn write_down(&mut self, pieces: &[&[f32]], timing: &mut Timing) -> Result<Vec<Heard>> {
        let piece = |samples: &&[f32]| self.heard(samples, timing);
        pieces.iter().map(piece).collect()
    }
}
