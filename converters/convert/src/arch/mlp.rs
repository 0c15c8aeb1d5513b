//! Multi-layer perceptrons: `Linear` layers one behind the other, with a non-linearity between them.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `input` | N×F | f32 | as the model was trained on |
//! | out `output` | N×C | f32 | what the last layer gives |
//!
//! The last family to be asked: a checkpoint is of it when all its tensors are weights and biases of
//! `Linear` layers of which each takes what the one before it gives, whatever they are called. Names
//! that differ by numbers alone follow these numbers. A state dict does not tell what happens between
//! the layers:
//!
//! | setting | values | where not given |
//! |---|---|---|
//! | `activation` | see `nonlinear.rs` | ReLU, and the report says that it was assumed |
//! | `layers` | names between commas | the only order in which the shapes fit |
//! | `output` | `softmax`, `log_softmax`, or as `activation` | the last layer as it is |
//!
//! A model that was pickled whole (`torch.save(model, f)`) tells it where it is an `nn.Sequential`, or has
//! one that holds all weights: see [`modules`]. Batch norms are folded into the layers beside them; where
//! those of a state dict stand, [`named`] says.

mod flow;
mod modules;
mod named;

use bevel_onnx::{DType, Dim, Graph};

use super::layers::Net;
use super::nonlinear::Nonlinear;
use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};
use flow::Flow;
use modules::Pickled;

pub(super) const FAMILY: Family = Family {
    name: NAME,
    // Nothing is typical of it.
    marks: &[],
    recognises,
    build,
};

const NAME: &str = "mlp";

/// One thing after the other.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// By the name of its weights.
    Linear(String),
    /// `BatchNorm1d`: the name of its weights, and ε.
    BatchNorm(String, f32),
    LayerNorm(String, f32),
    Nonlinear(Nonlinear),
    /// `Softmax` or `LogSoftmax` over the last axis.
    Shares(&'static str),
}

fn recognises(source: &Source) -> bool {
    if let Pickled::Steps { steps, .. } = modules::read(source.checkpoint.object()) {
        return steps.iter().any(|step| matches!(step, Step::Linear(_)));
    }
    // A library that calls its models by name has more to say about them than their layers.
    source.model_type().is_none() && named::recognises(&Weights::new(&source.checkpoint, NAME))
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    super::only_tensors(NAME, options)?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let set = &source.set;
    let activation = set.choice("activation", &Nonlinear::settings())?;
    let layers = set.text("layers");
    let ends = Nonlinear::settings().map(|(name, nonlinear)| (name, End::Nonlinear(nonlinear)));
    let ends: Vec<_> = ends.into_iter().chain(SHARES).collect();
    let end = set.choice("output", &ends)?;

    let mut notes = Vec::new();
    let mut steps = match modules::read(source.checkpoint.object()) {
        Pickled::Steps { .. } if activation.is_some() || layers.is_some() => {
            let what = "the module that was pickled tells its layers and what is between them: \
                        leave --set activation and --set layers out";
            return Err(Error::Request(what.into()));
        }
        Pickled::Steps { steps, note } => {
            notes.extend(note);
            steps
        }
        Pickled::Foreign(what) => {
            return Err(Error::Unsupported {
                family: NAME,
                what: format!("module {what}"),
                next: "Linear, BatchNorm1d, LayerNorm, Dropout, Softmax and non-linearities are"
                    .into(),
            });
        }
        Pickled::Nothing { nonlinear } => {
            let between = activation.or(nonlinear).unwrap_or(Nonlinear::RELU);
            let steps = named::steps(&weights, layers, between)?;
            if activation.is_none() && steps.contains(&Step::Nonlinear(between)) {
                let what = match nonlinear {
                    Some(_) => "is that of the model's only module of the kind",
                    None => "is assumed to be ReLU: weights do not tell it",
                };
                notes.push(format!(
                    "the activation between layers {what}; else --set activation=…"
                ));
            }
            if steps.iter().any(|step| matches!(step, Step::BatchNorm(..))) {
                notes.push(named::NORMS_ASSUMED.into());
            }
            steps
        }
    };
    steps.extend(end.map(|end| match end {
        End::Nonlinear(nonlinear) => Step::Nonlinear(nonlinear),
        End::Shares(op) => Step::Shares(op),
    }));
    let graph = network(&weights, &steps)?;
    let unused = weights.finish(|name| name.ends_with(".num_batches_tracked"))?;
    let mut built = Built::tensors(model(graph), unused);
    built.notes = notes;
    Ok(built)
}

