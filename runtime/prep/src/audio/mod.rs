//! Sound: channels, sample rates, pauses and spectrograms. Samples are f32 in −1 ..= 1.

mod align;
mod log_mel;
mod mel;
mod mono;
mod normalize;
mod pieces;
mod resample;
mod segment;

pub use align::align;
pub use log_mel::LogMel;
pub use mono::{Loud, MAX_AMPLITUDE, check_samples, level_probability, mix_down};
pub use normalize::normalize;
pub use pieces::Pieces;
pub use resample::{RateError, Resampler, SAMPLE_RATES_HZ};
pub use segment::{SegmentSpec, Segmenter, Span};
