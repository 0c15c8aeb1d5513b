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
use super::recurrent::{Cell, Recurrence};
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
        layers: (0..).take_while(layer).count(),
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
    if layer.bidirectional && read.is_none() {
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
    let shape = weights.shape(&format!("{module}weight_ih_l0"));
    let features = shape.and_then(|s| s.get(1).copied()).unwrap_or(1);
    let width = layer.directions() * layer.state();

    let [batch, time] = ["batch", "time"].map(Dim::named);
    let dims = [batch.clone(), time, Dim::Fixed(features)];
    let series = net.graph.input("series", DType::F32, dims);
    // Recurrence wants time first.
    let order = [("perm", [1, 0, 2].into())];
    let mut x = net.graph.node("Transpose", &[&series], order);
    let mut inputs = features;
    for k in 0..parts.layers {
        net.graph.set_scope(format!("{module}l{k}"));
        let states = net.recurrence(&x, module, k, layer, inputs)?;
        x = match k + 1 < parts.layers {
            true => all(&mut net, &states[0], module, k, layer)?,
            false => last(&mut net, &states, module, k, layer, read)?,
        };
        inputs = width;
    }
    let (x, horizon) = net.chain(&x, head, width, between)?;
    let dims = [batch, Dim::Fixed(horizon)];
    net.graph.output(&x, "forecast", DType::F32, dims);
    Ok(net.graph)
}

/// States T×D×N×H of a layer as the next one reads them: T×N×D·H.
fn all(
    net: &mut Net<'_>,
    states: &str,
    module: &str,
    k: usize,
    layer: &Recurrence,
) -> Result<String, Error> {
    if layer.bidirectional {
        let x = net.projection(states, module, k, layer)?;
        let order = [("perm", [0, 2, 1, 3].into())];
        let x = net.graph.node("Transpose", &[&x], order);
        let shape = net.i64s(&[0, 0, 2 * layer.state() as i64]);
        return Ok(net.graph.node("Reshape", &[&x, &shape], []));
    }
    let direction = net.i64s(&[1]);
    let x = net.graph.node("Squeeze", &[states, &direction], []);
    net.projection(&x, module, k, layer)
}

/// What the head reads: N×D·H.
fn last(
    net: &mut Net<'_>,
    [states, ends]: &[String; 2],
    module: &str,
    k: usize,
    layer: &Recurrence,
    read: Read,
) -> Result<String, Error> {
    if !layer.bidirectional {
        // The end of the only direction is the last step.
        let direction = net.i64s(&[0]);
        let x = net.graph.node("Squeeze", &[ends, &direction], []);
        return net.projection(&x, module, k, layer);
    }
    let x = match read {
        Read::FinalStates => ends.clone(),
        Read::LastStep => {
            let step = net.index(-1);
            net.graph.node("Gather", &[states, &step], [])
        }
    };
    let x = net.projection(&x, module, k, layer)?;
    let order = [("perm", [1, 0, 2].into())];
    let x = net.graph.node("Transpose", &[&x], order);
    let shape = net.i64s(&[0, 2 * layer.state() as i64]);
    Ok(net.graph.node("Reshape", &[&x, &shape], []))
}
