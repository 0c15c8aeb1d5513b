use bevel_manifest::{AudioInput, VadSpec};
use bevel_prep::audio::{SegmentSpec, level_probability};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::Options;
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::vad::{Vad, WINDOW};

/// What a gate by loudness uses where the bundle has no detector: shortest pause and padding in
/// milliseconds.
const WITHOUT_VAD: [u32; 2] = [500, 200];

/// Says how likely each window of 512 samples holds speech.
pub(super) enum Detector {
    Silero(Box<Vad>),
    /// Loudness; the samples that do not fill a window yet.
    Level(Vec<f32>),
}

impl Detector {
    /// The bundle's, or one by loudness where it has none.
    ///
    /// # Errors
    /// [`Error::Model`] when the graph is none, or the bundle wants another rate than 16 kHz.
    pub(super) fn load(bundle: &Bundle, options: &Options, input: &AudioInput) -> Result<Self> {
        if input.sample_rate_hz != SAMPLE_RATE_HZ {
            let what = format!(
                "[input] sample_rate_hz is {}, this pipeline works at {SAMPLE_RATE_HZ}",
                input.sample_rate_hz
            );
            return Err(Error::model(bundle.root(), what));
        }
        Ok(match &input.vad {
            Some(vad) => Self::Silero(Box::new(Vad::load(bundle.file(&vad.graph)?, options)?)),
            None => Self::level(),
        })
    }

    /// One by loudness.
    pub(super) fn level() -> Self {
        Self::Level(Vec::with_capacity(WINDOW))
    }

    /// Back to the start of a stream.
    pub(super) fn reset(&mut self) {
        match self {
            Self::Silero(vad) => vad.reset(),
            Self::Level(rest) => rest.clear(),
        }
    }

    /// Takes samples and appends one probability per window that is full.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Silero(vad) => vad.push(samples, out),
            Self::Level(rest) => {
                rest.extend_from_slice(samples);
                out.extend(rest.chunks_exact(WINDOW).map(level_probability));
                rest.drain(..rest.len() - rest.len() % WINDOW);
                Ok(())
            }
        }
    }

    /// Appends the probability of the last, unfilled window, if there is one, and is ready for the
    /// next stream.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Silero(vad) => vad.finish(out),
            Self::Level(rest) => {
                if !rest.is_empty() {
                    out.push(level_probability(rest));
                }
                rest.clear();
                Ok(())
            }
        }
    }
}

/// How a bundle's detector is made stretches of speech of.
pub(super) fn segment_spec(vad: Option<&VadSpec>) -> SegmentSpec {
    let [silence, pad] = vad.map_or(WITHOUT_VAD, |v| [v.min_silence_ms, v.pad_ms]);
    let spec = SegmentSpec {
        min_silence_samples: samples_in(silence),
        pad_samples: samples_in(pad),
        ..SegmentSpec::silero_16k()
    };
    with_threshold(spec, vad.map_or(0.5, |v| v.threshold))
}

/// The same with speech from another probability on; it ends 0.15 below, as Silero has it.
pub(super) fn with_threshold(spec: SegmentSpec, threshold: f32) -> SegmentSpec {
    SegmentSpec {
        threshold,
        exit_threshold: (threshold - 0.15).max(0.01),
        ..spec
    }
}

pub(super) fn samples_in(ms: u32) -> u64 {
    u64::from(ms) * u64::from(SAMPLE_RATE_HZ) / 1000
}
