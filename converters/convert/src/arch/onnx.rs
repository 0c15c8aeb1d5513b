//! Plain ONNX: any graph that another tool exported. It is brought to our operator set, simplified, and
//! keeps the names of its inputs and outputs.
//!
//! What it does is taken from the first of these that says so:
//! - the recipe (`--recipe`): task, preparation and decoding;
//! - the metadata that Ultralytics writes ([`ultralytics`]); its tensors get the names of our own
//!   detectors, `pixels → predictions[, prototypes]` or `logits`;
//! - `config.json` and `tokenizer.json` beside it, as Optimum exports them ([`hugging_face`]).
//!
//! Where none does, the bundle takes and answers tensors.
//!
//! An encoder that has its decoder beside it is one model with it ([`seq2seq`]). Other models of several
//! graphs are converted one by one, as tensors.

mod hugging_face;
mod joined;
mod literal;
mod seq2seq;
mod ultralytics;

use std::path::Path;

use bevel_manifest::{Decode, Input, Task};
use bevel_onnx::{Dim, Graph, OPSET};
use bevel_weights::Format;

use super::{Built, BundleFile, Family, model};
use crate::source::Source;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[],
    recognises: |source| source.checkpoint.format() == Format::Onnx,
    build,
};

const NAME: &str = "onnx";

/// What a graph is for.
struct Job {
    task: Task,
    input: Input,
    decode: Decode,
    files: Vec<BundleFile>,
    notes: Vec<String>,
}

impl Job {
    fn tensors(note: Option<String>) -> Self {
        Self {
            task: Task::Tensors,
            input: Input::Tensors,
            decode: Decode::Tensors,
            files: Vec::new(),
            notes: note.into_iter().collect(),
        }
    }
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let Some(graph) = source.checkpoint.graph() else {
        return Err(Error::Request(format!(
            "{} is no ONNX graph",
            source.checkpoint.path().display()
        )));
    };
    if let Some(built) = seq2seq::build(graph, source, options)? {
        return Ok(built);
    }
    let mut graph = graph.clone();
    let mut notes = Vec::new();
    tidy(&mut graph, source.checkpoint.path(), "", &mut notes)?;
    let job = job(&mut graph, source, options)?;
    notes.extend(job.notes);
    Ok(Built {
        graphs: model(graph),
        task: job.task,
        input: job.input,
        decode: job.decode,
        files: job.files,
        unused: Vec::new(),
        notes,
    })
}

/// Brings a graph to our operator set and makes it short, and notes what was done; a model of several
/// graphs says to which, by its `role`.
fn tidy(graph: &mut Graph, path: &Path, role: &str, notes: &mut Vec<String>) -> Result<(), Error> {
    // A graph that cannot be read is the file's fault, not ours.
    let refused = |error| {
        Error::Weights(bevel_weights::Error::Onnx {
            path: path.into(),
            source: Box::new(error),
        })
    };
    let version = graph.upgrade().map_err(refused)?;
    let simplified = graph.simplify();
    graph.check().map_err(refused)?;
    let mut note = |done: String| {
        notes.push(match role {
            "" => done,
            role => format!("{role}: {done}"),
        });
    };
    if version < OPSET {
        note(format!("operator set {version} was brought to {OPSET}"));
    }
    if simplified.after < simplified.before {
        let (before, after) = (simplified.before, simplified.after);
        note(format!("{before} nodes became {after}"));
    }
    Ok(())
}

fn job(graph: &mut Graph, source: &Source, options: &Options) -> Result<Job, Error> {
    let asked = options.wanted_task();
    if asked == Some(Task::Tensors) {
        return Ok(Job::tensors(None));
    }
    if let Some(recipe) = &options.recipe
        && let (Some(input), Some(decode)) = (&recipe.input, &recipe.decode)
    {
        return Ok(Job {
            task: asked.unwrap_or(recipe.task),
            input: input.clone(),
            decode: decode.clone(),
            // Labels and the like are put in with the recipe.
            files: Vec::new(),
            notes: Vec::new(),
        });
    }
    let job = match ultralytics::job(graph, source, options)? {
        Some(job) => Some(job),
        None => hugging_face::job(graph, source, options)?,
    };
    match (job, asked) {
        (Some(job), None) => Ok(job),
        (Some(job), Some(task)) if job.task == task => Ok(job),
        (None, None) => Ok(Job::tensors(None)),
        (Some(job), Some(task)) => Err(Error::Request(format!(
            "the model says that it does `{}`, not `{task}`; leave --task out, or take --task tensors",
            job.task
        ))),
        (None, Some(task)) => Err(Error::Request(format!(
            "a plain ONNX graph does not say how to {task}; give preparation and decoding with --recipe \
             FILE.toml, or take --task tensors"
        ))),
    }
}

/// A size of an output that is always the same.
fn fixed(graph: &Graph, output: usize, axis: usize) -> Option<usize> {
    match graph.outputs.get(output)?.dims.as_ref()?.get(axis)? {
        Dim::Fixed(size) => Some(*size),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
