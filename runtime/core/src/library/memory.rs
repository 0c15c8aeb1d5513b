//! A limit to what ONNX Runtime allocates on the CPU: one arena for all sessions of the process, with a
//! size that it may not grow beyond.

use std::ffi::CStr;
use std::ptr;

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

use crate::error::{Error, Result, one_line};

/// Keys and values of the arena: its size, growing by what is asked for and not by powers of two.
const MAX_BYTES: &CStr = c"max_mem";
const STRATEGY: &CStr = c"arena_extend_strategy";
const AS_REQUESTED: usize = 1;

/// Gives the environment an arena of at most `bytes` that sessions with environment allocators share.
///
/// # Errors
/// [`Error::Library`] when ONNX Runtime refuses.
// The `ort` crate has no call for it.
#[allow(unsafe_code)]
pub(super) fn cap(environment: &Environment, bytes: usize) -> Result<()> {
    let refused = |e: ort::Error| Error::Library(one_line(&e.to_string()));
    let info = MemoryInfo::new(
        AllocationDevice::CPU,
        0,
        AllocatorType::Arena,
        MemoryType::Default,
    )
    .map_err(refused)?;
    let api = ort::api();
    let keys = [MAX_BYTES.as_ptr(), STRATEGY.as_ptr()];
    let values = [bytes, AS_REQUESTED];
    let mut config = ptr::null_mut();
    // SAFETY: keys are strings with an end, there are as many values, and `config` is a place to write
    // to. Environment and memory info live while the call goes on, and ONNX Runtime copies both the info
    // and the configuration, which is released after its only use.
    let done = unsafe {
        let made = (api.CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), keys.len(), &mut config);
        ort::Error::result_from_status(made).and_then(|()| {
            let registered =
                (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), info.ptr(), config);
            (api.ReleaseArenaCfg)(config);
            ort::Error::result_from_status(registered)
        })
    };
    done.map_err(refused)
}

/// What ONNX Runtime said, if it said that the arena is full.
pub(super) fn refused(what: &str, cap_bytes: Option<usize>) -> Option<Error> {
    let full = what.contains("smaller than requested bytes") || what.contains("bad allocation");
    let cap = cap_bytes.filter(|_| full)?;
    let mib = cap as f64 / f64::from(1 << 20);
    Some(Error::Memory(format!(
        "the memory cap of {mib:.0} MiB is used up; raise it, take a smaller variant or input, or close \
         other models ({what})"
    )))
}
