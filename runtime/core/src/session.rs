//! One loaded graph.

mod binding;
mod placement;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ort::ErrorCode;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{
    HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue, SessionOutputs,
};
use ort::value::{TensorElementType, ValueType};

use crate::bundle::ModelFile;
use crate::cancel::Cancel;
use crate::device::{Device, Devices, Engines, Registration};
use crate::error::{Error, Result, internal, one_line};
use crate::library::{Pool, Runtime, said_full};
use crate::pipeline::Options;
use crate::recording;
use binding::{Bound, Memory};

pub use placement::{PlacedNode, Placement};

/// Name, element type and shape of a graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Element type as ONNX spells it, e.g. `float32`.
    pub dtype: &'static str,
    /// Size of each axis; `None` where it is dynamic.
    pub shape: Vec<Option<usize>>,
}

impl TensorInfo {
    /// The shape as `[N, 3, 416, 416]`, `?` for dynamic axes.
    pub fn shape_text(&self) -> String {
        let axes: Vec<_> = self
            .shape
            .iter()
            .map(|d| d.map_or("?".into(), |d| d.to_string()))
            .collect();
        format!("[{}]", axes.join(", "))
    }
}

/// A graph that is loaded and ready to run.
pub struct Session {
    inner: ort::session::Session,
    path: PathBuf,
    device: Device,
    refused: Option<String>,
    engines: Option<Engines>,
    /// Where tensors are copied to a GPU and back.
    bound: Option<Bound>,
    cancel: Cancel,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

/// How a graph is loaded, beyond its device.
#[derive(Debug, Clone, Default)]
struct Load {
    cancel: Cancel,
    /// Threads of its own; those of the runtime when not given.
    threads: Option<usize>,
    /// Whether ONNX Runtime keeps what each node runs on.
    placement: bool,
    /// Whether only inputs and outputs are asked for.
    outline: bool,
}

/// Some of the outputs of a graph.
pub(crate) struct Selected {
    options: RunOptions<HasSelectedOutputs>,
    names: Vec<String>,
}

impl Selected {
    /// The outputs of these names.
    pub(crate) fn new(names: Vec<String>) -> Result<Self> {
        let selector = OutputSelector::no_default();
        let selector = names
            .iter()
            .fold(selector, |selector, name| selector.with(name.as_str()));
        let options = RunOptions::new().map_err(internal)?.with_outputs(selector);
        Ok(Self { options, names })
    }
}

impl Session {
    /// Loads a graph (`.onnx` or `.ort`) on the first device of `options` that can be had.
    ///
    /// # Errors
    /// [`Error::Library`] without ONNX Runtime, [`Error::Device`] when none of the devices can be
    /// had, [`Error::ModelFile`] or [`Error::Model`] when the file is missing or not a graph.
    pub fn load(file: &ModelFile, options: &Options) -> Result<Self> {
        let how = Load {
            cancel: options.cancel.clone(),
            ..Load::default()
        };
        Self::load_with(file, &options.devices, &how)
    }

    /// Loads a graph that is so small that sharing its work between threads costs more than it
    /// gives: on the CPU, in the thread that runs it.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    #[cfg(feature = "speech")]
    pub(crate) fn load_small(file: &ModelFile, options: &Options) -> Result<Self> {
        let how = Load {
            cancel: options.cancel.clone(),
            threads: Some(1),
            ..Load::default()
        };
        Self::load_with(file, &Devices::default(), &how)
    }

    /// Loads a graph to see what its nodes run on.
    fn load_recorded(file: &ModelFile, options: &Options) -> Result<Self> {
        let how = Load {
            placement: true,
            ..Load::default()
        };
        Self::load_with(file, &options.devices, &how)
    }

    fn load_with(file: &ModelFile, devices: &Devices, how: &Load) -> Result<Self> {
        let runtime = Runtime::get()?;
        file.size_bytes()?;
        let mut refused: Option<Error> = None;
        for device in devices.iter() {
            let load = || {
                device.check()?;
                Self::load_on(runtime, file, device, how)
            };
            // Threads of a pool are made where the graph is loaded.
            match runtime.confined(load)? {
                Ok(mut session) => {
                    session.refused = refused.map(|e| e.to_string());
                    if let Some(why) = &session.refused {
                        tracing::warn!("{why}; {device} answers, as the list allows");
                    }
                    return Ok(session);
                }
                Err(e @ (Error::Device(_) | Error::Library(_))) => refused = refused.or(Some(e)),
                Err(e) => return Err(e),
            }
        }
        Err(refused.unwrap_or_else(|| Error::Device("no device was named".into())))
    }

