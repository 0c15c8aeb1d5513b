use std::path::PathBuf;

use bevel_manifest::{ErrorKind, Task};

/// What an error of a [`Judge`](crate::Judge) may be.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a conversion did not come about. No bundle is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// `read`, `write` …
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What the caller asked for cannot be done with what the caller gave.
    #[error("{0}")]
    Request(String),
    /// The checkpoint file.
    #[error(transparent)]
    Weights(#[from] bevel_weights::Error),
    /// A graph that this crate built is not sound, or could not be written.
    #[error(transparent)]
    Graph(#[from] bevel_onnx::Error),
    /// The manifest does not hold together.
    #[error("bundle.toml")]
    Manifest(#[from] bevel_manifest::Error),
    /// No family recognises the checkpoint.
    #[error(
        "{} is of no known architecture ({found}); it holds {}: {}; {}; known: {known}. Name one with \
         --arch if it is",
        path.display(), count(tensors.len()), list(tensors), alike(nearest)
    )]
    UnknownArchitecture {
        /// The checkpoint.
        path: PathBuf,
        /// What was seen beside the weights.
        found: String,
        /// The names of its tensors.
        tensors: Vec<String>,
        /// Names of the families.
        known: String,
        /// Those that look like it, the nearest first.
        nearest: Vec<&'static str>,
    },
    /// `config.json`, `tokenizer.json` or another side file says something unusable.
    #[error("{}: {what}", path.display())]
    SideFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// A feature of the architecture that is not built here.
    #[error("{family}: {what} is not supported; {next}")]
    Unsupported {
        /// The family.
        family: &'static str,
        /// What.
        what: String,
        /// What is supported, or what to do.
        next: String,
    },
    /// The family has no such head.
    #[error("{family} models do not {task}; they do: {known}")]
    Task {
        /// The family.
        family: &'static str,
        /// The task that was asked for.
        task: Task,
        /// Tasks of the family.
        known: String,
    },
    /// Weights that the architecture needs are not in the checkpoint.
    #[error(
        "{} lacks {} of {family}: {}; was it saved from this architecture and head?",
        path.display(), count(names.len()), list(names)
    )]
    MissingWeights {
        /// The checkpoint.
        path: PathBuf,
        /// The family.
        family: &'static str,
        /// The tensors.
        names: Vec<String>,
    },
    /// Weights in the checkpoint that the architecture does not know.
    #[error(
        "{} holds {} that {family} does not use: {}; the graph would not answer as the model does. \
         If another head is wanted, name its task with --task",
        path.display(), count(names.len()), list(names)
    )]
    LeftOverWeights {
        /// The checkpoint.
        path: PathBuf,
        /// The family.
        family: &'static str,
        /// The tensors.
        names: Vec<String>,
    },
    /// A weight of another shape than the configuration asks for.
    #[error("{}: tensor `{name}` is {got:?}, expected {expected:?} from {from}", path.display())]
    Shape {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        got: Vec<usize>,
        /// The shape that was expected.
        expected: Vec<usize>,
        /// Where the expectation comes from.
        from: &'static str,
    },
    /// A variant that was asked for changes what the model answers.
    #[error(
        "variant `{variant}` fails the quality gate over {samples} samples: {why}; convert with --quantize \
         auto or none, give more data to --calibrate, or lower the gate with --gate"
    )]
    Quality {
        /// The variant.
        variant: String,
        /// What was measured and what was needed.
        why: String,
        /// How many samples were compared.
        samples: usize,
    },
    /// The converted model does not answer as the recording says.
    #[error("the converted model does not answer as recorded: {0}")]
    Recording(String),
    /// The measurement itself failed.
    #[error("the converted model could not be measured")]
    Judge(#[source] BoxError),
}

impl Error {
    /// The kind, which decides the exit code.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::File { .. } | Self::Request(_) => ErrorKind::Input,
            Self::Weights(bevel_weights::Error::Read { .. }) => ErrorKind::Input,
            Self::Weights(
                bevel_weights::Error::UnknownType { .. } | bevel_weights::Error::TensorKind { .. },
            ) => ErrorKind::Unsupported,
            Self::Weights(bevel_weights::Error::Onnx { source, .. }) => match **source {
                bevel_onnx::Error::File { .. } => ErrorKind::Input,
                bevel_onnx::Error::Unsupported { .. }
                | bevel_onnx::Error::Opset { .. }
                | bevel_onnx::Error::Upgrade { .. } => ErrorKind::Unsupported,
                _ => ErrorKind::Model,
            },
            Self::Weights(_)
            | Self::SideFile { .. }
            | Self::MissingWeights { .. }
            | Self::LeftOverWeights { .. }
            | Self::Shape { .. } => ErrorKind::Model,
            Self::UnknownArchitecture { .. } | Self::Unsupported { .. } | Self::Task { .. } => {
                ErrorKind::Unsupported
            }
            Self::Graph(bevel_onnx::Error::File { .. }) => ErrorKind::Input,
            Self::Graph(_) | Self::Manifest(_) | Self::Judge(_) => ErrorKind::Internal,
            Self::Quality { .. } | Self::Recording(_) => ErrorKind::Quality,
        }
    }

    pub(crate) fn read(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            doing: "read",
            path: path.into(),
            source,
        }
    }

    pub(crate) fn write(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            doing: "write",
            path: path.into(),
            source,
        }
    }
}

fn alike(families: &[&str]) -> String {
    match families {
        [] => "none of the known families has tensors of such names".into(),
        names => format!("nearest known families: {}", names.join(", ")),
    }
}

fn count(n: usize) -> String {
    match n {
        1 => "1 tensor".into(),
        n => format!("{n} tensors"),
    }
}

/// The first names in full: whole layers may be missing.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect();
    match names.len() {
        ..=SHOWN => shown.join(", "),
        n => format!("{} and {} more", shown.join(", "), n - SHOWN),
    }
}
