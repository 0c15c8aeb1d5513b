use std::f64::consts::TAU;
use std::sync::Arc;

use bevel_manifest::MelSpec;
use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use crate::audio::mel::MelFilters;

/// Energies are not let below this before their logarithm is taken.
const FLOOR: f32 = 1e-10;
/// Decades that are kept below the loudest value.
const RANGE: f32 = 8.0;

/// Sound to a log-mel spectrogram M×F, as Whisper hears it.
///
/// Frame f is centred on sample `f · hop`; beyond its ends the sound is mirrored. With `P` the power
/// of its windowed spectrum and `W` the mel filters, `x = log10(max(W · P, 1e-10))` and a value is
/// `(max(x, max over all x − 8) + 4) / 4`: 8 / 4 below the loudest at least.
///
/// Reference: Radford et al. 2022, as `WhisperFeatureExtractor` of transformers 5.23 computes it.
pub struct LogMel {
    spec: MelSpec,
    filters: MelFilters,
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    power: Vec<f32>,
}

impl LogMel {
    /// Plans the transform and builds window and filters, which are kept. Ranges are those a
    /// manifest is held to; where there can be no zero it counts as one.
    pub fn new(spec: &MelSpec, sample_rate_hz: u32) -> Self {
        let spec = MelSpec {
            window_samples: spec.window_samples.max(2),
            hop_samples: spec.hop_samples.max(1),
            bins: spec.bins,
            frames: spec.frames.map(|frames| frames.max(1)),
        };
        let size = spec.window_samples as usize;
        let fft = RealFftPlanner::new().plan_fft_forward(size);
        // Periodic Hann: the value behind the last would be the first again.
        let hann = |i: usize| (0.5 - 0.5 * (TAU * i as f64 / size as f64).cos()) as f32;
        Self {
            filters: MelFilters::new(spec.bins as usize, size, f64::from(sample_rate_hz)),
            window: (0..size).map(hann).collect(),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; size / 2 + 1],
            fft,
            spec,
        }
    }

    /// Bins M.
    pub fn bins(&self) -> usize {
        self.spec.bins as usize
    }

    /// Frames F for that many samples: those of the spec, or enough for all samples and even.
    pub fn frames(&self, samples: usize) -> usize {
        let own = || self.frames_of(samples);
        self.spec.frames.map_or_else(own, |frames| frames as usize)
    }

    /// Samples of the frames of the spec; more than any sound has where it names none.
    pub fn samples(&self) -> usize {
        let hop = self.spec.hop_samples as usize;
        self.spec
            .frames
            .map_or(usize::MAX, |frames| frames as usize * hop)
    }

    /// Enough frames for all of that many samples, an even number.
    pub fn frames_of(&self, samples: usize) -> usize {
        let hop = self.spec.hop_samples as usize;
        samples.div_ceil(hop).next_multiple_of(2).max(2)
    }

    /// Writes the spectrogram M×F of `samples` in −1 ..= 1 over `out` and returns [M, F]. Samples
    /// behind the last frame are not heard. Once `out` is large enough nothing is allocated.
    pub fn write(&mut self, samples: &[f32], out: &mut Vec<f32>) -> [usize; 2] {
        let frames = self.frames(samples.len());
        out.clear();
        self.append(samples, frames, out)
    }

    /// The same with as many frames as the caller says, behind what `out` holds.
    pub fn append(&mut self, samples: &[f32], frames: usize, out: &mut Vec<f32>) -> [usize; 2] {
        let bins = self.bins();
        let hop = self.spec.hop_samples as usize;
        let samples = &samples[..samples.len().min(frames * hop)];
        let start = out.len();
        out.resize(start + bins * frames, FLOOR.log10());
        let out = &mut out[start..];
        let mut loudest = FLOOR.log10();
        for at in 0..frames {
            if self.cut(samples, frames * hop, at * hop) && self.transform() {
                let rows = out[at..].iter_mut().step_by(frames);
                for (value, energy) in rows.zip(self.filters.energies(&self.power)) {
                    *value = energy.max(FLOOR).log10();
                    loudest = loudest.max(*value);
                }
            }
        }
        for value in out.iter_mut() {
            *value = (value.max(loudest - RANGE) + 4.0) / 4.0;
        }
        [bins, frames]
    }

    /// Fills `frame` with the windowed samples around `center` of sound that is `total` long, silent
    /// behind `samples`. `false` when all of them are silent, as most of a short recording's are.
    fn cut(&mut self, samples: &[f32], total: usize, center: usize) -> bool {
        let half = self.window.len() / 2;
        let (start, end) = (center.checked_sub(half), center + self.window.len() - half);
        match start {
            Some(start) if end <= total => {
                let sound = samples.get(start..).unwrap_or_default();
                if sound.is_empty() {
                    return false;
                }
                let values = sound.iter().chain(std::iter::repeat(&0.0));
                for ((to, value), weight) in self.frame.iter_mut().zip(values).zip(&self.window) {
                    *to = value * weight;
                }
            }
            _ => {
                for (i, (to, weight)) in self.frame.iter_mut().zip(&self.window).enumerate() {
                    let at = mirrored(center as i64 + i as i64 - half as i64, total);
                    *to = weight * samples.get(at).copied().unwrap_or_default();
                }
            }
        }
        true
    }

    /// Power of the spectrum of `frame`.
    fn transform(&mut self) -> bool {
        let spectrum = &mut self.spectrum;
        let done = self
            .fft
            .process_with_scratch(&mut self.frame, spectrum, &mut self.scratch);
        for (power, value) in self.power.iter_mut().zip(spectrum) {
            *power = value.norm_sqr();
        }
        // Fails only for buffers of another length than the plan made them.
        done.is_ok()
    }
}

/// The sample that stands at place `at` of sound mirrored at its first and last sample, again and
/// again where it is short.
fn mirrored(at: i64, total: usize) -> usize {
    let last = total.saturating_sub(1).max(1) as i64;
    let at = at.rem_euclid(2 * last);
    at.min(2 * last - at) as usize
}

#[cfg(test)]
mod tests;
