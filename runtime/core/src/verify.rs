//! Holds a model's graphs against recorded tensors.
//!
//! A [`Recording`] has what was fed (`input.NAME`) and what an independent implementation answered
//! (`output.NAME`). [`verify`] runs every graph of a model in the order in which their inputs become
//! known, by name:
//!
//! | asked for by graph `decoder` | taken from, the first that is there |
//! |---|---|
//! | `input_ids` | `input.decoder_input_ids`, `input.input_ids`, an output `input_ids` of another graph |
//! | `encoder_hidden_states` | the same, or `last_hidden_state` of the graph `encoder` |
//! | what callers may leave out | its natural value, such as a cache of length 0 and a mask of ones |
//!
//! and compares outputs by name; `output.encoder_last_hidden_state` is that of the graph `encoder`.
//! `output.greedy_ids` is what a causal decoder goes on with behind `input.input_ids`, compared exactly.
//! `output.boxes`, `output.labels` and `output.scores` together are things found in a picture, which are
//! compared thing by thing: as many, of the same labels, with an IoU of 0.999, and so are their masks.

mod compare;
mod detections;
mod greedy;
mod natural;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bevel_manifest::GenerateSpec;
use serde::Serialize;

use crate::bundle::ModelFile;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::pipeline::Options;
use crate::session::{self, Session};
use crate::tensors::Tensor;

pub use compare::{Compared, Tolerance};
pub use detections::LEAST_IOU;

/// What was fed and what should come of it.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    inputs: BTreeMap<String, Tensor>,
    outputs: BTreeMap<String, Tensor>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Roles of the graphs that ran, in their order.
    pub graphs: Vec<String>,
    /// Roles of graphs that nothing recorded feeds and no recorded output needs.
    pub idle: Vec<String>,
    /// Where they ran, as `--device` takes it.
    pub device: String,
    /// Why not on the device that was listed first, where they did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// One row an output, in order of name.
    pub outputs: Vec<Compared>,
}

impl Recording {
    /// Sorts tensors called `input.NAME` and `output.NAME`.
    ///
    /// # Errors
    /// [`Error::Input`] without inputs, without outputs, or for another name.
    pub fn new(tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        let mut recording = Self::default();
        for (name, tensor) in tensors {
            let side = match name.split_once('.') {
                Some(("input", name)) => (&mut recording.inputs, name),
                Some(("output", name)) => (&mut recording.outputs, name),
                _ => {
                    return Err(Error::Input(format!(
                        "tensor `{name}` is neither `input.NAME` nor `output.NAME`"
                    )));
                }
            };
            side.0.insert(side.1.to_owned(), tensor);
        }
        match recording {
            Self { inputs, outputs } if inputs.is_empty() || outputs.is_empty() => Err(
                Error::Input("holds no tensors `input.NAME` and `output.NAME`".into()),
            ),
            recording => Ok(recording),
        }
    }
}

