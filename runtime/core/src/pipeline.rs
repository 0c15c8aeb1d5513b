//! Tasks and the pipeline that runs them.
//!
//! A [`Task`] is pure: it writes input tensors and reads output tensors. A [`Pipeline`] owns the
//! task, the session and the tensors, which are reused from run to run.

use std::time::{Duration, Instant};

use bevel_manifest::Task as TaskName;
use ndarray::ArrayViewD;
use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{PrimitiveTensorElementType, TensorRef};

use crate::bundle::Bundle;
use crate::device::Devices;
use crate::error::{Error, Result};
use crate::library::Runtime;
use crate::registry::{Answer, Sample};
use crate::session::Session;

/// What a caller may choose when a model is opened. What is not given is the model's own.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Where it runs; the CPU when not given.
    pub devices: Devices,
    /// Whether [`open`](crate::open) answers on the CPU while the devices before it are made ready; the CPU has
    /// to be listed last.
    pub warm: bool,
    /// What stops the model from another thread.
    pub cancel: crate::Cancel,
    /// Which precision of the bundle runs.
    pub variant: Option<String>,
    /// Detections below this score are dropped, in 0 ..= 1.
    pub min_score: Option<f32>,
    /// IoU above which the weaker of two boxes of a class is dropped, in 0 ..= 1.
    pub iou: Option<f32>,
    /// How many boxes are answered per picture.
    pub max_boxes: Option<usize>,
    /// How many labels are answered.
    pub top_k: Option<usize>,
    /// Longest text in tokens, or where longer ones are read in windows, the longest window; at most
    /// what the model allows. Where text is generated, the tokens behind the prompt.
    pub max_tokens: Option<usize>,
    /// Language to hear, as the model calls it: ISO 639-1, such as `en`.
    pub language: Option<String>,
    /// What only speech knows.
    #[cfg(feature = "speech")]
    pub speech: crate::speech::SpeechOptions,
}

/// Preparation and decoding of one task, without a session.
pub trait Task: Sized + Send {
    /// One item as the caller has it.
    type Item<'a>: Copy;
    /// What comes back for it.
    type Answer;
    /// Buffers kept from run to run.
    type Scratch: Default + Send;

    /// The name in manifests and JSON.
    const NAME: TaskName;

