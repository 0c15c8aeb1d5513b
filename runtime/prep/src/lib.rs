//! Pure numeric code around a session: pictures, sound and scores on their way into and out of
//! tensors.
//!
//! Nothing here knows ONNX Runtime, files or models. Functions that run per item write into the
//! caller's buffers and allocate nothing once those are large enough.
//!
//! ```
//! use bevel_prep::score;
//!
//! let mut scores = [1.0, 2.0, 3.0];
//! score::softmax(&mut scores);
//! assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
//! assert_eq!(score::top_k(&scores, 2), [2, 1]);
//! ```

// Libraries never print or exit: that is for programs.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]
#![forbid(unsafe_code)]

#[cfg(feature = "speech")]
pub mod audio;
#[cfg(feature = "speech")]
pub mod ctc;
pub mod image;
pub mod score;
pub mod text;