    /// The inputs of a graph, which is loaded for nothing else.
    pub(crate) fn outline(runtime: &Runtime, file: &ModelFile) -> Result<Vec<TensorInfo>> {
        let how = Load {
            threads: Some(1),
            outline: true,
            ..Load::default()
        };
        let session = Self::load_on(runtime, file, &Device::cpu(), &how)?;
        Ok(session.inputs)
    }

    fn load_on(runtime: &Runtime, file: &ModelFile, device: &Device, how: &Load) -> Result<Self> {
        let path = file.path();
        let refused = |e: ort::Error| {
            let what = one_line(&e.to_string());
            Error::Device(format!("device {device}: {what}"))
        };
        let inputs = || Self::outline(runtime, file);
        let registration = Registration::new(runtime, device, file, inputs)?;
        let commit = || {
            let mut builder =
                builder(runtime, &registration, file, how, device).map_err(refused)?;
            Ok(match file.in_memory() {
                Some(bytes) => builder.commit_from_memory(bytes),
                None => builder.commit_from_file(path),
            })
        };
        let full = |e: &ort::Error| match Memory::of(device) {
            None => runtime.out_of_memory(&one_line(&e.to_string())),
            // What is full is the device: another one of the list may do.
            Some(_) => None,
        };
        let mut inner = commit()?;
        if inner.as_ref().is_err_and(|e| full(e).is_some()) {
            runtime.make_room()?;
            inner = commit()?;
        }
        let inner = inner.map_err(|e| {
            if let Some(full) = full(&e) {
                return full;
            }
            let what = one_line(&e.to_string());
            if device.is_cpu() || of_graph(e.code()) {
                return Error::model(path, format!("not a graph ONNX Runtime can load: {what}"));
            }
            let path = path.display();
            Error::Device(format!(
                "device {device}: {path} cannot be loaded on it: {what}"
            ))
        })?;
        runtime.check_memory(&inner)?;
        if !device.is_cpu() {
            placement::takes_part(&inner, device, path)?;
        }
        let inputs = inner
            .inputs()
            .iter()
            .map(|o| tensor_info(o.name(), o.dtype()))
            .collect();
        let outputs = inner
            .outputs()
            .iter()
            .map(|o| tensor_info(o.name(), o.dtype()))
            .collect();
        let memory = Memory::of(device);
        let bound = memory.map(|memory| Bound::new(&inner, memory));
        Ok(Self {
            bound: bound.transpose().map_err(refused)?,
            inner,
            path: path.to_path_buf(),
            device: device.clone(),
            refused: None,
            engines: registration.engines().cloned(),
            cancel: how.cancel.clone(),
            inputs,
            outputs,
        })
    }

    /// The file it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Why it does not run on the device that was listed first, where it does not.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Where TensorRT keeps its engines of the graph, where it runs on it and keeps them.
    pub fn engines(&self) -> Option<&Engines> {
        self.engines.as_ref()
    }

    /// Leaves an output on the device: its values are only given to runs of this or another session. Nothing changes on
    /// the CPU.
    pub(crate) fn keep_on_device(&mut self, output: &str) {
        if let Some(bound) = &mut self.bound {
            bound.keep(output);
        }
    }

    /// Inputs in graph order.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// Outputs in graph order.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// Whether the graph has an input of this name.
    pub fn has_input(&self, name: &str) -> bool {
        self.inputs.iter().any(|i| i.name == name)
    }

    /// The last axis of an output, where the graph says it.
    pub(crate) fn width(&self, output: &str) -> Option<usize> {
        let found = self.outputs.iter().find(|o| o.name == output);
        found.and_then(|o| o.shape.last().copied().flatten())
    }