    /// The item in a sample of any task; `None` when the sample is of another kind.
    fn item<'a>(sample: Sample<'a>) -> Option<Self::Item<'a>>;

    /// The answer as one of any task.
    fn wrap(answer: Self::Answer) -> Answer;

    /// Reads what the task needs from the bundle. Runs while the graph is loaded.
    ///
    /// # Errors
    /// [`Error::Model`] when a file of the bundle is wrong, [`Error::Input`] for options out of
    /// range.
    fn load(bundle: &Bundle, options: &Options) -> Result<Self>;

    /// Checks what was read against the graph, and learns the names of its inputs.
    ///
    /// # Errors
    /// [`Error::Model`] when they do not fit.
    fn fit(&mut self, session: &Session) -> Result<()>;

    /// The most items that go through the graph at once.
    fn max_batch(&self) -> usize {
        1
    }

    /// A size by which items of one batch should be alike; batches are filled in its order.
    fn length(&self, _item: Self::Item<'_>) -> usize {
        0
    }

    /// Writes the input tensors for a batch.
    ///
    /// # Errors
    /// [`Error::Input`] for items that cannot be used.
    fn preprocess(
        &self,
        items: &[Self::Item<'_>],
        scratch: &mut Self::Scratch,
        slots: &mut Slots,
    ) -> Result<()>;

    /// For items that may be too long for one run of the graph: takes from its outputs what the answer
    /// needs, and writes the input tensors of the next run. `false` where nothing is left to run.
    ///
    /// # Errors
    /// As [`postprocess`](Self::postprocess).
    fn proceed(
        &self,
        _scratch: &mut Self::Scratch,
        _slots: &mut Slots,
        _outputs: &Outputs<'_>,
    ) -> Result<bool> {
        Ok(false)
    }

    /// Reads the output tensors of that batch, of its last run: one answer per item, in order.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when outputs have names or shapes the task does not know.
    fn postprocess(
        &self,
        items: &[Self::Item<'_>],
        scratch: &mut Self::Scratch,
        slots: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Self::Answer>>;
}

/// A task with its session and reused tensors. One pipeline serves one thread.
///
/// ```no_run
/// use bevel::{Embed, Options, Pipeline};
///
/// let mut embed = Pipeline::<Embed>::open("minilm.bevel".as_ref(), &Options::default())?;
/// let vectors = embed.run(&["Good morning", "Guten Morgen"])?;
/// assert_eq!(vectors[0].embedding.len(), 384);
/// # Ok::<(), bevel::Error>(())
/// ```
pub struct Pipeline<T: Task> {
    task: T,
    session: Session,
    scratch: T::Scratch,
    slots: Slots,
    timing: Timing,
}

/// Time spent in the stages of the last `run`, all its batches added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the caller's data to input tensors.
    pub prepare: Duration,
    /// Inside ONNX Runtime.
    pub run: Duration,
    /// From output tensors to the answer.
    pub decode: Duration,
}

impl std::ops::AddAssign for Timing {
    fn add_assign(&mut self, other: Self) {
        self.prepare += other.prepare;
        self.run += other.run;
        self.decode += other.decode;
    }
}

impl<T: Task> Pipeline<T> {
    /// Opens a bundle directory.
    ///
    /// # Errors
    /// Those of [`Bundle::load`], [`Session::load`] and the task.
    pub fn open(path: &std::path::Path, options: &Options) -> Result<Self> {
        Self::load(&Bundle::load(path)?, options)
    }

    /// Opens a bundle that is at hand.
    ///
    /// # Errors
    /// Those of [`Session::load`] and the task; [`Error::Model`] for a bundle of another task.
    pub fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        Self::load_graph(bundle, options, "model")
    }

    /// Opens the graph of one role, for models that answer for several kinds of input.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_graph(bundle: &Bundle, options: &Options, role: &str) -> Result<Self> {
        let task = bundle.manifest().task;
        if task != T::NAME {
            return Err(Error::model(
                bundle.root(),
                format!("a model for `{task}`, asked to `{}`", T::NAME),
            ));
        }
        let graph = bundle.graph(options.variant.as_deref(), role)?;
        // Started here, so that the environment is set while no thread of ours runs.
        Runtime::get()?;
        let (task, session) = std::thread::scope(|scope| {
            let task = scope.spawn(|| T::load(bundle, options));
            let session = Session::load(graph, options);
            (task.join(), session)
        });
        let mut task =
            task.map_err(|_| Error::Internal("reading the bundle panicked".into()))??;
        let session = session?;
        task.fit(&session)?;
        Ok(Self {
            task,
            session,
            scratch: T::Scratch::default(),
            slots: Slots::default(),
            timing: Timing::default(),
        })
    }

    /// Answers every item, in order. Items are batched by length; tensors are reused.
    ///
    /// # Errors
    /// [`Error::Input`] for an item that cannot be used, [`Error::Run`] when ONNX Runtime fails.
    pub fn run(&mut self, items: &[T::Item<'_>]) -> Result<Vec<T::Answer>> {
        self.timing = Timing::default();
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let max_batch = self.task.max_batch().max(1);
        if items.len() <= max_batch {
            return self.run_batch(items);
        }
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_cached_key(|&i| self.task.length(items[i]));
        let mut answers: Vec<Option<T::Answer>> = items.iter().map(|_| None).collect();
        let mut batch = Vec::with_capacity(max_batch);
        for indices in order.chunks(max_batch) {
            batch.clear();
            batch.extend(indices.iter().map(|&i| items[i]));
            for (&i, answer) in indices.iter().zip(self.run_batch(&batch)?) {
                answers[i] = Some(answer);
            }
        }
        answers
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| Error::Internal("a batch came back short".into()))
    }

    fn run_batch(&mut self, items: &[T::Item<'_>]) -> Result<Vec<T::Answer>> {
        let start = Instant::now();
        self.task
            .preprocess(items, &mut self.scratch, &mut self.slots)?;
        self.timing.prepare += start.elapsed();
        loop {
            let start = Instant::now();
            let outputs = Outputs {
                values: self.session.run(self.slots.values()?)?,
            };
            let ran = Instant::now();
            self.timing.run += ran - start;
            let (task, scratch) = (&self.task, &mut self.scratch);
            let answers = match task.proceed(scratch, &mut self.slots, &outputs)? {
                true => None,
                false => Some(task.postprocess(items, scratch, &self.slots, &outputs)?),
            };
            self.timing.decode += ran.elapsed();
            if let Some(answers) = answers {
                return Ok(answers);
            }
        }
    }

    /// Only the first stage: writes the input tensors, for callers that measure or inspect them.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn prepare(&mut self, items: &[T::Item<'_>]) -> Result<&Slots> {
        self.task
            .preprocess(items, &mut self.scratch, &mut self.slots)?;
        Ok(&self.slots)
    }

    /// Where the time of the last [`run`](Self::run) went.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

