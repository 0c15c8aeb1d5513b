//! What holds for the whole process.

use std::ffi::{CStr, c_char};
use std::mem::offset_of;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bevel::{Pool, Runtime, RuntimeOptions};

use crate::caller::{self, Growing, numbered};
use crate::guard::guard;
use crate::status::{Failure, Result, bevel_status};

/// Counts up whenever programs have to be compiled again: see bevel_abi_version.
pub const BEVEL_ABI_VERSION: u32 = 0;

/// Which threads run the graphs. Either way they sleep between runs.
#[repr(i32)]
pub enum bevel_pool {
    /// One pool for all models of the process.
    BEVEL_POOL_SHARED = 0,
    /// A pool for each graph, whose threads wait for each other actively: faster where only one model
    /// runs.
    BEVEL_POOL_PER_GRAPH = 1,
}

numbered! {
    bevel_pool:
    BEVEL_POOL_SHARED,
    BEVEL_POOL_PER_GRAPH,
}

/// What holds for the whole process, because ONNX Runtime is there once in a process. Zero and null are
/// defaults. What it points to need not outlive the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_runtime_options {
    /// Set by BEVEL_INIT.
    pub struct_size: usize,
    /// The ONNX Runtime library. When not given: the environment's ORT_DYLIB_PATH, beside libbevel.so,
    /// beside the program, ../lib of it, then the system's folders.
    pub library: *const c_char,
    /// The most bytes that ONNX Runtime may hold for weights and results of all models, on the CPU. What
    /// needs more fails with BEVEL_NO_MEMORY. No limit when 0. Weights that are mapped from a file do not
    /// count.
    pub memory_cap_bytes: usize,
    /// Processors, counted from 0, on which the threads of pools run; all when not given. Linux only.
    pub cores: *const u32,
    /// How many of them.
    pub core_count: usize,
    /// Threads of a pool; the physical cores when 0.
    pub threads: u32,
    /// Which threads run the graphs, see bevel_pool.
    pub pool: i32,
    /// How much the threads of pools give way to others, 1 to 19 as nice counts. Linux only.
    pub nice: i32,
}

// SAFETY: as it asks for; pointers, numbers, and the size first.
unsafe impl Growing for bevel_runtime_options {
    const FIRST_SIZE: usize = offset_of!(Self, nice) + size_of::<i32>();
    const NAME: &'static str = "bevel_runtime_options";
}

const MAX_CORES: usize = 4096;
const MAX_THREADS: u32 = 1024;

impl bevel_runtime_options {
    /// The same as the library has it.
    ///
    /// # Safety
    /// What it points to is there.
    unsafe fn options(&self) -> Result<RuntimeOptions> {
        let mut options = RuntimeOptions::default();
        if !self.library.is_null() {
            // SAFETY: the caller's promise.
            options.library = Some(unsafe { caller::path(self.library, "library") }?.into());
        }
        if self.threads > MAX_THREADS {
            let what = format!(
                "threads is {}, expected at most {MAX_THREADS}",
                self.threads
            );
            return Err(Failure::input(what));
        }
        options.threads = Some(self.threads as usize).filter(|n| *n > 0);
        options.pool = match bevel_pool::read(self.pool)? {
            bevel_pool::BEVEL_POOL_SHARED => Pool::Shared,
            bevel_pool::BEVEL_POOL_PER_GRAPH => Pool::PerGraph,
        };
        options.memory_cap_bytes = Some(self.memory_cap_bytes).filter(|n| *n > 0);
        if self.core_count > MAX_CORES {
            let what = format!("{} cores, at most {MAX_CORES}", self.core_count);
            return Err(Failure::input(what));
        }
        // SAFETY: the caller's promise.
        let cores = unsafe { caller::values(self.cores, self.core_count, "cores") }?;
        let cores: Vec<_> = cores.iter().map(|core| *core as usize).collect();
        options.cores = Some(cores).filter(|cores| !cores.is_empty());
        options.nice = match u8::try_from(self.nice) {
            Ok(nice) => Some(nice).filter(|nice| *nice > 0),
            Err(_) => {
                let what = format!("nice is {}, expected 0 to 19", self.nice);
                return Err(Failure::input(what));
            }
        };
        Ok(options)
    }
}

/// What ONNX Runtime was started with, once it was.
static STARTED: Mutex<Option<RuntimeOptions>> = Mutex::new(None);

/// Starts ONNX Runtime with options, or as it is when options are not given.
///
/// # Errors
/// With options other than those that it runs with already, and those of [`Runtime::start`].
pub(crate) fn start(options: Option<RuntimeOptions>) -> Result {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    match (&*started, &options) {
        (Some(_), None) => return Ok(()),
        (Some(before), Some(now)) if before == now => return Ok(()),
        (Some(_), Some(_)) => {
            let what = "ONNX Runtime already runs with other options in this process; call bevel_start \
                        before the first model is opened";
            return Err(Failure::input(what));
        }
        (None, _) => {}
    }
    let options = options.unwrap_or_default();
    let mut found = options.clone();
    if found.library.is_none()
        && std::env::var_os("ORT_DYLIB_PATH").is_none_or(|path| path.is_empty())
    {
        found.library = beside();
    }
    Runtime::start(&found)?;
    *started = Some(options);
    Ok(())
}

/// ONNX Runtime in the folder that this library was loaded from, if it is there.
fn beside() -> Option<PathBuf> {
    let here = (bevel_version as *const ()).addr();
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    // Lines are `from-to rwxp offset device inode   path`, the numbers hexadecimal.
    let line = maps.lines().find(|line| {
        let range = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).unwrap_or_default();
        range.is_some_and(|(from, to)| (number(from)..number(to)).contains(&here))
    })?;
    let own = PathBuf::from(line.get(line.find('/')?..)?);
    let names = ["libonnxruntime.so", "libonnxruntime.so.1"].iter();
    let mut paths = names.map(|name| own.with_file_name(name));
    paths.find(|path| path.is_file())
}

/// Starts ONNX Runtime with options; null for defaults. Optional: opening a model starts it with defaults.
/// A second call with the same options does nothing.
///
/// Sets ORT_DISABLE_TELEMETRY=1 in the environment of the process, by setenv, before the library is
/// loaded: newer official builds of ONNX Runtime send telemetry otherwise. setenv is not safe beside
/// getenv in other threads, so call this early in main, or have the variable set by who starts the
/// program.
///
/// Errors: BEVEL_NO_DEVICE when ONNX Runtime cannot be found or loaded, BEVEL_BAD_INPUT for options that
/// are out of range, or other ones than it runs with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_start(options: *const bevel_runtime_options) -> bevel_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let options = unsafe { caller::options_or_default(options)?.options() }?;
        start(Some(options))
    })
}

/// The version of the library, such as "0.1.0". A constant.
#[unsafe(no_mangle)]
pub extern "C" fn bevel_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    // The text ends with its only zero.
    CStr::from_bytes_until_nul(VERSION.as_bytes()).map_or(c"".as_ptr(), CStr::as_ptr)
}

/// The version of the interface that the library has. A program works with it where this is the
/// BEVEL_ABI_VERSION that it was compiled with.
#[unsafe(no_mangle)]
pub extern "C" fn bevel_abi_version() -> u32 {
    BEVEL_ABI_VERSION
}
