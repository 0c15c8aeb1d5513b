//! Checkpoints to ONNX bundles, without Python.
//!
//! [`convert`] opens a checkpoint (a weights file, or a folder with `config.json`, tokenizer and
//! weights), recognises its architecture, builds a graph, quantises it and writes a bundle: graphs,
//! side files and a `bundle.toml` that says how to prepare input and decode output. A bundle is
//! written under a hidden name and renamed, so there is never half of one.
//!
//! A conversion that cannot be right fails and says why: weights that are missing or left over are
//! named, a tokenizer that does not fit the embedding is refused, and a quantised variant that a
//! [`Judge`] finds to answer differently is not shipped.
//!
//! ```no_run
//! use std::path::Path;
//! use bevel_convert::{Options, convert};
//!
//! let mut options = Options::default();
//! options.quantize = "none".parse()?;
//! let report = convert(
//!     Path::new("all-MiniLM-L6-v2"),
//!     Path::new("minilm.bevel"),
//!     &options,
//!     None,
//!     &mut |progress| eprintln!("{} {}", progress.stage, progress.what),
//! )?;
//! assert_eq!(report.chosen, "fp32");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The families and their tensors are in `src/arch`, one file each; `docs/add-an-architecture.md` says
//! how to add one.
//!
//! Limits: fp32 and dynamic int8; inference only, and no weights of adapters (LoRA), which have to be
//! merged before.

// Libraries never print or exit: that is for programs.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]

mod arch;
mod bundle;
mod clock;
mod convert;
mod deviation;
mod error;
mod gate;
mod judge;
mod labels;
mod options;
mod page;
mod quantize;
mod recipe;
mod report;
mod search;
mod set;
mod source;
mod tokenizer;
mod variants;
mod weights;
mod window;

pub use convert::convert;
pub use error::{BoxError, Error};
pub use gate::{AGREEMENT, Gate};
pub use judge::{Judge, Quality, Recorded, See};
pub use options::{Options, Quantize, Scheme};
pub use report::{Calibration, Progress, Report, Stage, StageReport, Trial, VariantReport};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
