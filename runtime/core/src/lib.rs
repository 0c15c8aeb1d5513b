//! Runs text, vision and speech models on small devices through ONNX Runtime.
//!
//! A [`Bundle`] is a model with everything a pipeline needs to know about it, as `bevel convert`
//! writes it. A [`Pipeline`] of a [`Task`] opens one and answers: [`Embed`], [`text::Classify`], [`Tag`] and
//! [`AnswerQuestion`] for text, [`Detect`] and [`Classify`] for pictures; [`Transcribe`] turns sound to text,
//! [`Generate`] goes on with one; [`RunTensors`](tensors::RunTensors) runs any graph on tensors. Callers that learn the task from the
//! bundle use [`open`].
//!
//! ```no_run
//! use bevel::vision::{ImageView, load_image};
//! use bevel::{Detect, Options, Pipeline};
//!
//! let mut detect = Pipeline::<Detect>::open("yolox-nano".as_ref(), &Options::default())?;
//! let image = load_image("street.jpg".as_ref())?;
//! let view = ImageView::from_rgb(image.as_raw(), image.width(), image.height())?;
//! for found in &detect.run(&[view])?[0].boxes {
//!     println!("{:.2} {} {:?}", found.score, found.label, found.xyxy);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! `text`, `vision` and `speech` are the tasks, all of them on; a device names those it needs and leaves out
//! what reads pictures, sound or words for the others. Task `tensors` and [`verify`] are in every build.
//! A bundle of a task that was left out is [`Error::Unsupported`]. `cuda` and `tensorrt` add devices.
//!
//! # What it does not do
//!
//! It never prints, exits, panics on bad input or opens the network. It does not fall back to the
//! CPU when another [`device`] was asked for. Its threads do not spin between runs.
//!
//! # ONNX Runtime
//!
//! The shared library is loaded when the first model is opened, from `ORT_DYLIB_PATH`, beside the
//! program, `../lib` of it, or the system: version 1.24 or newer, 1.28.0 is what is tested. There is
//! one environment per process, see [`Runtime`], and one thread pool unless [`Pool`] asks otherwise. Telemetry is switched off
//! before the library is loaded.
//!
//! # Limits
//!
//! A pipeline serves one thread (`&mut self`); open one per worker. Pictures go through one at a
//! time. Masked text is not filled yet.

// Libraries never print or exit: that is for programs.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]

mod bundle;
mod cancel;
#[cfg(any(feature = "text", feature = "vision"))]
mod classes;
pub mod cpu;
// Text and speech ask it for different things, and a build may have one of them.
#[cfg_attr(
    not(all(feature = "text", feature = "speech")),
    allow(dead_code, unused_imports)
)]
mod decoder;
pub mod device;
pub mod elf;
#[cfg(any(feature = "text", feature = "vision"))]
mod embedding;
mod error;
mod handover;
mod library;
mod pipeline;
mod recording;
mod registry;
mod session;
#[cfg(feature = "speech")]
pub mod speech;
pub mod system;
pub mod tensors;
#[cfg(feature = "text")]
pub mod text;
#[cfg(all(feature = "text", feature = "vision"))]
mod towers;
pub mod verify;
#[cfg(feature = "vision")]
pub mod vision;

pub use bevel_manifest::{ErrorKind, Manifest, Task as TaskName};
pub use bundle::{Bundle, ModelFile};
pub use cancel::Cancel;
pub use device::{Device, Devices};
pub use error::{Error, Result};
pub use handover::{Handover, Progress};
pub use library::{Pool, Runtime, RuntimeOptions};
pub use pipeline::{Options, Outputs, Pipeline, Slots, Task, Timing};
pub use recording::{Recording, RecordingLimits, record};
pub use registry::{Answer, AnyPipeline, Question, Sample, open, supports};
pub use session::{PlacedNode, Placement, Session, TensorInfo};
#[cfg(feature = "speech")]
pub use speech::Transcribe;
pub use tensors::{Tensor, TensorData};
#[cfg(feature = "text")]
pub use text::{AnswerQuestion, Embed, Generate, Likelihood, Tag};
#[cfg(feature = "vision")]
pub use vision::{Classify, Detect};