    /// Sees that the graph has inputs and outputs of these names, as part of a model `of` some kind.
    ///
    /// # Errors
    /// [`Error::Model`] with the first that is missing.
    pub(crate) fn require(&self, of: &str, inputs: &[&str], outputs: &[&str]) -> Result<()> {
        let has_output = |name: &str| self.outputs.iter().any(|o| o.name == name);
        let missing = inputs.iter().find(|name| !self.has_input(name));
        match missing.or_else(|| outputs.iter().find(|name| !has_output(name))) {
            Some(name) => {
                let what = format!("has no `{name}`, so it is no part of a {of} model");
                Err(Error::model(&self.path, what))
            }
            None => Ok(()),
        }
    }

    /// Runs the graph on named values. Outputs stay in ONNX Runtime's memory.
    pub(crate) fn run<'s>(&'s mut self, inputs: Inputs<'_, '_>) -> Result<SessionOutputs<'s>> {
        self.run_for(inputs, None)
    }

    /// Runs the graph for some of its outputs only.
    pub(crate) fn run_selected<'s>(
        &'s mut self,
        inputs: Inputs<'_, '_>,
        selected: &'s Selected,
    ) -> Result<SessionOutputs<'s>> {
        self.run_for(inputs, Some(selected))
    }

    fn run_for<'s>(
        &'s mut self,
        inputs: Inputs<'_, '_>,
        selected: Option<&'s Selected>,
    ) -> Result<SessionOutputs<'s>> {
        recording::note(&self.path, &inputs)?;
        self.cancel.check()?;
        let runtime = Runtime::get()?;
        if !runtime.is_capped() || self.bound.is_some() {
            return self.attempt(inputs, selected);
        }
        let views = inputs
            .iter()
            .map(|(name, value)| (*name, (&**value).into()));
        let views = views.collect();
        let session: *mut Self = self;
        // SAFETY: made of the exclusive reference above, which is not used any more. What is answered borrows
        // from it for as long as that lives; where that is an error nothing does, which the borrow checker does
        // not see.
        #[allow(unsafe_code)]
        match unsafe { &mut *session }.attempt(views, selected) {
            Err(Error::Memory(_)) => {
                runtime.make_room()?;
                // SAFETY: as above, and the first attempt is over.
                unsafe { &mut *session }.attempt(inputs, selected)
            }
            answered => answered,
        }
    }

    fn attempt<'s>(
        &'s mut self,
        inputs: Inputs<'_, '_>,
        selected: Option<&'s Selected>,
    ) -> Result<SessionOutputs<'s>> {
        let (path, cancel) = (&self.path, &self.cancel);
        let outputs = match (&mut self.bound, selected) {
            (Some(bound), None) => {
                let all = self.outputs.iter().map(|o| o.name.as_str());
                bound.run(&mut self.inner, &inputs, all, cancel.options()?)
            }
            (Some(bound), Some(selected)) => {
                let names = selected.names.iter().map(String::as_str);
                bound.run(&mut self.inner, &inputs, names, cancel.options()?)
            }
            (None, None) => self.inner.run_with_options(inputs, cancel.options()?),
            // One step of a decoder is short: it is not stopped halfway.
            (None, Some(selected)) => self.inner.run_with_options(inputs, &selected.options),
        };
        outputs.map_err(|e| run_error(path, &e, cancel, &self.device))
    }
}

/// Of the graphs of a model the one that tells where it answers: one that another device had to stand in for,
/// else the first.
pub(crate) fn answering<'s>(
    sessions: impl IntoIterator<Item = &'s Session>,
) -> Option<&'s Session> {
    let mut sessions = sessions.into_iter();
    let first = sessions.next()?;
    let standing_in = |session: &&Session| session.refused.is_some();
    Some(first)
        .filter(standing_in)
        .or_else(|| sessions.find(standing_in))
        .or(Some(first))
}

/// Values by the names of the inputs that they are for.
type Inputs<'n, 'v> = Vec<(&'n str, SessionInputValue<'v>)>;

/// Whether a graph that could not be loaded is to blame itself, whatever it should run on.
fn of_graph(code: ErrorCode) -> bool {
    use ErrorCode::{InvalidGraph, InvalidProtobuf, NoModel, NoSuchFile};
    matches!(code, NoSuchFile | NoModel | InvalidProtobuf | InvalidGraph)
}

