use bevel_manifest::{AudioInput, VadSpec};
use bevel_prep::audio::{Pieces, SegmentSpec, Span, level_probability};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::vad::{Vad, WINDOW};

/// Pauses of this length always separate segments, so that times stay useful and no model is asked
/// to write down a silence.
const SPLIT_PAUSE_MS: u32 = 2_000;
/// What a gate by loudness uses where the bundle has no detector.
const WITHOUT_VAD: [u32; 2] = [500, 200];

/// Cuts a stream of 16 kHz samples into pieces with speech; keeps only what may still be part of
/// one.
pub(super) struct Splitter {
    detector: Detector,
    spec: SegmentSpec,
    max_samples: u64,
    pieces: Pieces,
    probabilities: Vec<f32>,
    /// Samples from `base` on.
    samples: Vec<f32>,
    base: u64,
    total: u64,
}

enum Detector {
    Silero(Box<Vad>),
    /// Loudness; the samples that do not fill a window yet.
    Level(Vec<f32>),
}

impl Splitter {
    pub(super) fn load(bundle: &Bundle, input: &AudioInput) -> Result<Self> {
        if input.sample_rate_hz != SAMPLE_RATE_HZ {
            let what = format!(
                "[input] sample_rate_hz is {}, this pipeline works at {SAMPLE_RATE_HZ}",
                input.sample_rate_hz
            );
            return Err(Error::model(bundle.root(), what));
        }
        let detector = match &input.vad {
            Some(vad) => Detector::Silero(Box::new(Vad::load(bundle.file(&vad.graph)?)?)),
            None => Detector::Level(Vec::with_capacity(WINDOW)),
        };
        let spec = spec(input.vad.as_ref());
        let max_samples = (input.max_piece_s * SAMPLE_RATE_HZ as f32) as u64;
        Ok(Self {
            detector,
            pieces: Pieces::new(spec.clone(), max_samples, samples_in(SPLIT_PAUSE_MS)),
            spec,
            max_samples,
            probabilities: Vec::new(),
            samples: Vec::new(),
            base: 0,
            total: 0,
        })
    }

    /// Back to the start of a stream.
    pub(super) fn reset(&mut self) {
        match &mut self.detector {
            Detector::Silero(vad) => vad.reset(),
            Detector::Level(rest) => rest.clear(),
        }
        let split = samples_in(SPLIT_PAUSE_MS);
        self.pieces = Pieces::new(self.spec.clone(), self.max_samples, split);
        self.samples.clear();
        (self.base, self.total) = (0, 0);
    }

    /// Takes samples; pieces that end in them can be [popped](Self::pop) then.
    pub(super) fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.probabilities.clear();
        match &mut self.detector {
            Detector::Silero(vad) => vad.push(samples, &mut self.probabilities)?,
            Detector::Level(rest) => {
                rest.extend_from_slice(samples);
                let windows = rest.chunks_exact(WINDOW);
                self.probabilities.extend(windows.map(level_probability));
                rest.drain(..rest.len() - rest.len() % WINDOW);
            }
        }
        self.samples.extend_from_slice(samples);
        self.total += samples.len() as u64;
        self.probabilities.iter().for_each(|p| self.pieces.push(*p));
        Ok(())
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.probabilities.clear();
        match &mut self.detector {
            Detector::Silero(vad) => vad.finish(&mut self.probabilities)?,
            Detector::Level(rest) if !rest.is_empty() => {
                self.probabilities.push(level_probability(rest));
            }
            Detector::Level(_) => {}
        }
        self.probabilities.iter().for_each(|p| self.pieces.push(*p));
        self.pieces.finish(self.total);
        Ok(())
    }

    /// The next finished piece: where it is, and its samples.
    pub(super) fn pop(&mut self) -> Option<(Span, &[f32])> {
        let span = self.pieces.pop()?;
        let index = |at: u64| (at.saturating_sub(self.base) as usize).min(self.samples.len());
        Some((span, &self.samples[index(span.start)..index(span.end)]))
    }

    /// Forgets samples that no piece to come can need.
    pub(super) fn forget(&mut self) {
        let keep = self.pieces.keep_from().min(self.total);
        let gone = (keep.saturating_sub(self.base) as usize).min(self.samples.len());
        self.samples.drain(..gone);
        self.base += gone as u64;
    }
}

fn spec(vad: Option<&VadSpec>) -> SegmentSpec {
    let [silence, pad] = vad.map_or(WITHOUT_VAD, |v| [v.min_silence_ms, v.pad_ms]);
    let threshold = vad.map_or(0.5, |v| v.threshold);
    SegmentSpec {
        threshold,
        exit_threshold: (threshold - 0.15).max(0.01),
        min_silence_samples: samples_in(silence),
        pad_samples: samples_in(pad),
        ..SegmentSpec::silero_16k()
    }
}

fn samples_in(ms: u32) -> u64 {
    u64::from(ms) * u64::from(SAMPLE_RATE_HZ) / 1000
}
