//! Models.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bevel::{AnyPipeline, Bundle, Cancel, Manifest, TaskName, TensorInfo};
use bevel_manifest::Input;
use serde_json::{Value, json};

use crate::answer::{Answers, bevel_answer};
use crate::caller::{self, Buffer, Growing};
use crate::guard::guard;
use crate::input::{self, bevel_input, bevel_input_kind};
use crate::options::bevel_model_options;
use crate::status::{Failure, Result, bevel_status};
use crate::tensor::bevel_tensor_info;
use crate::{handles, start};

/// A model that is open.
pub struct bevel_model {
    _private: [u8; 0],
}

/// What a model answers.
#[repr(i32)]
pub enum bevel_task {
    /// Text or picture to a vector.
    BEVEL_EMBED = 1,
    /// Text or picture to labels.
    BEVEL_CLASSIFY = 2,
    /// Text to labelled entities.
    BEVEL_TAG = 3,
    /// Question and text to the part of the text that answers.
    BEVEL_ANSWER = 4,
    /// Masked text to candidates; not served yet.
    BEVEL_FILL = 5,
    /// Text to the text that follows.
    BEVEL_GENERATE = 6,
    /// Picture to labelled boxes.
    BEVEL_DETECT = 7,
    /// Picture to masks: of each thing, or of each class.
    BEVEL_SEGMENT = 8,
    /// Picture to boxes with keypoints.
    BEVEL_POSE = 9,
    /// Picture to boxes of any direction.
    BEVEL_OBB = 10,
    /// Speech to text.
    BEVEL_TRANSCRIBE = 11,
    /// Any graph: tensors to tensors.
    BEVEL_TENSORS = 12,
}

/// What a model takes and answers. Numbers that do not apply, or that the model leaves open, are 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_model_info {
    /// Set by BEVEL_INIT.
    pub struct_size: usize,
    /// What it answers, see bevel_task.
    pub task: i32,
    /// What it takes: for each bevel_input_kind K, bit K (1 << K) is set where K is taken.
    pub input_kinds: u32,
    /// How many labels it has; their names are told by bevel_model_label.
    pub label_count: u32,
    /// How many values a vector has.
    pub embedding_size: u32,
    /// Rate of sound that is not resampled.
    pub sample_rate_hz: u32,
    /// Width to which pictures are brought.
    pub image_width: u32,
    /// Height to which pictures are brought.
    pub image_height: u32,
    /// Longest text in tokens.
    pub max_tokens: u32,
    /// How many inputs its graph has, where it is a single one.
    pub tensor_inputs: u32,
    /// How many outputs.
    pub tensor_outputs: u32,
}

// SAFETY: as it asks for; numbers, and the size first.
unsafe impl Growing for bevel_model_info {
    const FIRST_SIZE: usize = offset_of!(Self, tensor_outputs) + size_of::<u32>();
    const NAME: &'static str = "bevel_model_info";
}

/// What a handle stands for.
pub(crate) struct Model {
    /// Whoever runs it has it alone. Poisoned by a panic: half of a state answers wrong things.
    pipeline: Mutex<Box<dyn AnyPipeline>>,
    calls: Mutex<Calls>,
    cancel: Cancel,
    manifest: Manifest,
    variant: String,
    labels: Vec<String>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    device: String,
    refused: Option<String>,
}

/// Who was cancelled.
#[derive(Default)]
struct Calls {
    /// How often it was cancelled.
    cancels: u64,
    running: bool,
    closed: bool,
}

