//! Every task behind one door, for callers that learn the task from the bundle: the command line, C,
//! and later HTTP.

use std::path::Path;

use bevel_manifest::{Manifest, Task as TaskName};
use bevel_prep::image::ImageView;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::device::{Device, Devices};
use crate::error::{Error, Result};
use crate::handover::{Handover, Progress};
use crate::pipeline::{Options, Pipeline, Task, Timing};
use crate::session::{self, Session};
use crate::tensors::Named;
#[cfg(feature = "text")]
use crate::text::Likelihood;

/// One item of any task.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Sample<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// A question about a text.
    Question(Question<'a>),
    /// Pixels.
    Image(ImageView<'a>),
    /// Sound in memory: one channel in −1 ..= 1 at a rate in Hz.
    Sound(&'a [f32], u32),
    /// A sound file, read in pieces.
    SoundFile(&'a Path),
    /// The content of a sound file, read as from a pipe.
    SoundBytes(&'a [u8]),
    /// Tensors by the names of the graph's inputs.
    Tensors(&'a Named),
}

/// A question about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// What is asked.
    pub question: &'a str,
    /// The text that holds the answer.
    pub context: &'a str,
}

/// What any task answers; serialised it is the task's part of the documented JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Answer {
    /// A vector.
    #[cfg(any(feature = "text", feature = "vision"))]
    Embed(crate::embedding::Embedding),
    /// Labels, best first.
    #[cfg(any(feature = "text", feature = "vision"))]
    Classify(crate::classes::Classes),
    /// Labelled parts of a text.
    #[cfg(feature = "text")]
    Tag(crate::text::Entities),
    /// The part of a text that answers.
    #[cfg(feature = "text")]
    Answer(crate::text::Span),
    /// What follows a text.
    #[cfg(feature = "text")]
    Generate(crate::text::Generated),
    /// Boxes, best first.
    #[cfg(feature = "vision")]
    Detect(crate::vision::Detections),
    /// Boxes with masks, best first.
    #[cfg(feature = "vision")]
    Instances(crate::vision::Instances),
    /// Which pixels show what.
    #[cfg(feature = "vision")]
    Regions(crate::vision::Regions),
    /// Boxes with keypoints, best first.
    #[cfg(feature = "vision")]
    Pose(crate::vision::Poses),
    /// Boxes of any direction, best first.
    #[cfg(feature = "vision")]
    Obb(crate::vision::Oriented),
    /// Text with times.
    #[cfg(feature = "speech")]
    Transcribe(crate::speech::Transcript),
    /// Whatever a graph answers.
    Tensors(crate::tensors::Outputs),
}

/// A pipeline whose task was found in the bundle.
pub trait AnyPipeline: Send {
    /// The task.
    fn task(&self) -> TaskName;

    /// The graph, where it is one that is run once for an answer.
    fn session(&self) -> Option<&Session> {
        None
    }

    /// Answers every item, in order.
    ///
    /// # Errors
    /// [`Error::Input`] for an item of another kind; else those of the pipeline.
    fn run(&mut self, samples: &[Sample<'_>]) -> Result<Vec<Answer>>;

    /// Where the time of the last run went.
    fn timing(&self) -> Timing;

    /// The graphs that run on the device that was chosen, the first one first.
    fn sessions(&self) -> Vec<&Session>;

    /// What it answers on; where graphs differ, the device that stands in for another.
    fn device(&self) -> Device {
        let found = session::answering(self.sessions());
        found.map_or_else(Device::cpu, |session| session.device().clone())
    }

    /// Why it does not answer on the device that was listed first, where one of its graphs does not.
    fn refused(&self) -> Option<&str> {
        session::answering(self.sessions())?.refused()
    }

    /// How far the pipeline is that is to take over, which it does when it is ready; nothing where none is, see
    /// [`Handover`].
    fn progress(&mut self) -> Option<&Progress> {
        None
    }

    /// The pipeline itself where its task is `transcribe`, which takes sound that is no item, such as a
    /// stream, and tells how far it is.
    #[cfg(feature = "speech")]
    fn transcribe(&mut self) -> Option<&mut crate::speech::Transcribe> {
        None
    }

    /// How likely the model finds a text, for models that go on with one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for every other model; else those of the pipeline.
    #[cfg(feature = "text")]
    fn likelihood(&mut self, _text: &str) -> Result<Likelihood> {
        let task = self.task();
        Err(Error::Unsupported(format!(
            "a model for `{task}` has no likelihood of texts"
        )))
    }
}

type Open = fn(&Bundle, &Options) -> Result<Box<dyn AnyPipeline>>;

/// A pipeline: its task, what it takes, what opens it.
type Line = (TaskName, &'static str, Open);

/// The pipelines of this build.
const REGISTRY: &[&[Line]] = &[
    #[cfg(feature = "text")]
    TEXT,
    #[cfg(feature = "vision")]
    VISION,
    #[cfg(all(feature = "text", feature = "vision"))]
    TEXT_AND_VISION,
    #[cfg(feature = "speech")]
    SPEECH,
    ANY,
];

#[cfg(feature = "text")]
const TEXT: &[Line] = &[
    (TaskName::Embed, "text", boxed::<crate::text::Embed>),
    (TaskName::Embed, "words", boxed::<crate::text::EmbedWords>),
    (TaskName::Classify, "text", boxed::<crate::text::Classify>),
    (TaskName::Tag, "text", boxed::<crate::text::Tag>),
    (
        TaskName::Answer,
        "text",
        boxed::<crate::text::AnswerQuestion>,
    ),
    (TaskName::Generate, "text", crate::text::open_boxed),
];

#[cfg(feature = "vision")]
const VISION: &[Line] = &[
    (TaskName::Embed, "image", boxed::<crate::vision::Embed>),
    (
        TaskName::Classify,
        "image",
        boxed::<crate::vision::Classify>,
    ),
    (TaskName::Detect, "image", boxed::<crate::vision::Detect>),
    (TaskName::Segment, "image", crate::vision::open_segmenter),
    (TaskName::Pose, "image", boxed::<crate::vision::Pose>),
    (TaskName::Obb, "image", boxed::<crate::vision::Obb>),
];

#[cfg(all(feature = "text", feature = "vision"))]
const TEXT_AND_VISION: &[Line] = &[(TaskName::Embed, "text-image", crate::towers::open_boxed)];

#[cfg(feature = "speech")]
const SPEECH: &[Line] = &[(TaskName::Transcribe, "audio", crate::speech::open_boxed)];

const ANY: &[Line] = &[(TaskName::Tensors, "tensors", crate::tensors::open_boxed)];

/// The features that a kind of input needs, and whether this build has them.
const FEATURES: &[(&str, &str, bool)] = &[
    ("text", "text", cfg!(feature = "text")),
    ("words", "text", cfg!(feature = "text")),
    ("image", "vision", cfg!(feature = "vision")),
    ("text-image", "text", cfg!(feature = "text")),
    ("text-image", "vision", cfg!(feature = "vision")),
    ("audio", "speech", cfg!(feature = "speech")),
];

/// Whether this build has a pipeline for a bundle; what is missing, where it has none.
///
/// # Errors
/// [`Error::Unsupported`] for a task that was left out, with the features to build with, or that no
/// pipeline serves yet.
pub fn supports(manifest: &Manifest) -> Result<()> {
    line(manifest).map(|_| ())
}

/// Opens a bundle with the pipeline of its task. With [`Options::warm`] it answers on the CPU while the devices
/// before it are made ready, see [`Handover`].
///
/// # Errors
/// Those of [`supports`] and of the pipeline; [`Error::Input`] where it is to be warm and the CPU is not listed.
pub fn open(bundle: &Bundle, options: &Options) -> Result<Box<dyn AnyPipeline>> {
    let open = line(bundle.manifest())?.2;
    if !options.warm {
        return open(bundle, options);
    }
    let wanted = options.devices.before_cpu().ok_or_else(|| {
        Error::Input(format!(
            "`{}` has nothing to make ready while the CPU answers; list both, such as tensorrt,cpu",
            options.devices
        ))
    })?;
    let on = |devices: Devices| Options {
        devices,
        warm: false,
        ..options.clone()
    };
    let now = open(bundle, &on(Devices::default()))?;
    let (bundle, later) = (bundle.clone(), on(wanted));
    let handover = Handover::start(now, move || open(&bundle, &later))?;
    Ok(Box::new(handover))
}

fn line(manifest: &Manifest) -> Result<&'static Line> {
    let (task, kind) = (manifest.task, manifest.input.kind());
    let needed = FEATURES.iter().filter(|(k, ..)| *k == kind);
    let missing: Vec<_> = needed.filter(|(.., built)| !built).map(|f| f.1).collect();
    if !missing.is_empty() {
        return Err(Error::Unsupported(format!(
            "`{task}` on {kind} needs feature `{}`, which this build of Bevel was made without",
            missing.join("` and `")
        )));
    }
    let mut lines = REGISTRY.iter().copied().flatten();
    lines.find(|(t, k, _)| *t == task && *k == kind).ok_or_else(|| {
        let lines = REGISTRY.iter().copied().flatten();
        let known: Vec<_> = lines.map(|(t, k, _)| format!("{t} ({k})")).collect();
        Error::Unsupported(format!(
            "no pipeline runs `{task}` on {kind} yet, only: {}; `bevel verify` runs any model on \
             tensors",
            known.join(", ")
        ))
    })
}

#[cfg(any(feature = "text", feature = "vision"))]
pub(crate) fn boxed<T: Task + 'static>(
    bundle: &Bundle,
    options: &Options,
) -> Result<Box<dyn AnyPipeline>> {
    Ok(Box::new(Pipeline::<T>::load(bundle, options)?))
}

impl<T: Task> AnyPipeline for Pipeline<T> {
    fn task(&self) -> TaskName {
        T::NAME
    }

    fn session(&self) -> Option<&Session> {
        Some(self.session())
    }

    fn run(&mut self, samples: &[Sample<'_>]) -> Result<Vec<Answer>> {
        let items: Vec<_> = samples
            .iter()
            .map(|sample| {
                T::item(*sample).ok_or_else(|| {
                    Error::Input(format!("`{}` does not take {}", T::NAME, sample.noun()))
                })
            })
            .collect::<Result<_>>()?;
        Ok(Pipeline::run(self, &items)?
            .into_iter()
            .map(T::wrap)
            .collect())
    }

    fn timing(&self) -> Timing {
        self.timing()
    }

    fn sessions(&self) -> Vec<&Session> {
        vec![self.session()]
    }
}

impl<'a> Sample<'a> {
    /// The text, if it is one.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The picture, if it is one.
    pub fn image(self) -> Option<ImageView<'a>> {
        match self {
            Self::Image(image) => Some(image),
            _ => None,
        }
    }

    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Question(_) => "a question",
            Self::Image(_) => "a picture",
            Self::Sound(..) | Self::SoundFile(_) | Self::SoundBytes(_) => "sound",
            Self::Tensors(_) => "tensors",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_input_tells_what_it_needs() {
        for (task, kind, _) in REGISTRY.iter().copied().flatten() {
            let needed: Vec<_> = FEATURES.iter().filter(|(k, ..)| k == kind).collect();
            assert!(*kind == "tensors" || !needed.is_empty(), "{task} {kind}");
            assert!(needed.iter().all(|(.., built)| *built), "{task} {kind}");
        }
    }
}
