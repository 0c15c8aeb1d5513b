//! Task `tensors`: any model of one graph, named tensors in, named tensors out.
//!
//! | tensor | shape | dtype |
//! |---|---|---|
//! | in, each of the graph's | as the graph says | as the graph says; [`fit`](super::fit) tells what is converted |
//! | out, each of the graph's | as the graph says | as the graph says; float16 as float32 |

use std::borrow::Cow;
use std::time::Instant;

use bevel_manifest::Task as TaskName;
use serde::Serialize;

use super::{Named, Tensor, fit};
use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
use crate::registry::{Answer, AnyPipeline, Sample};
use crate::session::Session;

/// A graph that is fed with tensors, one set of them at a time.
///
/// ```no_run
/// use bevel::tensors::{RunTensors, from_json};
/// use bevel::{Bundle, Options};
///
/// let bundle = Bundle::load("policy.bevel".as_ref())?;
/// let mut policy = RunTensors::load(&bundle, &Options::default())?;
/// let answer = policy.run(&from_json(r#"{"observation": [[0.1, 0.4, -0.2, 0.9]]}"#)?)?;
/// assert_eq!(answer.outputs["value"].shape, [1, 1]);
/// # Ok::<(), bevel::Error>(())
/// ```
pub struct RunTensors {
    session: Session,
    timing: Timing,
}

/// What a graph answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outputs {
    /// Tensors by the names of the graph's outputs.
    pub outputs: Named,
}

impl RunTensors {
    /// Opens the only graph of a bundle.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a bundle of several graphs, and those of [`Session::load`].
    pub fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let graphs = bundle.graphs(options.variant.as_deref())?;
        let mut files = graphs.values();
        let (Some(file), None) = (files.next(), files.next()) else {
            let roles: Vec<_> = graphs.keys().copied().collect();
            return Err(Error::Unsupported(format!(
                "{} has several graphs ({}), and nothing says how they work together; `bevel verify \
                 --io` runs them on recorded tensors",
                bundle.root().display(),
                roles.join(", ")
            )));
        };
        Ok(Self {
            session: Session::load(file, options)?,
            timing: Timing::default(),
        })
    }

    /// Runs the graph. Tensors are converted to the types it takes where no value is lost but for the
    /// last digits of a float; one under the name `""` is for the only input.
    ///
    /// # Errors
    /// [`Error::Input`] when names, types or shapes are not the graph's, [`Error::Run`] when ONNX
    /// Runtime fails, [`Error::Unsupported`] for an output type that [`TensorData`](crate::TensorData)
    /// lacks.
    pub fn run(&mut self, inputs: &Named) -> Result<Outputs> {
        let start = Instant::now();
        let inputs = fit::fit(&self.session, inputs)?;
        let inputs = inputs
            .iter()
            .map(|(name, tensor)| (name.as_str(), Cow::as_ref(tensor)));
        let values = self.session.values(inputs.collect())?;
        let prepared = Instant::now();
        let outputs = self.session.run(values)?;
        let ran = Instant::now();
        let outputs = Tensor::all(&outputs)?;
        self.timing += Timing {
            prepare: prepared - start,
            run: ran - prepared,
            decode: ran.elapsed(),
        };
        Ok(Outputs { outputs })
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl AnyPipeline for RunTensors {
    fn task(&self) -> TaskName {
        TaskName::Tensors
    }

    fn session(&self) -> Option<&Session> {
        Some(self.session())
    }

    fn run(&mut self, samples: &[Sample<'_>]) -> Result<Vec<Answer>> {
        self.timing = Timing::default();
        let answer = |sample: &Sample<'_>| match sample {
            Sample::Tensors(inputs) => Ok(Answer::Tensors(Self::run(self, inputs)?)),
            other => {
                let what = format!("`{}` does not take {}", TaskName::Tensors, other.noun());
                Err(Error::Input(what))
            }
        };
        samples.iter().map(answer).collect()
    }

    fn sessions(&self) -> Vec<&Session> {
        vec![&self.session]
    }

    fn timing(&self) -> Timing {
        self.timing
    }
}

pub(crate) fn open_boxed(bundle: &Bundle, options: &Options) -> Result<Box<dyn AnyPipeline>> {
    Ok(Box::new(RunTensors::load(bundle, options)?))
}