fn run_error(path: &Path, error: &ort::Error, cancel: &Cancel, device: &Device) -> Error {
    let what = one_line(&error.to_string());
    if let Err(cancelled) = cancel.check() {
        return cancelled;
    }
    let memory = match Memory::of(device) {
        None => Runtime::get().ok().and_then(|r| r.out_of_memory(&what)),
        Some(_) => device_is_full(device, &what),
    };
    memory.unwrap_or_else(|| Error::Run {
        graph: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        what,
    })
}

/// What is said of an arena of a device that may not grow any more.
fn device_is_full(device: &Device, what: &str) -> Option<Error> {
    let at = said_full(what)?;
    Some(Error::Memory(format!(
        "device {device}: {}; take a smaller variant or input, or raise its `memory=`, and the memory cap \
         where there is one",
        &what[at..]
    )))
}

/// The whole builder chain stays in one function: its error type cannot cross threads.
fn builder(
    runtime: &Runtime,
    registration: &Registration,
    file: &ModelFile,
    how: &Load,
    device: &Device,
) -> ort::Result<SessionBuilder> {
    let threads = how.threads;
    let level = match how.outline {
        true => GraphOptimizationLevel::Disable,
        false => GraphOptimizationLevel::All,
    };
    let mut builder = ort::session::Session::builder(&runtime.environment)?
        .with_optimization_level(level)?
        .with_intra_op_spinning(runtime.options.pool == Pool::PerGraph)?
        .with_inter_op_spinning(false)?
        // A pattern is kept per shape, and shapes vary with every text and recording.
        .with_memory_pattern(false)?;
    if threads.is_some() && runtime.options.pool == Pool::Shared {
        builder = builder.with_independent_thread_pool()?;
    }
    if threads.is_some() || runtime.options.pool == Pool::PerGraph {
        builder = builder
            .with_intra_threads(threads.unwrap_or(runtime.threads()))?
            .with_config_entry("session.force_spinning_stop", "1")?;
    }
    if runtime.is_capped() {
        builder = builder.with_env_allocators()?;
    }
    for (name, bytes) in file.weights() {
        builder = builder.with_external_initializer_file_in_memory(name, bytes)?;
    }
    if file.path().extension().is_some_and(|e| e == "ort") && file.in_memory().is_none() {
        // Weights stay in the mapped file instead of being read and then copied.
        builder = builder
            .with_config_entry("session.use_memory_mapped_ort_model", "1")?
            .with_config_entry("session.use_ort_model_bytes_for_initializers", "1")?;
    }
    if crate::cpu::int8_saturates() {
        builder = builder.with_precise_qmm()?;
    }
    if how.placement || !device.is_cpu() {
        builder = builder.with_config_entry("session.record_ep_graph_assignment_info", "1")?;
    }
    registration.apply(runtime, builder)
}

fn tensor_info(name: &str, value: &ValueType) -> TensorInfo {
    let (dtype, shape) = match value {
        ValueType::Tensor { ty, shape, .. } => (
            dtype_name(*ty),
            shape.iter().map(|&d| usize::try_from(d).ok()).collect(),
        ),
        ValueType::Sequence(_) => ("sequence", Vec::new()),
        ValueType::Map { .. } => ("map", Vec::new()),
        ValueType::Optional(_) => ("optional", Vec::new()),
        #[allow(unreachable_patterns)]
        _ => ("unknown", Vec::new()),
    };
    TensorInfo {
        name: name.to_string(),
        dtype,
        shape,
    }
}

fn dtype_name(ty: TensorElementType) -> &'static str {
    match ty {
        TensorElementType::Float32 => "float32",
        TensorElementType::Float64 => "float64",
        TensorElementType::Float16 => "float16",
        TensorElementType::Bfloat16 => "bfloat16",
        TensorElementType::Int8 => "int8",
        TensorElementType::Int16 => "int16",
        TensorElementType::Int32 => "int32",
        TensorElementType::Int64 => "int64",
        TensorElementType::Uint8 => "uint8",
        TensorElementType::Uint16 => "uint16",
        TensorElementType::Uint32 => "uint32",
        TensorElementType::Uint64 => "uint64",
        TensorElementType::Bool => "bool",
        TensorElementType::String => "string",
        _ => "other",
    }
}