/// Runs all of `graphs`, role to file, where `options` say; `generation` is how the bundle says a causal decoder ends.
/// Every recorded input must be used and every recorded output be answered.
///
/// # Errors
/// [`Error::Input`] where names, types or shapes of the recording are not the model's,
/// [`Error::Model`] for an output that no graph has, and those of [`Session`].
pub fn verify(
    graphs: &BTreeMap<&str, &ModelFile>,
    generation: Option<&GenerateSpec>,
    recording: &Recording,
    options: &Options,
    tolerance: Tolerance,
) -> Result<Verified> {
    let mut waiting = Vec::new();
    for (role, file) in graphs {
        waiting.push((*role, Session::load(file, options)?));
    }
    let (device, refused) = place(waiting.iter().map(|(_, session)| session));
    let mut known = Known::new(&recording.inputs);
    let mut ran: Vec<String> = Vec::new();
    while let Some((at, inputs)) = next(&waiting, &mut known)? {
        let (role, mut session) = waiting.remove(at);
        known.learn(role, session.run_tensors(&inputs)?);
        ran.push(role.to_owned());
        if let Some(recorded) = recording.outputs.get(greedy::NAME)
            && greedy::writes(&session)
        {
            let found = greedy::answer(session, &inputs, recorded, generation)?;
            known.outputs.insert(greedy::NAME.into(), found);
        }
    }
    let outputs = compare(&recording.outputs, &known, tolerance).map_err(|unanswered| {
        // The reason is rather a graph that could not run than one that lacks an output.
        let stuck = waiting.iter().map(|(role, session)| {
            let missing = known.missing(role, session).join("`, `");
            format!("graph `{role}` waits for `{missing}`")
        });
        match stuck.reduce(|a, b| format!("{a}; {b}")) {
            Some(stuck) => Error::Input(format!("`{unanswered}` is not answered: {stuck}")),
            None => known.lacks(graphs, &unanswered),
        }
    })?;
    if let Some(name) = known.unused(&recording.inputs) {
        return Err(Error::Input(format!("no graph has an input `{name}`")));
    }
    Ok(Verified {
        graphs: ran,
        idle: waiting.iter().map(|(role, _)| (*role).to_owned()).collect(),
        device,
        refused,
        outputs,
    })
}

/// Runs one graph of a model alone. What other graphs would have given is taken from the recorded
/// outputs, and only this graph's outputs are compared.
///
/// # Errors
/// As [`verify`]; [`Error::Input`] where no recorded output is this graph's.
pub fn verify_one(
    role: &str,
    graph: &ModelFile,
    recording: &Recording,
    options: &Options,
    tolerance: Tolerance,
) -> Result<Verified> {
    let mut session = Session::load(graph, options)?;
    let mut known = Known::new(&recording.inputs);
    for (name, tensor) in &recording.outputs {
        known
            .outputs
            .entry(name.clone())
            .or_insert_with(|| tensor.clone());
    }
    let Some(inputs) = known.inputs(role, &session)? else {
        let missing = known.missing(role, &session).join("`, `");
        return Err(Error::Input(format!(
            "graph `{role}` waits for `{missing}`, which is not recorded"
        )));
    };
    let mut known = Known::new(&recording.inputs);
    known.learn(role, session.run_tensors(&inputs)?);
    let own = recording.outputs.iter();
    let own = own.filter(|(name, _)| known.outputs.contains_key(*name));
    let own: BTreeMap<_, _> = own.map(|(n, t)| (n.clone(), t.clone())).collect();
    let outputs = compare(&own, &known, tolerance).unwrap_or_default();
    if outputs.is_empty() {
        let what = "no recorded output is among its outputs: ";
        let names: Vec<_> = session.outputs().iter().map(|o| o.name.as_str()).collect();
        return Err(Error::Input(format!(
            "graph `{role}`: {what}{}",
            names.join(", ")
        )));
    }
    let (device, refused) = place([&session]);
    Ok(Verified {
        graphs: vec![role.to_owned()],
        idle: Vec::new(),
        device,
        refused,
        outputs,
    })
}

/// Where graphs run, and why not on the device that was listed first, where one of them does not.
fn place<'s>(sessions: impl IntoIterator<Item = &'s Session>) -> (String, Option<String>) {
    let found = session::answering(sessions);
    let refused = found.and_then(|session| session.refused());
    (
        found
            .map_or_else(Device::cpu, |s| s.device().clone())
            .to_string(),
        refused.map(str::to_owned),
    )
}

/// The first graph that can run, and what it is fed.
fn next(
    waiting: &[(&str, Session)],
    known: &mut Known<'_>,
) -> Result<Option<(usize, BTreeMap<String, Tensor>)>> {
    for (at, (role, session)) in waiting.iter().enumerate() {
        if let Some(inputs) = known.inputs(role, session)? {
            return Ok(Some((at, inputs)));
        }
    }
    Ok(None)
}