impl Model {
    fn open(bundle: &Bundle, options: &bevel::Options) -> Result<Self> {
        start::start(None)?;
        let manifest = bundle.manifest().clone();
        let pipeline = bevel::open(bundle, options)?;
        let tensors = |of: fn(&bevel::Session) -> &[TensorInfo]| {
            pipeline
                .session()
                .map_or(Vec::new(), |session| of(session).to_vec())
        };
        let labels = manifest.decode.labels().map(|file| bundle.labels(file));
        Ok(Self {
            inputs: tensors(bevel::Session::inputs),
            outputs: tensors(bevel::Session::outputs),
            device: pipeline.device().to_string(),
            refused: pipeline.refused().map(str::to_owned),
            pipeline: Mutex::new(pipeline),
            calls: Mutex::default(),
            cancel: options.cancel.clone(),
            variant: options.variant.clone().unwrap_or(manifest.variant.clone()),
            labels: labels.transpose()?.unwrap_or_default(),
            manifest,
        })
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        // Numbers and flags are whole at any time.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the call that runs and those that wait for it, and none that comes later.
    fn cancel(&self, close: bool) {
        let mut calls = self.calls();
        calls.cancels += 1;
        calls.closed |= close;
        if calls.running {
            self.cancel.cancel();
        }
    }

    fn run(&self, items: &[input::Item<'_>], cancels: u64) -> Result<Answers> {
        let samples: Vec<_> = items
            .iter()
            .map(input::Item::sample)
            .collect::<Result<_>>()?;
        let mut pipeline = self.pipeline.lock().map_err(|_| {
            let what = "an earlier call on this model has panicked; close it and open it again";
            Failure::new(bevel_status::BEVEL_INTERNAL, what)
        })?;
        let mut calls = self.calls();
        if calls.closed || calls.cancels != cancels {
            return Err(bevel::Error::Cancelled.into());
        }
        calls.running = true;
        drop(calls);
        /// Also where the run panics.
        struct Over<'m>(&'m Model);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                let mut calls = self.0.calls();
                calls.running = false;
                self.0.cancel.reset();
            }
        }
        let over = Over(self);
        let answers = pipeline.run(&samples);
        drop(over);
        Ok(Answers::new(answers?, pipeline.timing()))
    }

    fn info(&self) -> bevel_model_info {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let input = &self.manifest.input;
        let image = input.image();
        let [width, height] = image.map_or([0; 2], |image| [image.width, image.height]);
        let rate = match input {
            Input::Audio(audio) => audio.sample_rate_hz,
            _ => 0,
        };
        bevel_model_info {
            struct_size: 0,
            task: task(self.manifest.task),
            input_kinds: kinds(self.manifest.task, input),
            label_count: number(self.labels.len()),
            embedding_size: number(self.embedding_size()),
            sample_rate_hz: rate,
            image_width: width,
            image_height: height,
            max_tokens: number(input.text().map_or(0, |text| text.max_tokens)),
            tensor_inputs: number(self.inputs.len()),
            tensor_outputs: number(self.outputs.len()),
        }
    }

    /// The last axis of the output that vectors come from.
    fn embedding_size(&self) -> usize {
        let vectors = |output: &&TensorInfo| output.name == "last_hidden_state";
        let output = self.outputs.iter().find(vectors).or(self.outputs.first());
        let output = output.filter(|_| self.manifest.task == TaskName::Embed);
        output.and_then(|o| *o.shape.last()?).unwrap_or(0)
    }

    fn json(&self) -> Value {
        let tensors = |tensors: &[TensorInfo]| -> Value {
            let one = |t: &TensorInfo| json!({"name": t.name, "dtype": t.dtype, "shape": t.shape});
            tensors.iter().map(one).collect()
        };
        let manifest = &self.manifest;
        let variants = manifest
            .variants
            .iter()
            .map(|variant| variant.name.as_str());
        json!({
            "name": manifest.name,
            "task": manifest.task,
            "family": manifest.family,
            "variant": self.variant,
            "variants": variants.collect::<Vec<_>>(),
            "input": manifest.input,
            "decode": manifest.decode,
            "provenance": manifest.provenance,
            "labels": self.labels,
            "inputs": tensors(&self.inputs),
            "outputs": tensors(&self.outputs),
            "device": self.device,
            "refused": self.refused,
        })
    }
}

fn task(task: TaskName) -> i32 {
    use bevel_task::*;

    match task {
        TaskName::Embed => BEVEL_EMBED as i32,
        TaskName::Classify => BEVEL_CLASSIFY as i32,
        TaskName::Tag => BEVEL_TAG as i32,
        TaskName::Answer => BEVEL_ANSWER as i32,
        TaskName::Fill => BEVEL_FILL as i32,
        TaskName::Generate => BEVEL_GENERATE as i32,
        TaskName::Detect => BEVEL_DETECT as i32,
        TaskName::Segment => BEVEL_SEGMENT as i32,
        TaskName::Pose => BEVEL_POSE as i32,
        TaskName::Obb => BEVEL_OBB as i32,
        TaskName::Transcribe => BEVEL_TRANSCRIBE as i32,
        TaskName::Tensors => BEVEL_TENSORS as i32,
        // A task that this interface has no number for yet.
        _ => 0,
    }
}

