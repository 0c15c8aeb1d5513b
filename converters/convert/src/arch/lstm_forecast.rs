//! Forecasts of a time series: an LSTM (Hochreiter and Schmidhuber 1997), or a GRU or RNN, any number of
//! layers, and `Linear` layers on its last step, as `nn.LSTM(…, batch_first=True)` of torch 2.15 and
//! `head(states[:, -1])` compute it.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `series` | N×T×F | f32 | F values a step, scaled as the model was trained on |
//! | out `forecast` | N×H | f32 | what the head says after the last step, mostly H steps to come |
//!
//! A checkpoint is of this family when it holds the weights of one recurrent module, of whatever name,
//! and of `Linear` layers that follow one another; the first takes the module's state. All sizes are
//! those of the weights. Settings, where weights cannot tell:
//!
//! | setting | values | asked for |
//! |---|---|---|
//! | `read` | `last-step`, `final-states` | both directions: the states at the last step, where the backward one has seen that step alone, or of each direction what it ends with (`h_n`) |
//! | `activation` | see `nonlinear.rs` | between several `Linear` layers; ReLU where not given |
//! | `nonlinearity` | `tanh`, `relu` | of an RNN; tanh where not given |

use bevel_onnx::{DType, Dim, Graph};

use super::chain::{self, Order, Sizes};
use super::layers::Net;
use super::nonlinear::Nonlinear;
use super::recurrent::{BACKWARD, BOTH, Cell, FORWARD, Recurrence};
use super::settings::Settings;
use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["weight_ih_l0", "weight_hh_l0"],
    recognises: |source| parts(&Weights::new(&source.checkpoint, NAME)).is_some(),
    build,
};

const NAME: &str = "lstm-forecast";

/// How a checkpoint divides.
struct Parts {
    /// The recurrent module with the dot behind it; nothing where it is the model itself.
    module: String,
    layers: usize,
    head: Sizes,
}

/// Which states of both directions the head reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    LastStep,
    FinalStates,
}

const READS: [(&str, Read); 2] = [
    ("last-step", Read::LastStep),
    ("final-states", Read::FinalStates),
];

const NONLINEARITIES: [(&str, &str); 2] = [("tanh", "Tanh"), ("relu", "Relu")];

fn parts(weights: &Weights<'_>) -> Option<Parts> {
    let mut modules = weights
        .names()
        .filter_map(|n| n.strip_suffix("weight_ih_l0"));
    let module = modules.next()?.to_owned();
    if modules.next().is_some() {
        return None;
    }
    let recurrent = |name: &str| {
        let part = name.strip_prefix(&module);
        part.is_some_and(|part| ["weight_", "bias_"].iter().any(|p| part.starts_with(p)))
    };
    let layer = |k: &usize| weights.contains(&format!("{module}weight_ih_l{k}"));
    Some(Parts {
        layers: (0..Settings::MAX_LAYERS).take_while(layer).count(),
        head: chain::sizes(weights, weights.names().filter(|name| !recurrent(name)))?,
        module,
    })
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    super::only_tensors(NAME, options)?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let unsupported = |what: &str, next: &str| Error::Unsupported {
        family: NAME,
        what: what.into(),
        next: next.into(),
    };
    let (Some(parts), set) = (parts(&weights), &source.set) else {
        let next = "one recurrent module and Linear layers are";
        return Err(unsupported("a checkpoint of other modules", next));
    };
    let Some(mut layer) = Recurrence::read(&weights, &parts.module) else {
        let next = "weights of nn.RNN, nn.LSTM and nn.GRU are";
        return Err(unsupported("a recurrent module of these shapes", next));
    };
    let Order::Known(head) = chain::order(&parts.head) else {
        let next = "one Linear is, or several that follow one another";
        return Err(unsupported("a head of these Linear layers", next));
    };

    let mut notes = Vec::new();
    let nonlinearity = set.choice("nonlinearity", &NONLINEARITIES)?;
    if let Cell::Rnn(_) = layer.cell {
        layer.cell = Cell::Rnn(nonlinearity.unwrap_or("Tanh"));
        if nonlinearity.is_none() {
            notes.push("an RNN by tanh is assumed; else --set nonlinearity=relu".into());
        }
    }
    let read = set.choice("read", &READS)?;
    if layer.directions == BOTH && read.is_none() {
        notes.push("states at the last step are read; else --set read=final-states".into());
    }
    let activation = set.choice("activation", &Nonlinear::settings())?;
    if head.len() > 1 && activation.is_none() {
        notes
            .push("ReLU between the layers of the head is assumed; else --set activation=…".into());
    }
    let graph = network(
        &weights,
        &parts,
        &layer,
        read.unwrap_or(Read::LastStep),
        (&head, activation.unwrap_or(Nonlinear::RELU)),
    )?;
    let unused = weights.finish(|_| false)?;
    let mut built = Built::tensors(model(graph), unused);
    built.notes = notes;
    Ok(built)
}

