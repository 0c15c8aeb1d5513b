use std::path::PathBuf;

/// What can be wrong with a graph or its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// `read`, `write` …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not an ONNX model.
    #[error("{} is not an ONNX model, or it is truncated; export or copy it again", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: prost::DecodeError,
    },
    /// Well-formed ONNX that is not handled here.
    #[error("graph `{graph}` has {what}, which is not supported")]
    Unsupported {
        /// Name of the graph.
        graph: String,
        /// What it has.
        what: String,
    },
    /// A model too old to be brought up to date.
    #[error(
        "graph `{graph}` is of operator set {version}; those from {} on are read, export it with a \
         newer one",
        crate::OLDEST_OPSET
    )]
    Opset {
        /// Name of the graph.
        graph: String,
        /// Its operator set.
        version: i64,
    },
    /// A node that no later operator set can express.
    #[error(
        "node `{node}` ({op}) of operator set {version} cannot be brought to {}, for {op} changed in \
         {change}: {why}",
        crate::OPSET
    )]
    Upgrade {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The operator set of the model.
        version: i64,
        /// The operator set that changed the operator.
        change: i64,
        /// What is in the way.
        why: String,
    },
    /// External data points outside the model's folder.
    #[error(
        "tensor `{tensor}` has external data at `{location}`; only files in the model's folder are read"
    )]
    Escape {
        /// The tensor.
        tensor: String,
        /// Where it points.
        location: String,
    },
    /// External data that does not say where it lies.
    #[error(
        "tensor `{tensor}` has external data of {key} `{value}`, which is no number of bytes; export \
         the model again"
    )]
    External {
        /// The tensor.
        tensor: String,
        /// `offset` or `length`.
        key: &'static str,
        /// What is written there.
        value: String,
    },
    /// External data that is not there in full.
    #[error(
        "tensor `{tensor}` needs bytes {offset} ..+ {length} of {}, which has {size_bytes}; \
         the file is truncated or belongs to another model", path.display()
    )]
    Short {
        /// The tensor.
        tensor: String,
        /// The external file.
        path: PathBuf,
        /// Where the tensor starts.
        offset: u64,
        /// How long it is.
        length: u64,
        /// How long the file is.
        size_bytes: u64,
    },
    /// A constant whose bytes do not fill its dimensions.
    #[error("tensor `{tensor}` {dims:?} needs {expected} bytes, got {got}")]
    Size {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        dims: Vec<usize>,
        /// Bytes that the dimensions ask for; `u64::MAX` when they overflow.
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// A node reads a value that nothing before it makes.
    #[error(
        "node `{node}` ({op}) reads `{value}`, which no input, initializer or earlier node defines"
    )]
    Undefined {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The value.
        value: String,
    },
    /// Two definitions of one value.
    #[error("value `{value}` is defined twice, the second time by {by}")]
    Redefined {
        /// The value.
        value: String,
        /// What defines it again.
        by: String,
    },
    /// Two nodes of one name.
    #[error("two nodes are called `{node}`")]
    NodeName {
        /// The name.
        node: String,
    },
    /// A graph output that nothing makes.
    #[error("graph output `{value}` is not made by any node")]
    Output {
        /// The output.
        value: String,
    },
}