/// A bit for each kind that is taken.
fn kinds(task: TaskName, input: &Input) -> u32 {
    use bevel_input_kind::*;

    let files = 1 << BEVEL_INPUT_FILE as u32 | 1 << BEVEL_INPUT_BYTES as u32;
    match input {
        Input::Text(_) if task == TaskName::Answer => 1 << BEVEL_INPUT_QUESTION as u32,
        Input::Text(_) | Input::Words(_) => 1 << BEVEL_INPUT_TEXT as u32,
        Input::Image(_) => files | 1 << BEVEL_INPUT_PIXELS as u32,
        Input::TextImage(_) => {
            files | 1 << BEVEL_INPUT_PIXELS as u32 | 1 << BEVEL_INPUT_TEXT as u32
        }
        Input::Audio(_) => files | 1 << BEVEL_INPUT_SOUND as u32,
        Input::Tensors => files | 1 << BEVEL_INPUT_TENSORS as u32,
        _ => 0,
    }
}

/// The bundle at a path, or the plain model that a recipe describes.
///
/// # Safety
/// `path` and what `options` point to are texts with a zero at their end.
pub(crate) unsafe fn bundle(path: *const c_char, options: &bevel_model_options) -> Result<Bundle> {
    // SAFETY: the caller's promise.
    let path = unsafe { caller::path(path, "path") }?;
    if options.recipe.is_null() {
        return Ok(Bundle::load(path)?);
    }
    // SAFETY: the caller's promise.
    let recipe = unsafe { caller::path(options.recipe, "recipe") }?;
    Ok(Bundle::load_with_recipe(path, recipe)?)
}

/// A packed bundle in memory.
///
/// # Safety
/// `size` bytes are behind `data`.
pub(crate) unsafe fn packed(
    data: *const c_void,
    size: usize,
    options: &bevel_model_options,
) -> Result<Bundle> {
    if !options.recipe.is_null() {
        let what = "a recipe is for a model on disk; pack a bundle instead";
        return Err(Failure::input(what));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { caller::values(data.cast::<u8>(), size, "bytes of the bundle") }?;
    Ok(Bundle::from_bytes(bytes)?)
}

/// Opens a model: a bundle directory, the same packed into one file by tar, or with a recipe a plain
/// model. `options` may be null. `*model` is null where it fails.
///
/// Owned by the caller: close it with bevel_model_close. Thread-safe; starts ONNX Runtime with defaults
/// where bevel_start was not called, and then its note about setenv holds here. Errors: BEVEL_BAD_MODEL
/// when the model is missing or cannot be used, BEVEL_NO_DEVICE without ONNX Runtime or the device,
/// BEVEL_NO_MEMORY beyond the memory cap, BEVEL_UNSUPPORTED for a task or option that is not served,
/// BEVEL_BAD_INPUT for options out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_model_open(
    path: *const c_char,
    options: *const bevel_model_options,
    model: *mut *mut bevel_model,
) -> bevel_status {
    guard(|| {
        let open = || {
            // SAFETY: the caller's promise.
            unsafe {
                let chosen = caller::options_or_default(options)?;
                let bundle = bundle(path, &chosen)?;
                Model::open(&bundle, &chosen.options()?)
            }
        };
        // SAFETY: the same.
        unsafe { handles::open_at(model, open) }
    })
}

/// The same for a bundle packed by tar, without compression, that is in memory. What is needed is copied:
/// `data` may go when this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_model_open_memory(
    data: *const c_void,
    size_bytes: usize,
    options: *const bevel_model_options,
    model: *mut *mut bevel_model,
) -> bevel_status {
    guard(|| {
        let open = || {
            // SAFETY: the caller's promise.
            unsafe {
                let chosen = caller::options_or_default(options)?;
                let bundle = packed(data, size_bytes, &chosen)?;
                Model::open(&bundle, &chosen.options()?)
            }
        };
        // SAFETY: the same.
        unsafe { handles::open_at(model, open) }
    })
}