fn network(
    weights: &Weights<'_>,
    parts: &Parts,
    layer: &Recurrence,
    read: Read,
    (head, between): (&[String], Nonlinear),
) -> Result<Graph, Error> {
    let mut net = Net::new(NAME, weights);
    let module = &parts.module;
    let features = net.columns(&format!("{module}weight_ih_l0"));
    let width = layer.directions.len() * layer.state();

    let [batch, time] = ["batch", "time"].map(Dim::named);
    let dims = [batch.clone(), time, Dim::Fixed(features)];
    let series = net.graph.input("series", DType::F32, dims);
    // Recurrence wants time first.
    let order = [("perm", [1, 0, 2].into())];
    let mut x = net.graph.node("Transpose", &[&series], order);
    let mut inputs = features;
    for k in 0..parts.layers {
        net.graph.set_scope(format!("{module}l{k}"));
        let part = Part {
            module,
            k,
            layer,
            inputs,
        };
        x = match (k + 1 < parts.layers, layer.directions == BOTH, read) {
            (true, ..) => part.all(&mut net, &x)?,
            (false, true, Read::LastStep) => part.last_step(&mut net, &x)?,
            (false, true, Read::FinalStates) => part.final_states(&mut net, &x)?,
            (false, false, _) => part.last(&mut net, &x)?,
        };
        inputs = width;
    }
    let (x, horizon) = net.chain(&x, head, width, between)?;
    let dims = [batch, Dim::Fixed(horizon)];
    net.graph.output(&x, "forecast", DType::F32, dims);
    Ok(net.graph)
}

/// Layer `k` of a module, over x T×N×I.
#[derive(Clone, Copy)]
struct Part<'a> {
    module: &'a str,
    k: usize,
    layer: &'a Recurrence,
    inputs: usize,
}

impl Part<'_> {
    /// The states at all steps, as the next layer reads them: T×N×D·H.
    fn all(&self, net: &mut Net<'_>, x: &str) -> Result<String, Error> {
        let [states, _] = self.states(net, x)?;
        if self.layer.directions == BOTH {
            let x = self.projected(net, &states)?;
            let order = [("perm", [0, 2, 1, 3].into())];
            let x = net.graph.node("Transpose", &[&x], order);
            let shape = net.i64s(&[0, 0, 2 * self.layer.state() as i64]);
            return Ok(net.graph.node("Reshape", &[&x, &shape], []));
        }
        let direction = net.i64s(&[1]);
        let x = net.graph.node("Squeeze", &[&states, &direction], []);
        self.projected(net, &x)
    }

    /// The state at the last step of one direction, which ends there: N×H.
    fn last(&self, net: &mut Net<'_>, x: &str) -> Result<String, Error> {
        let [_, end] = self.states(net, x)?;
        let direction = net.i64s(&[0]);
        let x = net.graph.node("Squeeze", &[&end, &direction], []);
        self.projected(net, &x)
    }

    /// The states of both directions at the last step: N×2·H. The backward one begins there, so all it
    /// has seen is that step, and the others need not be walked.
    fn last_step(&self, net: &mut Net<'_>, x: &str) -> Result<String, Error> {
        let step = net.i64s(&[-1]);
        let step = net.graph.node("Gather", &[x, &step], []);
        let mut ends = Vec::new();
        for (directions, x) in [(FORWARD, x), (BACKWARD, &step)] {
            let layer = Recurrence {
                directions,
                ..*self.layer
            };
            let part = Part {
                layer: &layer,
                ..*self
            };
            let [_, end] = part.states(net, x)?;
            ends.push(part.projected(net, &end)?);
        }
        let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
        let x = net.graph.node("Concat", &ends, [("axis", 2.into())]);
        let direction = net.i64s(&[0]);
        Ok(net.graph.node("Squeeze", &[&x, &direction], []))
    }

    /// What both directions end with, at either end: N×2·H.
    fn final_states(&self, net: &mut Net<'_>, x: &str) -> Result<String, Error> {
        let [_, ends] = self.states(net, x)?;
        let x = self.projected(net, &ends)?;
        let order = [("perm", [1, 0, 2].into())];
        let x = net.graph.node("Transpose", &[&x], order);
        let shape = net.i64s(&[0, 2 * self.layer.state() as i64]);
        Ok(net.graph.node("Reshape", &[&x, &shape], []))
    }

    fn states(&self, net: &mut Net<'_>, x: &str) -> Result<[String; 2], Error> {
        net.recurrence(x, self.module, self.k, self.layer, self.inputs)
    }

    fn projected(&self, net: &mut Net<'_>, x: &str) -> Result<String, Error> {
        net.projection(x, self.module, self.k, self.layer)
    }
}
