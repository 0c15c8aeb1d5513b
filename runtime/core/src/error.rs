use std::io;
use std::path::{Path, PathBuf};

use bevel_manifest::ErrorKind;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a caller's bytes and an answer.
///
/// The text is for people: one line that says what, where, expected and got, and what to do next.
/// [`Error::kind`] is for machines. Where there is a cause of its own it is the
/// [`source`](std::error::Error::source) and not part of the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ONNX Runtime library is missing, broken, too old or of another architecture.
    #[error("{0}")]
    Library(String),
    /// A provider that was asked for cannot be had.
    #[error("{0}")]
    Device(String),
    /// A file of the model cannot be read.
    #[error("cannot read {}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `bundle.toml` or a recipe is wrong.
    #[error("{}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: bevel_manifest::Error,
    },
    /// A graph, tokenizer or bundle that cannot be used.
    #[error("{}: {what}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// ONNX Runtime failed while it ran a graph.
    #[error("{graph}: {what}")]
    Run {
        /// The graph's file name.
        graph: String,
        /// ONNX Runtime's message on one line.
        what: String,
    },
    /// Caller data that cannot be used.
    #[error("{0}")]
    Input(String),
    /// A file of caller data that cannot be read.
    #[error("cannot read {}", path.display())]
    InputFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The memory that was allowed is used up.
    #[error("{0}")]
    Memory(String),
    /// It was stopped by [`Cancel`](crate::Cancel).
    #[error("cancelled")]
    Cancelled,
    /// Well-formed, but not something this build does.
    #[error("{0}")]
    Unsupported(String),
    /// A defect of Bevel; please report it.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl Error {
    /// The kind, which decides exit, HTTP and C status codes.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Library(_) | Self::Device(_) => ErrorKind::Device,
            Self::ModelFile { .. } | Self::Manifest { .. } | Self::Model { .. } => ErrorKind::Model,
            Self::Run { .. } => ErrorKind::Model,
            Self::Input(_) | Self::InputFile { .. } => ErrorKind::Input,
            Self::Memory(_) => ErrorKind::Memory,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// A model file with what is wrong with it.
    pub(crate) fn model(path: &Path, what: impl Into<String>) -> Self {
        Self::Model {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }
}

/// What ONNX Runtime refuses while values are made for it: no file or input is at fault.
pub(crate) fn internal(error: ort::Error) -> Error {
    Error::Internal(one_line(&error.to_string()))
}

/// ONNX Runtime's message on one line.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
