use bevel_manifest::AudioInput;
use bevel_prep::audio::{Pieces, SegmentSpec, Span};

use crate::bundle::Bundle;
use crate::error::Result;
use crate::pipeline::Options;
use crate::speech::SAMPLE_RATE_HZ;
use crate::speech::detector::{Detector, samples_in, segment_spec};
use crate::speech::recent::Recent;

/// Pauses of this length always separate segments, so that times stay useful and no model is asked
/// to write down a silence.
const SPLIT_PAUSE_MS: u32 = 2_000;

/// Cuts a stream of 16 kHz samples into pieces with speech; keeps only what may still be part of
/// one.
pub(super) struct Splitter {
    detector: Detector,
    spec: SegmentSpec,
    max_samples: u64,
    pieces: Pieces,
    probabilities: Vec<f32>,
    recent: Recent,
}

impl Splitter {
    pub(super) fn load(bundle: &Bundle, options: &Options, input: &AudioInput) -> Result<Self> {
        let detector = Detector::load(bundle, options, input)?;
        let spec = segment_spec(input.vad.as_ref());
        let max_samples = (input.max_piece_s * SAMPLE_RATE_HZ as f32) as u64;
        Ok(Self {
            detector,
            pieces: Pieces::new(spec.clone(), max_samples, samples_in(SPLIT_PAUSE_MS)),
            spec,
            max_samples,
            probabilities: Vec::new(),
            recent: Recent::default(),
        })
    }

    /// Back to the start of a stream.
    pub(super) fn reset(&mut self) {
        self.detector.reset();
        let split = samples_in(SPLIT_PAUSE_MS);
        self.pieces = Pieces::new(self.spec.clone(), self.max_samples, split);
        self.recent.clear();
    }

    /// Takes samples; pieces that end in them can be [popped](Self::pop) then.
    pub(super) fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.probabilities.clear();
        self.detector.push(samples, &mut self.probabilities)?;
        self.recent.push(samples);
        self.probabilities.iter().for_each(|p| self.pieces.push(*p));
        Ok(())
    }

    /// Ends the stream.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.probabilities.clear();
        self.detector.finish(&mut self.probabilities)?;
        self.probabilities.iter().for_each(|p| self.pieces.push(*p));
        self.pieces.finish(self.recent.total());
        Ok(())
    }

    /// The next finished piece: where it is, and its samples.
    pub(super) fn pop(&mut self) -> Option<(Span, &[f32])> {
        let span = self.pieces.pop()?;
        Some((span, self.recent.slice(span)))
    }

    /// Forgets samples that no piece to come can need.
    pub(super) fn forget(&mut self) {
        let keep = self.pieces.keep_from().min(self.recent.total());
        self.recent.keep_from(keep);
    }
}