/// Input tensors, reused from run to run: after the first run of the largest size nothing is
/// allocated.
#[derive(Debug, Default)]
pub struct Slots {
    f32: Vec<Slot<f32>>,
    i64: Vec<Slot<i64>>,
}

#[derive(Debug)]
struct Slot<T> {
    name: String,
    shape: Vec<usize>,
    data: Vec<T>,
}

impl Slots {
    /// The f32 tensor `name`, made `shape` large; its old content stays where it overlaps.
    pub fn f32(&mut self, name: &str, shape: &[usize]) -> &mut [f32] {
        Slot::make(&mut self.f32, name, shape)
    }

    /// The i64 tensor `name`, made `shape` large; its old content stays where it overlaps.
    pub fn i64(&mut self, name: &str, shape: &[usize]) -> &mut [i64] {
        Slot::make(&mut self.i64, name, shape)
    }

    /// What the f32 tensor `name` holds, if it was written.
    pub fn view_f32(&self, name: &str) -> Option<&[f32]> {
        Slot::find(&self.f32, name)
    }

    /// What the i64 tensor `name` holds, if it was written.
    pub fn view_i64(&self, name: &str) -> Option<&[i64]> {
        Slot::find(&self.i64, name)
    }

    fn values(&self) -> Result<Vec<(&str, SessionInputValue<'_>)>> {
        let f32s = self.f32.iter().map(Slot::value);
        let values = f32s.chain(self.i64.iter().map(Slot::value));
        let values = values.collect::<ort::Result<_>>();
        values.map_err(crate::error::internal)
    }
}

impl<T: PrimitiveTensorElementType + Copy + Default + std::fmt::Debug + 'static> Slot<T> {
    fn make<'s>(slots: &'s mut Vec<Self>, name: &str, shape: &[usize]) -> &'s mut [T] {
        let at = slots
            .iter()
            .position(|s| s.name == name)
            .unwrap_or_else(|| {
                slots.push(Self {
                    name: name.to_string(),
                    shape: Vec::new(),
                    data: Vec::new(),
                });
                slots.len() - 1
            });
        let slot = &mut slots[at];
        slot.shape.clear();
        slot.shape.extend_from_slice(shape);
        slot.data.resize(shape.iter().product(), T::default());
        &mut slot.data
    }

    fn find<'s>(slots: &'s [Self], name: &str) -> Option<&'s [T]> {
        let slot = slots.iter().find(|s| s.name == name);
        slot.map(|s| s.data.as_slice())
    }

    fn value(&self) -> ort::Result<(&str, SessionInputValue<'_>)> {
        let tensor = TensorRef::from_array_view((self.shape.as_slice(), self.data.as_slice()))?;
        Ok((&self.name, tensor.into()))
    }
}

/// Output tensors of one run, borrowed from ONNX Runtime.
pub struct Outputs<'s> {
    values: SessionOutputs<'s>,
}

impl Outputs<'_> {
    /// The f32 output `name`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the graph has no such output or it is not f32.
    pub fn f32(&self, name: &str) -> Result<ArrayViewD<'_, f32>> {
        self.of(name, "float32")
    }

    /// The i64 output `name`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the graph has no such output or it is not i64.
    pub fn i64(&self, name: &str) -> Result<ArrayViewD<'_, i64>> {
        self.of(name, "int64")
    }

    fn of<T: PrimitiveTensorElementType>(
        &self,
        name: &str,
        dtype: &str,
    ) -> Result<ArrayViewD<'_, T>> {
        let value = self.values.get(name).ok_or_else(|| {
            let known: Vec<_> = self.values.keys().collect();
            Error::Unsupported(format!(
                "the graph has no output `{name}`, only: {}",
                known.join(", ")
            ))
        })?;
        value.try_extract_array().map_err(|_| {
            Error::Unsupported(format!(
                "output `{name}` is {}, expected {dtype}",
                value.dtype()
            ))
        })
    }

    /// The first f32 output, for tasks whose models have one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it is not f32.
    pub fn first_f32(&self) -> Result<ArrayViewD<'_, f32>> {
        let name = self.values.keys().next().unwrap_or_default();
        self.f32(name)
    }
}
