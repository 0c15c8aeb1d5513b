//! Status codes, and the message of what failed.

use std::cell::RefCell;
use std::error::Error as _;
use std::ffi::{CStr, CString, c_char};

use bevel_manifest::ErrorKind;

/// What became of a call. The numbers are the exit codes of the `bevel` program.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum bevel_status {
    /// Done.
    BEVEL_OK = 0,
    /// What was passed in cannot be used: a null pointer, a handle that is not open, a number out of range,
    /// text that is not UTF-8, a damaged picture or recording.
    BEVEL_BAD_INPUT = 2,
    /// The model cannot be used: it is missing, damaged, or made for something else.
    BEVEL_BAD_MODEL = 3,
    /// ONNX Runtime or a device that was asked for cannot be had.
    BEVEL_NO_DEVICE = 4,
    /// Somebody else is at it; try again.
    BEVEL_BUSY = 5,
    /// Well-formed, but not something this build does.
    BEVEL_UNSUPPORTED = 6,
    /// The memory that was allowed is used up.
    BEVEL_NO_MEMORY = 8,
    /// The buffer is too small; how large it has to be was told.
    BEVEL_BUFFER_TOO_SMALL = 9,
    /// A defect of Bevel.
    BEVEL_INTERNAL = 70,
    /// It was stopped by bevel_cancel or by closing its handle.
    BEVEL_CANCELLED = 130,
}

use bevel_status::*;

/// `Result` of what a function of the interface does.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a call fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: bevel_status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: bevel_status, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, message }
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(BEVEL_BAD_INPUT, message)
    }
}

/// The whole chain of causes on one line.
impl From<bevel::Error> for Failure {
    fn from(error: bevel::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::new(of(error.kind()), message)
    }
}

/// The status of a kind of failure.
pub(crate) fn of(kind: ErrorKind) -> bevel_status {
    match kind {
        ErrorKind::Input => BEVEL_BAD_INPUT,
        ErrorKind::Model => BEVEL_BAD_MODEL,
        ErrorKind::Device => BEVEL_NO_DEVICE,
        ErrorKind::Busy => BEVEL_BUSY,
        ErrorKind::Unsupported => BEVEL_UNSUPPORTED,
        ErrorKind::Memory => BEVEL_NO_MEMORY,
        ErrorKind::Cancelled => BEVEL_CANCELLED,
        // No gate is behind this interface.
        _ => BEVEL_INTERNAL,
    }
}

thread_local! {
    /// What the last call of this thread that failed has said.
    static LAST: RefCell<CString> = RefCell::default();
}

/// Text for C: what would end it early is left out.
pub(crate) fn c_string(text: &str) -> CString {
    let bytes: Vec<u8> = text.bytes().filter(|b| *b != 0).collect();
    CString::new(bytes).unwrap_or_default()
}

/// Keeps a message for `bevel_last_error`.
pub(crate) fn remember(message: &str) {
    let message = c_string(message);
    // Not where the thread is about to end.
    let _ = LAST.try_with(|last| last.replace(message));
}

/// The message of the last call of this thread that failed: one line for people, UTF-8. Empty where none
/// has. The text lives until the next call of this thread that fails, or until the thread ends; copy it to
/// keep it. Never null.
#[unsafe(no_mangle)]
pub extern "C" fn bevel_last_error() -> *const c_char {
    let last = LAST.try_with(|last| last.borrow().as_ptr());
    last.unwrap_or(c"".as_ptr())
}

/// The name of a status, such as "BEVEL_BAD_INPUT"; "unknown status" for what is none. A constant.
#[unsafe(no_mangle)]
pub extern "C" fn bevel_status_name(status: i32) -> *const c_char {
    let name: &'static CStr = match status {
        0 => c"BEVEL_OK",
        2 => c"BEVEL_BAD_INPUT",
        3 => c"BEVEL_BAD_MODEL",
        4 => c"BEVEL_NO_DEVICE",
        5 => c"BEVEL_BUSY",
        6 => c"BEVEL_UNSUPPORTED",
        8 => c"BEVEL_NO_MEMORY",
        9 => c"BEVEL_BUFFER_TOO_SMALL",
        70 => c"BEVEL_INTERNAL",
        130 => c"BEVEL_CANCELLED",
        _ => c"unknown status",
    };
    name.as_ptr()
}