/// What follows the last layer.
#[derive(Debug, Clone, Copy)]
enum End {
    Nonlinear(Nonlinear),
    Shares(&'static str),
}

const SHARES: [(&str, End); 2] = [
    ("softmax", End::Shares("Softmax")),
    ("log_softmax", End::Shares("LogSoftmax")),
];

fn network(weights: &Weights<'_>, steps: &[Step]) -> Result<Graph, Error> {
    let mut net = Net::new(NAME, weights);
    // The first layer that has a size says how wide the input is.
    let first = steps.iter().find_map(|step| match step {
        Step::Linear(name) => weights.shape(&format!("{name}.weight"))?.get(1).copied(),
        Step::BatchNorm(name, _) => weights
            .shape(&format!("{name}.running_mean"))?
            .first()
            .copied(),
        Step::LayerNorm(name, _) => weights.shape(&format!("{name}.weight"))?.first().copied(),
        _ => None,
    });
    let mut width = first.unwrap_or(1);
    let batch = Dim::named("batch");
    let dims = [batch.clone(), Dim::Fixed(width)];
    let mut x = Flow::new(net.graph.input("input", DType::F32, dims));
    for step in steps {
        match step {
            Step::Linear(name) => {
                x.linear(&mut net, name, width)?;
                width = net.rows(&format!("{name}.weight"));
            }
            Step::BatchNorm(name, epsilon) => x.batch_norm(&net, name, width, *epsilon)?,
            Step::LayerNorm(name, epsilon) => {
                x.settle(&mut net);
                net.graph.set_scope(name);
                x.value = net.layer_norm(&x.value, name, width, *epsilon)?;
            }
            Step::Nonlinear(nonlinear) => {
                x.settle(&mut net);
                x.value = net.nonlinear(&x.value, *nonlinear);
            }
            Step::Shares(op) => {
                x.settle(&mut net);
                x.value = net.graph.node(op, &[&x.value], [("axis", (-1).into())]);
            }
        }
    }
    x.settle(&mut net);
    net.graph
        .output(&x.value, "output", DType::F32, [batch, Dim::Fixed(width)]);
    Ok(net.graph)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{Shapes, write_safetensors};

    #[test]
    fn what_weights_do_not_tell_is_asked_for() {
        struct Case {
            name: &'static str,
            layers: &'static [(&'static str, [usize; 2])],
            set: &'static [(&'static str, &'static str)],
            expected: Result<(&'static str, &'static str), &'static str>,
        }
        let chain = &[("0", [8, 4]), ("2", [8, 8]), ("10", [3, 8])];
        let ends = &[("decoder", [4, 2]), ("encoder", [2, 4])];
        let cases = [
            Case {
                name: "ReLU is assumed, and said to be",
                layers: chain,
                set: &[],
                expected: Ok(("Gemm Relu Gemm Relu Gemm", "assumed to be ReLU")),
            },
            Case {
                name: "everything is given",
                layers: chain,
                set: &[("activation", "silu"), ("output", "softmax")],
                expected: Ok(("Gemm Sigmoid Mul Gemm Sigmoid Mul Gemm Softmax", "")),
            },
            Case {
                name: "no such activation",
                layers: chain,
                set: &[("activation", "step")],
                expected: Err("--set activation=step: expected one of relu, tanh"),
            },
            Case {
                name: "two orders",
                layers: ends,
                set: &[],
                expected: Err("--set layers=A,B,…: decoder (2 to 4), encoder (4 to 2)"),
            },
            Case {
                name: "one of the two",
                layers: ends,
                set: &[("layers", "encoder, decoder"), ("activation", "tanh")],
                expected: Ok(("Gemm Tanh Gemm", "")),
            },
            Case {
                name: "not all layers",
                layers: chain,
                set: &[("layers", "0,10")],
                expected: Err("expected all layers"),
            },
            Case {
                name: "another setting",
                layers: chain,
                set: &[("act", "relu")],
                expected: Err("known: activation, layers, output"),
            },
            Case {
                name: "no order",
                layers: &[("a", [4, 4]), ("b", [3, 5])],
                set: &[],
                expected: Err("no known architecture"),
            },
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let out = folder.path().join("out.bevel");
        for case in cases {
            let mut shapes = Shapes::new();
            for (name, [rows, columns]) in case.layers {
                shapes.insert(format!("{name}.weight"), vec![*rows, *columns]);
                shapes.insert(format!("{name}.bias"), vec![*rows]);
            }
            write_safetensors(&file, &shapes);
            let set = case.set.iter().map(|(k, v)| ((*k).into(), (*v).into()));
            let options = Options {
                set: set.collect::<BTreeMap<_, _>>(),
                ..Options::default()
            };
            match (
                crate::convert(&file, &out, &options, None, &mut |_| {}),
                case.expected,
            ) {
                (Ok(report), Ok((operators, note))) => {
                    let graph = Graph::load(&out.join("model.onnx")).unwrap();
                    let found: Vec<_> = graph.nodes.iter().map(|n| n.op_type()).collect();
                    assert_eq!(found.join(" "), operators, "{}", case.name);
                    let notes = report.notes.join("; ");
                    let told = notes.contains("the activation between layers");
                    assert_eq!(told, !note.is_empty(), "{}: {notes}", case.name);
                    assert!(notes.contains(note), "{}: {notes}", case.name);
                }
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{}: {error}", case.name);
                }
                (result, _) => panic!("{}: {:?}", case.name, result.map(|r| r.notes)),
            }
        }
    }
}