/// Closes a model. Calls that run on it or wait for it in other threads end with BEVEL_CANCELLED, and its
/// memory is free when the last of them has; under a memory cap it is free for other models and given back to
/// the system when they need another piece. Answers that it gave stay. Null is nothing to close.
///
/// Thread-safe. Errors: BEVEL_BAD_INPUT for what is no open model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_model_close(model: *mut bevel_model) -> bevel_status {
    guard(|| {
        if !model.is_null() {
            handles::close(model)?.cancel(true);
        }
        Ok(())
    })
}

/// Tells what a model takes and answers.
///
/// Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_model_get_info(
    model: *const bevel_model,
    info: *mut bevel_model_info,
) -> bevel_status {
    guard(|| {
        let found = handles::find(model)?.info();
        // SAFETY: the caller's promise.
        unsafe { caller::answer(info, &found) }
    })
}

/// Everything that a model says of itself, as a JSON object: its name, task, family, variants, licence,
/// how inputs are prepared and answers made, its labels, inputs and outputs of its graph, the device that
/// answers, and why not the one that was listed first, "refused". See the rules of buffers.
///
/// Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_model_json(
    model: *const bevel_model,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let json = handles::find(model)?.json().to_string();
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(&json) }
    })
}

/// The name of label `index`. See the rules of buffers.
///
/// Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_model_label(
    model: *const bevel_model,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> bevel_status {
    guard(|| {
        let model = handles::find(model)?;
        let label = model.labels.get(index).ok_or_else(|| {
            Failure::input(format!(
                "no label {index}, there are {}",
                model.labels.len()
            ))
        })?;
        // SAFETY: the caller's promise.
        unsafe { Buffer::new(buffer, capacity, needed).fill_text(label) }
    })
}

/// Tells what input `index` of a model's graph is; its output `index` where `output` is 1.
///
/// Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT, BEVEL_UNSUPPORTED for a name or
/// a shape that the struct cannot hold.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_model_tensor(
    model: *const bevel_model,
    output: i32,
    index: usize,
    info: *mut bevel_tensor_info,
) -> bevel_status {
    guard(|| {
        let model = handles::find(model)?;
        let tensors = match crate::options::flag(output, "output")? {
            true => &model.outputs,
            false => &model.inputs,
        };
        let tensor = tensors.get(index).ok_or_else(|| {
            Failure::input(format!("no tensor {index}, there are {}", tensors.len()))
        })?;
        // SAFETY: the caller's promise.
        unsafe { caller::answer(info, &bevel_tensor_info::of_graph(tensor)?) }
    })
}

/// Asks a model `count` things at once, at most 65536, and answers all of them, in order; for text that is
/// faster than one at a time. Where one of them fails, all do. `*answer` is null then.
///
/// The answer is owned by the caller: close it with bevel_answer_close. Thread-safe: a model serves one
/// call at a time, others wait; different models run at once. Errors: BEVEL_BAD_INPUT for an input of
/// another kind or that cannot be used, BEVEL_BAD_MODEL when ONNX Runtime fails on it, BEVEL_NO_MEMORY
/// beyond the memory cap, BEVEL_CANCELLED when bevel_cancel was called meanwhile or the model closed,
/// BEVEL_INTERNAL for a defect: where that was a panic, the model answers no more and is to be closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_run(
    model: *mut bevel_model,
    inputs: *const bevel_input,
    count: usize,
    answer: *mut *mut bevel_answer,
) -> bevel_status {
    guard(|| {
        let run = || {
            let model = handles::find(model)?;
            let cancels = model.calls().cancels;
            // SAFETY: the caller's promise; what inputs point to is there until this returns.
            let items = unsafe { input::items(inputs, count, &model.manifest.input) }?;
            model.run(&items, cancels)
        };
        // SAFETY: the caller's promise.
        unsafe { handles::open_at(answer, run) }
    })
}

/// Stops the call that runs on a model, and those that wait for it: they end with BEVEL_CANCELLED, soon
/// but not at once, for an operator of the graph is run to its end. Calls that begin after this returns are
/// served as ever. Nothing happens where no call is under way.
///
/// Thread-safe, and waits for nothing; not to be called from a signal handler. Errors: BEVEL_BAD_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bevel_cancel(model: *mut bevel_model) -> bevel_status {
    guard(|| {
        handles::find(model)?.cancel(false);
        Ok(())
    })
}