/// Every expected output beside what was found, or the name of the first that was not.
fn compare(
    expected: &BTreeMap<String, Tensor>,
    known: &Known<'_>,
    tolerance: Tolerance,
) -> std::result::Result<Vec<Compared>, String> {
    let things = detections::compare(expected, &known.outputs, tolerance).unwrap_or_default();
    let row = |(name, expected): (&String, &Tensor)| {
        if let Some(row) = things.iter().find(|row| row.name == *name) {
            return Ok(row.clone());
        }
        let found = known.outputs.get(name).ok_or_else(|| name.clone())?;
        let tolerance = match name == greedy::NAME {
            true => Tolerance::EXACT,
            false => tolerance,
        };
        Ok(Compared::new(name, found, expected, tolerance))
    };
    expected.iter().map(row).collect()
}

/// Tensors at hand while graphs are run one after another.
struct Known<'a> {
    recorded: &'a BTreeMap<String, Tensor>,
    used: BTreeSet<String>,
    /// Under their own names, the first of equal ones, and under `{role}_{name}`.
    outputs: BTreeMap<String, Tensor>,
}

impl<'a> Known<'a> {
    fn new(recorded: &'a BTreeMap<String, Tensor>) -> Self {
        Self {
            recorded,
            used: BTreeSet::new(),
            outputs: BTreeMap::new(),
        }
    }

    fn learn(&mut self, role: &str, outputs: BTreeMap<String, Tensor>) {
        for (name, tensor) in outputs {
            let of_role = format!("{role}_{name}");
            self.outputs.insert(of_role, tensor.clone());
            self.outputs.entry(name).or_insert(tensor);
        }
    }

    /// The tensor for the input `name` of the graph `role`, and the recorded name it has.
    fn find(&self, role: &str, name: &str) -> Option<(Option<String>, &Tensor)> {
        let of_role = format!("{role}_{name}");
        for recorded in [of_role.as_str(), name] {
            if let Some(tensor) = self.recorded.get(recorded) {
                return Some((Some(recorded.to_owned()), tensor));
            }
        }
        let hidden = name.strip_suffix("_hidden_states");
        let hidden = hidden.map(|role| format!("{role}_last_hidden_state"));
        let names = [Some(name.to_owned()), hidden];
        let mut found = names.iter().flatten();
        found.find_map(|n| Some((None, self.outputs.get(n)?)))
    }

    /// All inputs of a graph; `None` while one of them is not known.
    fn inputs(
        &mut self,
        role: &str,
        session: &Session,
    ) -> Result<Option<BTreeMap<String, Tensor>>> {
        let mut inputs = BTreeMap::new();
        let mut used = Vec::new();
        for info in session.inputs() {
            if let Some((recorded, tensor)) = self.find(role, &info.name) {
                inputs.insert(info.name.clone(), tensor.clone());
                used.extend(recorded);
            }
        }
        let given = inputs.clone();
        for info in session.inputs() {
            if inputs.contains_key(&info.name) {
                continue;
            }
            match natural::value(info, &given)? {
                Some(tensor) => inputs.insert(info.name.clone(), tensor),
                None => return Ok(None),
            };
        }
        self.used.extend(used);
        Ok(Some(inputs))
    }

    /// Inputs of a graph that nothing gives.
    fn missing(&self, role: &str, session: &Session) -> Vec<String> {
        let names = session.inputs().iter().map(|info| info.name.clone());
        names
            .filter(|name| self.find(role, name).is_none() && !natural::has(name))
            .collect()
    }

    /// A recorded input that no graph took.
    fn unused(&self, recorded: &'a BTreeMap<String, Tensor>) -> Option<&'a String> {
        recorded.keys().find(|name| !self.used.contains(*name))
    }

    fn lacks(&self, graphs: &BTreeMap<&str, &ModelFile>, name: &str) -> Error {
        let names: Vec<_> = self.outputs.keys().map(String::as_str).collect();
        let path = graphs.values().next().map(|file| file.path());
        Error::model(
            path.unwrap_or(Path::new("")),
            format!("has no output `{name}`, only: {}", names.join(", ")),
        )
    }
}

#[cfg(test)]
mod tests;
