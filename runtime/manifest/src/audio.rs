use serde::{Deserialize, Serialize};

use crate::Error;

/// Sound, one channel, to one f32 tensor: samples in −1 ..= 1 (N×T), or with `mel` a spectrogram
/// (N×M×F).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioInput {
    /// Rate the model was trained at; other rates are resampled to it.
    pub sample_rate_hz: u32,
    /// Longest piece that goes through the model at once, in seconds; longer sound is split.
    pub max_piece_s: f32,
    /// Whether each piece is brought to mean 0 and variance 1: `(x − mean) / √(variance + 1e-7)`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub normalize: bool,
    /// The spectrogram the model hears, where it does not take samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mel: Option<MelSpec>,
    /// Where to split: the pauses that this voice activity detector finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vad: Option<VadSpec>,
}

/// A log-mel spectrogram as Whisper (Radford et al. 2022) makes it: periodic Hann window, frames
/// centred on multiples of the hop with the sound mirrored at its ends, power, Slaney's mel filters
/// from 0 Hz to half the sample rate, `log10` down to 8 below the loudest value, `(x + 4) / 4`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelSpec {
    /// Length of the window and of its Fourier transform, in samples.
    pub window_samples: u32,
    /// From one frame to the next, in samples.
    pub hop_samples: u32,
    /// Mel bins M.
    pub bins: u32,
    /// Frames F of every tensor: shorter sound is filled up with silence. When not given there are
    /// as many as the sound has, made even.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
}

/// A Silero voice activity detector (16 kHz, 512 samples a window, 64 samples of context). Both
/// graphs of the package are known: `silero_vad_16k_sequence.onnx` and `silero_vad.onnx`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VadSpec {
    /// The graph file.
    pub graph: String,
    /// Speech starts at this probability, in 0 ..= 1.
    pub threshold: f32,
    /// A pause shorter than this does not end speech, in milliseconds.
    pub min_silence_ms: u32,
    /// Sound kept before and after speech, in milliseconds.
    pub pad_ms: u32,
}

impl AudioInput {
    /// The files this section names.
    pub(crate) fn files(&self) -> Vec<&str> {
        self.vad.iter().map(|v| v.graph.as_str()).collect()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[input] {what}")));
        if !(1000..=768_000).contains(&self.sample_rate_hz) {
            return invalid("sample_rate_hz must be in 1000 ..= 768000");
        }
        if !(1.0..=3600.0).contains(&self.max_piece_s) {
            return invalid("max_piece_s must be in 1 ..= 3600");
        }
        if let Some(mel) = &self.mel {
            let samples = f64::from(self.max_piece_s) * f64::from(self.sample_rate_hz);
            mel.check(samples)?;
        }
        self.vad.as_ref().map_or(Ok(()), VadSpec::check)
    }
}

impl MelSpec {
    /// The most values a spectrogram may have; half a minute of Whisper large has 384,000.
    const MAX_VALUES: f64 = 33_554_432.0;

    fn check(&self, longest_samples: f64) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[input] mel.{what}")));
        if !(16..=65_536).contains(&self.window_samples) {
            return invalid("window_samples must be in 16 ..= 65536");
        }
        if !(1..=self.window_samples).contains(&self.hop_samples) {
            return invalid("hop_samples must be in 1 ..= window_samples");
        }
        if !(1..=1024).contains(&self.bins) {
            return invalid("bins must be in 1 ..= 1024");
        }
        let longest = longest_samples / f64::from(self.hop_samples);
        let frames = self.frames.map_or(longest, f64::from);
        if frames < longest {
            return invalid("frames are fewer than max_piece_s has");
        }
        if frames * f64::from(self.bins) > Self::MAX_VALUES {
            return invalid("frames · bins must be at most 33554432; lower max_piece_s");
        }
        Ok(())
    }
}

impl VadSpec {
    fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[input] vad.{what}")));
        match self {
            Self { threshold, .. } if !(0.0..=1.0).contains(threshold) => {
                invalid("threshold must be in 0 ..= 1")
            }
            Self { min_silence_ms, .. } if *min_silence_ms > 10_000 => {
                invalid("min_silence_ms must be at most 10000")
            }
            // The pad is part of a piece, and the shortest piece is a second.
            Self { pad_ms, .. } if *pad_ms > 400 => invalid("pad_ms must be at most 400"),
            _ => Ok(()),
        }
    }
}
