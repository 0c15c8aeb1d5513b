//! Deep Speech (Hannun et al. 2014, arXiv:1412.5567), as `models/deepspeech.py` of torchaudio 2.11
//! computes it.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `features` | N×1×T×F | f32 | F values a frame, as the model was trained on |
//! | out `log_probs` | N×T×C | f32 | log probabilities of characters and the CTC blank |
//!
//! All sizes are those of the weights. Neither torchaudio nor a checkpoint says which features these
//! are; where the caller does, and has the characters, the model writes text.

use bevel_manifest::Task;
use bevel_onnx::{DType, Dim, Graph};

use super::layers::Net;
use super::recurrent::{BOTH, Cell, Recurrence};
use super::speech;
use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["bi_rnn.", "fc1.fc.", "fc4.fc.", "_l0_reverse"],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        has("fc1.fc.weight") && has("bi_rnn.weight_ih_l0_reverse") && has("fc4.fc.weight")
    },
    build,
};

const NAME: &str = "deepspeech";

/// Where the rectifier is cut off (`relu_max_clip`), but for the one in the recurrence.
const CLIP: f32 = 20.0;

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    options.task_of(NAME, &[Task::Tensors, Task::Transcribe])?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let (graph, sizes) = network(&weights)?;
    let unused = weights.finish(|_| false)?;
    let built = Built::tensors(model(graph), unused);
    match speech::of_features(source, options, sizes)? {
        Some(heard) => Ok(built.transcribes(heard)),
        None => Ok(built),
    }
}

fn network(weights: &Weights<'_>) -> Result<(Graph, [usize; 2]), Error> {
    let mut net = Net::new(NAME, weights);
    let hidden = net.rows("fc1.fc.weight");
    let classes = net.rows("out.weight");
    let features = net.columns("fc1.fc.weight");

    let [batch, time] = ["batch", "time"].map(Dim::named);
    let dims = [
        batch.clone(),
        Dim::Fixed(1),
        time.clone(),
        Dim::Fixed(features),
    ];
    let x = net.graph.input("features", DType::F32, dims);
    let channel = net.i64s(&[1]);
    let x = net.graph.node("Squeeze", &[&x, &channel], []);
    // The recurrence wants time first.
    let order = [1, 0, 2];
    let mut x = net.graph.node("Transpose", &[&x], [("perm", order.into())]);
    for (layer, inputs) in [("fc1", features), ("fc2", hidden), ("fc3", hidden)] {
        x = dense(&mut net, &x, layer, [inputs, hidden])?;
    }
    let x = recurrence(&mut net, &x, hidden)?;
    let x = dense(&mut net, &x, "fc4", [hidden, hidden])?;
    net.graph.set_scope("out");
    let x = net.linear(&x, "out", [hidden, classes])?;
    let graph = &mut net.graph;
    let x = graph.node("Transpose", &[&x], [("perm", order.into())]);
    let x = graph.node("LogSoftmax", &[&x], [("axis", 2.into())]);
    let dims = [batch, time, Dim::Fixed(classes)];
    graph.output(&x, "log_probs", DType::F32, dims);
    Ok((net.graph, [features, classes]))
}

/// `min(max(W·x + b, 0), 20)`.
fn dense(net: &mut Net<'_>, x: &str, name: &str, size: [usize; 2]) -> Result<String, Error> {
    net.graph.set_scope(name);
    let x = net.linear(x, &format!("{name}.fc"), size)?;
    let (least, most) = (net.scalar(0.0), net.scalar(CLIP));
    Ok(net.graph.node("Clip", &[&x, &least, &most], []))
}

/// `h[t] = max(W·x[t] + R·h[t−1] + b, 0)` forwards and backwards, summed: T×N×H.
fn recurrence(net: &mut Net<'_>, x: &str, hidden: usize) -> Result<String, Error> {
    net.graph.set_scope("bi_rnn");
    let layer = Recurrence {
        cell: Cell::Rnn("Relu"),
        directions: BOTH,
        bias: true,
        hidden,
        projection: None,
    };
    let [states, _] = net.recurrence(x, "bi_rnn.", 0, &layer, hidden)?;
    let axis = net.i64s(&[1]);
    let attributes = [("keepdims", 0.into())];
    Ok(net.graph.node("ReduceSum", &[&states, &axis], attributes))
}
