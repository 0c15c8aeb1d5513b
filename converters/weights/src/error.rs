use std::path::PathBuf;

use crate::DType;

/// What can be wrong with a checkpoint. Each message names the file and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system would not give the file.
    #[error("cannot read checkpoint {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Recognised as something that holds no weights to convert.
    #[error("{} is {what}; {next}", path.display())]
    NotCheckpoint {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// An ONNX file that is damaged, or has what is not read.
    #[error("{}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<bevel_onnx::Error>,
    },
    /// A safetensors file whose header and size do not agree.
    #[error(
        "{} ({size_bytes} bytes) is a truncated or damaged safetensors file; download or copy it again",
        path.display()
    )]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: usize,
        /// What the parser said.
        #[source]
        source: Box<safetensors::SafeTensorError>,
    },
    /// A PyTorch file whose zip archive does not hold together.
    #[error(
        "{} ({size_bytes} bytes) is a truncated or damaged PyTorch file; download or copy it again",
        path.display()
    )]
    Archive {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: usize,
        /// What the parser said.
        #[source]
        source: zip::result::ZipError,
    },
    /// A PyTorch file whose pickle, the description of its tensors, makes no sense.
    #[error(
        "{}: the pickle is truncated, damaged or not of torch.save: {what} (byte {at}); \
         download or copy the file again",
        path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Where, from the start of the pickle; of the file where it begins with the pickle.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A PyTorch file from before version 1.6 that ends within its weights.
    #[error(
        "{} ({size_bytes} bytes) is truncated or damaged: storage `{key}` at byte {at} does not fit; \
         download or copy it again",
        path.display()
    )]
    Storage {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: usize,
        /// The key of the storage.
        key: String,
        /// Where it begins.
        at: usize,
    },
    /// More than a checkpoint needs, as of a file that was made to exhaust memory.
    #[error(
        "{} has more than {limit} {what}; save the weights alone: torch.save(model.state_dict(), f)",
        path.display()
    )]
    Limit {
        /// The file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// A tensor whose description does not agree with the file.
    #[error("{}: tensor `{name}` {what}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A tensor that is more than elements in a grid.
    #[error("{}: tensor `{name}` is {what}; {next}", path.display())]
    TensorKind {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What it is.
        what: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// A CTranslate2 `model.bin` that is damaged or of another version.
    #[error("{} cannot be read as a CTranslate2 model: {what}", path.display())]
    CTranslate2 {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and what to do.
        what: String,
    },
    /// Word vectors that are damaged or written in another way.
    #[error("{} cannot be read as word vectors: {what}", path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// What is wrong, in which line or row, and what was expected.
        what: String,
    },
    /// There is no room for what does not belong into memory.
    #[error(
        "the vectors of {} cannot be kept in {}; make room there, or name another folder in TMPDIR",
        path.display(), folder.display()
    )]
    Spill {
        /// The file that was read.
        path: PathBuf,
        /// The folder for temporary files.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A `*.index.json` that does not list shards.
    #[error("{} is not an index of shards: {what}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A tensor's element type that no reader here knows.
    #[error("{}: tensor `{name}` has the unsupported type {dtype}; save it as f32, f16 or bf16", path.display())]
    UnknownType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type as the file spells it.
        dtype: String,
    },
    /// The file is well-formed and empty.
    #[error("{} holds no tensors; is it the checkpoint of the model?", path.display())]
    NoTensors {
        /// The file.
        path: PathBuf,
    },
    /// No tensor of this name.
    #[error("{} has no tensor `{name}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
    },
    /// A weight that should be a float is not.
    #[error("{}: tensor `{name}` is {dtype}, expected f32, f16, bf16 or f64", path.display())]
    NotFloat {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: DType,
    },
}
