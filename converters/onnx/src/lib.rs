//! ONNX graphs: build them, check them, read and write them.
//!
//! [`Graph`] is the model in memory: nodes in topological order, weights as reference-counted bytes
//! that may point into a memory map. [`Graph::save`] puts large weights into one file beside the
//! graph, page-aligned, so that ONNX Runtime maps them instead of reading them.
//!
//! ```
//! use bevel_onnx::{Dim, DType, Graph, Tensor};
//!
//! let mut graph = Graph::new("double");
//! let x = graph.input("x", DType::F32, [Dim::named("batch"), Dim::Fixed(2)]);
//! let two = graph.initializer(Tensor::scalar("two", 2.0));
//! let y = graph.node("Mul", &[&x, &two], []);
//! graph.output(&y, "y", DType::F32, [Dim::named("batch"), Dim::Fixed(2)]);
//! graph.check()?;
//!
//! let dir = tempfile::tempdir()?;
//! graph.save(&dir.path().join("double.onnx"))?;
//! assert_eq!(Graph::load(&dir.path().join("double.onnx"))?, graph);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Limits: functions, sparse initializers and training information are refused on reading;
//! operators' own rules (types and shapes) are ONNX Runtime's to check.

// Libraries never print or exit: that is for programs.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]

mod attribute;
mod check;
mod dtype;
mod error;
mod eval;
mod graph;
mod hoist;
mod layout;
mod load;
mod node;
mod passes;
mod save;
mod shape;
mod tensor;
mod upgrade;

/// The messages of `onnx-ml.proto` (onnx 1.23.2, IR 14) by prost-build 0.14.4 over protox 0.10.0, with
/// `Config::new().bytes(["."])`: every bytes field is a [`bytes::Bytes`].
#[allow(missing_docs, clippy::all)]
#[rustfmt::skip]
#[path = "generated/onnx.rs"]
pub mod proto;

pub use attribute::Attribute;
pub use dtype::DType;
pub use error::Error;
pub use graph::{Dim, Graph, Value};
pub use passes::Simplified;
pub use shape::{Element, Fact, Facts};
pub use tensor::Tensor;
pub use upgrade::OLDEST_OPSET;

/// Version of the ONNX operator set (`ai.onnx`) that the converters write: the first with 4-bit
/// types and blocked quantisation, and it has `LayerNormalization` (17) and `Gelu` (20).
/// ONNX Runtime reads it since 1.18.
pub const OPSET: i64 = 21;

/// The IR version that belongs to [`OPSET`] (onnx 1.16).
pub const IR_VERSION: i64 = 10;

/// Domain of ONNX Runtime's own operators, such as `GroupQueryAttention`; version 1.
pub const CONTRIB: &str = "com.microsoft";

/// Initializers of at least this many bytes are saved outside the graph file.
pub const EXTERNAL_MIN_BYTES: usize = 4096;

/// External tensors start at multiples of this: the page size of the boards we know.
pub const EXTERNAL_ALIGN_BYTES: u64 = 4096;
