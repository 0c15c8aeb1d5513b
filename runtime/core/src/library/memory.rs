//! A limit to what ONNX Runtime allocates on the CPU: one arena for all sessions of the process, with a
//! size that it may not grow beyond.
//!
//! The arena itself refuses results that do not fit, but takes weights without a question, and forgets
//! its limit when they exceed it. So [`Arena::fits`] is asked after each graph that is loaded.
//!
//! What results leave free it keeps, in pieces that may suit nobody: runs of growing texts, or models that
//! were closed, would fill it. So when it is full, [`Arena::give_back`] is called, and what failed is done again.

// The `ort` crate has no calls for shared arenas.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::ptr;

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{RunOptions, Session};
use ort::value::Tensor;

use crate::error::{Error, Result, one_line};

/// Keys and values of the arena: its size, growing by what is asked for and not by powers of two.
const MAX_BYTES: &CStr = c"max_mem";
const STRATEGY: &CStr = c"arena_extend_strategy";
const AS_REQUESTED: usize = 1;

/// What an arena tells of itself: bytes it has from the system, weights among them.
const TOTAL_BYTES: &CStr = c"TotalAllocated";

/// A graph that answers its input, in ONNX's format: runs give back what the arena has free.
const IDENTITY: &[u8] = b"\x08\x08\x12\x00:7\n\x10\n\x01x\x12\x01y\"\x08Identity\x12\x01g\
    Z\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01\
    b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r";
const GIVE_BACK: (&str, &str) = ("memory.enable_memory_arena_shrinkage", "cpu:0");

/// The arena that all sessions share.
#[derive(Debug)]
pub(super) struct Arena {
    cap_bytes: usize,
}

impl Arena {
    /// Gives the environment an arena of at most `cap_bytes` for sessions with environment allocators.
    ///
    /// # Errors
    /// [`Error::Library`] when ONNX Runtime refuses.
    pub(super) fn new(environment: &Environment, cap_bytes: usize) -> Result<Self> {
        let api = ort::api();
        let info = info()?;
        let keys = [MAX_BYTES.as_ptr(), STRATEGY.as_ptr()];
        let values = [cap_bytes, AS_REQUESTED];
        let mut config = ptr::null_mut();
        // SAFETY: keys are strings with an end, there are as many values, and `config` is a place to
        // write to. Environment and memory info live while the call goes on, and ONNX Runtime copies
        // both the info and the configuration, which is released after its only use.
        let done = unsafe {
            let made =
                (api.CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), keys.len(), &mut config);
            ort::Error::result_from_status(made).and_then(|()| {
                let environment = environment.ptr().cast_mut();
                let status = (api.CreateAndRegisterAllocator)(environment, info.ptr(), config);
                (api.ReleaseArenaCfg)(config);
                ort::Error::result_from_status(status)
            })
        };
        done.map_err(refused)?;
        Ok(Self { cap_bytes })
    }

    /// Fails when a graph that was loaded, with those before, has taken more than the cap.
    ///
    /// # Errors
    /// [`Error::Memory`], and [`Error::Library`] when ONNX Runtime does not tell.
    pub(super) fn fits(&self, environment: &Environment, session: &Session) -> Result<()> {
        let over = || {
            let held = held(session).map_err(refused)?;
            Ok(held.filter(|held| *held > self.cap_bytes))
        };
        if over()?.is_none() {
            return Ok(());
        }
        self.give_back(environment)?;
        match over()? {
            Some(held) => {
                let what = format!("{:.0} MiB are needed so far", mib(held));
                Err(self.full(&what))
            }
            None => Ok(()),
        }
    }

    /// Gives the system what the arena holds and nobody uses.
    ///
    /// # Errors
    /// [`Error::Library`] when ONNX Runtime refuses.
    pub(super) fn give_back(&self, environment: &Environment) -> Result<()> {
        let give_back = || -> ort::Result<()> {
            let mut session = Session::builder(environment)?
                .with_env_allocators()?
                // No thread of its own.
                .with_intra_threads(1)?
                .commit_from_memory(IDENTITY)?;
            let mut options = RunOptions::new()?;
            options.set(GIVE_BACK.0, GIVE_BACK.1)?;
            let x = Tensor::from_array(([1], vec![0f32]))?;
            session.run_with_options(ort::inputs!["x" => x], &options)?;
            Ok(())
        };
        match give_back() {
            // Not even the answer of that graph fits: nothing is free that could be given back.
            Err(e) if said_full(&e.to_string()).is_some() => Ok(()),
            done => done.map_err(refused),
        }
    }

    /// What ONNX Runtime said, if it said that the arena is full.
    pub(super) fn refusal(&self, what: &str) -> Option<Error> {
        Some(self.full(&what[said_full(what)?..]))
    }

    fn full(&self, what: &str) -> Error {
        Error::Memory(format!(
            "the memory cap of {:.0} MiB is used up: {what}; raise it, take a smaller variant or input, \
             or close other models",
            mib(self.cap_bytes)
        ))
    }
}

/// Where an error says that an arena is full; before that stands where in ONNX Runtime's source it was found.
pub(crate) fn said_full(what: &str) -> Option<usize> {
    let said = ["Available memory of", "bad allocation"];
    said.iter().find_map(|said| what.find(said))
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn refused(error: ort::Error) -> Error {
    Error::Library(one_line(&error.to_string()))
}

fn info() -> Result<MemoryInfo<'static>> {
    let (cpu, arena) = (AllocationDevice::CPU, AllocatorType::Arena);
    MemoryInfo::new(cpu, 0, arena, MemoryType::Default).map_err(refused)
}

/// Bytes that the arena of a session has from the system; `None` where it does not tell.
fn held(session: &Session) -> ort::Result<Option<usize>> {
    let api = ort::api();
    let (cpu, arena) = (AllocationDevice::CPU, AllocatorType::Arena);
    let info = MemoryInfo::new(cpu, 0, arena, MemoryType::Default)?;
    let arena = Allocator::new(session, info)?;
    let mut pairs = ptr::null_mut();
    // SAFETY: the allocator lives while the calls go on. The pairs are ours to release; the text in them
    // is read before.
    unsafe {
        ort::Error::result_from_status((api.AllocatorGetStats)(arena.ptr(), &mut pairs))?;
        if pairs.is_null() {
            return Ok(None);
        }
        let value = (api.GetKeyValue)(pairs, TOTAL_BYTES.as_ptr());
        let text = (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned());
        (api.ReleaseKeyValuePairs)(pairs);
        Ok(text.and_then(|text| text.parse().ok()))
    }
}
