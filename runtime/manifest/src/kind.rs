/// The kind of a failure. It decides the exit code of the command line, and later the HTTP status
/// and the C status code, in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What the caller passed in cannot be used: a missing or truncated file, empty audio.
    Input,
    /// The model, bundle, tokenizer or checkpoint cannot be used.
    Model,
    /// The device, provider or the ONNX Runtime library cannot be had.
    Device,
    /// A queue is full; try again later.
    Busy,
    /// Well-formed, but not something this build does.
    Unsupported,
    /// A quality gate failed.
    Quality,
    /// The memory that was allowed is used up.
    Memory,
    /// The caller stopped it.
    Cancelled,
    /// A defect of Bevel.
    Internal,
}

impl ErrorKind {
    /// The exit code of the command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Input => 2,
            Self::Model => 3,
            Self::Device => 4,
            Self::Busy => 5,
            Self::Unsupported => 6,
            Self::Quality => 7,
            Self::Memory => 8,
            Self::Internal => 70,
            Self::Cancelled => 130,
        }
    }
}
