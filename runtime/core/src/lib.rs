//! Lean pipelines for text, vision and speech models on the edge.

mod bundle;
pub mod cpu;
pub mod device;
mod error;
mod library;
mod pipeline;
mod registry;
mod session;
pub mod speech;
mod tensors;
pub mod text;
pub mod vision;

pub use bevel_manifest::{ErrorKind, Manifest, Task as TaskName};
pub use bundle::Bundle;
pub use device::{Device, Devices};
pub use error::{Error, Result};
pub use library::{Runtime, RuntimeOptions};
pub use pipeline::{Options, Outputs, Pipeline, Slots, Task, Timing};
pub use registry::{Answer, AnyPipeline, Sample, open};
pub use session::{Session, TensorInfo};
pub use speech::Transcribe;
pub use tensors::{Tensor, TensorData};
pub use text::Embed;
pub use vision::{Classify, Detect};
