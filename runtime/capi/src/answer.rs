//! Answers as a whole: their JSON, vectors, texts and tensors. See [`crate::parts`] for what they consist
//! of.

use std::ffi::{c_char, c_void};

use bevel::{Answer, Tensor, Timing};

use crate::caller::{self, Buffer};
use crate::guard::guard;
use crate::handles;
use crate::status::{Failure, Result, bevel_status};
use crate::tensor::bevel_tensor_info;

/// What a model answered in one call.
pub struct bevel_answer {
    _private: [u8; 0],
}

/// Where the time of a call went, all its inputs added up. This struct never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_timing {
    /// From the caller's data to the tensors of the graph, in milliseconds.
    pub prepare_ms: f64,
    /// Inside ONNX Runtime.
    pub run_ms: f64,
    /// From the tensors of the graph to the answer.
    pub decode_ms: f64,
}

/// What a handle stands for.
pub(crate) struct Answers {
    items: Vec<Answer>,
    timing: Timing,
}

impl Answers {
    pub(crate) fn new(items: Vec<Answer>, timing: Timing) -> Self {
        Self { items, timing }
    }

    /// The answer for input `index`.
    pub(crate) fn item(&self, index: usize) -> Result<&Answer> {
        self.items.get(index).ok_or_else(|| {
            let what = format!("no item {index}, the answer has {}", self.items.len());
            Failure::input(what)
        })
    }

    /// Output `index` for an input, in the order of names.
    fn tensor(&self, item: usize, index: usize) -> Result<(&str, &Tensor)> {
        let Answer::Tensors(tensors) = self.item(item)? else {
            return Err(has_no("tensors"));
        };
        let found = tensors.outputs.iter().nth(index).ok_or_else(|| {
            let count = tensors.outputs.len();
            Failure::input(format!("no tensor {index}, there are {count}"))
        })?;
        Ok((found.0, found.1))
    }
}

/// What is said of an answer of another task.
pub(crate) fn has_no(what: &str) -> Failure {
    Failure::input(format!("the answer has no {what}: it is of another task"))
}

/// Closes an answer. Null is nothing to close.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT for what is no open answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_close(answer: *mut bevel_answer) -> bevel_status {
    guard(|| {
        if !answer.is_null() {
            handles::close(answer)?;
        }
        Ok(())
    })
}

/// How many items an answer has: one for each input, in their order.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_count(
    answer: *const bevel_answer,
    count: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?.items.len();
        // SAFETY: the caller's promise.
        unsafe { caller::put(count, found, "count") }
    })
}

/// Where the time of the call went.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_timing(
    answer: *const bevel_answer,
    timing: *mut bevel_timing,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?.timing;
        let found = bevel_timing {
            prepare_ms: found.prepare.as_secs_f64() * 1e3,
            run_ms: found.run.as_secs_f64() * 1e3,
            decode_ms: found.decode.as_secs_f64() * 1e3,
        };
        // SAFETY: the caller's promise.
        unsafe { caller::put(timing, found, "timing") }
    })
}

/// Everything that was answered for an input, as the JSON object of its task that the documentation
/// describes. See the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_json(
    answer: *const bevel_answer,
    item: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let json = serde_json::to_string(found.item(item)?)
            .map_err(|e| Failure::new(bevel_status::BEVEL_INTERNAL, e.to_string()))?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(&json) }
    })
}

/// The vector for an input, task embed. See the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_embedding(
    answer: *const bevel_answer,
    item: usize,
    buffer: *mut f32,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let vector = match found.item(item)? {
            #[cfg(any(feature = "text", feature = "vision"))]
            Answer::Embed(found) => found.embedding.as_slice(),
            _ => return Err(has_no("vector")),
        };
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill(vector) }
    })
}

/// The text for an input: what was said (transcribe), what follows (generate) or the answer (answer). See
/// the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_text(
    answer: *const bevel_answer,
    item: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let text: &str = match found.item(item)? {
            #[cfg(feature = "speech")]
            Answer::Transcribe(found) => &found.text,
            #[cfg(feature = "text")]
            Answer::Generate(found) => &found.text,
            #[cfg(feature = "text")]
            Answer::Answer(found) => &found.answer,
            _ => return Err(has_no("text")),
        };
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(text) }
    })
}

/// Tells what output `index` for an input is, task tensors; `*info` is made ready by BEVEL_INIT. Outputs
/// are in the order of their names.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, also for an index behind the last; BEVEL_UNSUPPORTED for a name or
/// a shape that the struct cannot hold.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_tensor(
    answer: *const bevel_answer,
    item: usize,
    index: usize,
    info: *mut bevel_tensor_info,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let (name, tensor) = found.tensor(item, index)?;
        // SAFETY: the caller's promise.
        unsafe { caller::answer(info, &bevel_tensor_info::of_answer(name, tensor)?) }
    })
}

/// The values of output `index` for an input, task tensors, in row-major order. `capacity` and `needed`
/// are bytes. See the rules of buffers.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_answer_tensor_data(
    answer: *const bevel_answer,
    item: usize,
    index: usize,
    buffer: *mut c_void,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let found = handles::find(answer)?;
        let (_, tensor) = found.tensor(item, index)?;
        let bytes = tensor.data.to_bytes();
        let values = buffer.cast::<u8>();
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(values, capacity, needed).fill(&bytes) }
    })
}
