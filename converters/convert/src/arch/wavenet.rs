//! WaveNet (van den Oord et al. 2016, arXiv:1609.03499) over μ-law samples: gated causal convolutions
//! of growing dilation, residual and skip connections.
//!
//! | graph | tensor | shape | dtype | meaning |
//! |---|---|---|---|---|
//! | `model` | in `mu_law_ids` | N×T | i64 | samples as μ-law codes, 0 ..= Q−1 |
//! | | out `logits` | N×Q×T | f32 | the sample after each |
//! | `step` | in `mu_law_ids` | N×T | i64 | the samples since the last step, mostly one |
//! | | in `queue.{i}` | N×C×((k−1)·dᵢ) | f32 | what layer `i` still has to hear; zeros at first |
//! | | out `logits` | N×Q×T | f32 | the sample after each |
//! | | out `next_queue.{i}` | N×C×((k−1)·dᵢ) | f32 | the next `queue.{i}` |
//!
//! A step costs the same however long the past is (Le Paine et al. 2016, arXiv:1611.09482). Layers
//! whose kernel is 1 have no queue. The weights have these names; all sizes but the dilations are
//! theirs, those are `dilations` of `config.json`.
//!
//! | weight | shape |
//! |---|---|
//! | `embed.weight` | Q×C |
//! | `blocks.{i}.conv_filter`, `conv_gate` | C×C×k, dilation dᵢ |
//! | `blocks.{i}.conv_residual`, `conv_skip` | C×C×1, S×C×1 |
//! | `post1`, `post2` | S'×S×1, Q×S'×1, a ReLU before each |

use bevel_onnx::{DType, Dim, Graph, Tensor};

use super::conv::Conv;
use super::layers::Net;
use super::settings::Settings;
use crate::arch::{Built, Family, Graphs};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["conv_filter", "conv_gate", "conv_residual", "conv_skip"],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        has("embed.weight") && has("blocks.0.conv_filter.weight") && has("post2.weight")
    },
    build,
};

const NAME: &str = "wavenet";

struct Sizes {
    /// Q.
    codes: usize,
    /// C.
    residual: usize,
    /// S.
    skip: usize,
    /// S'.
    post: usize,
    /// k.
    kernel: usize,
    /// dᵢ.
    dilations: Vec<usize>,
}

impl Sizes {
    fn read(source: &Source, weights: &Weights<'_>) -> Result<Self, Error> {
        // 1 where a weight is missing, which `Weights::finish` reports.
        let size = |name: &str, axis: usize| {
            let shape = weights.shape(name);
            shape.and_then(|s| s.get(axis).copied()).unwrap_or(1).max(1)
        };
        let settings = Settings::read(source, NAME)?;
        if settings.get("dilations").is_none() {
            let what = "has no `dilations`, one for each block; no weight tells them";
            return Err(settings.wrong(what.into()));
        }
        let dilations = settings.sizes("dilations", &[])?;
        let block = |i: usize| weights.contains(&format!("blocks.{i}.conv_filter.weight"));
        let blocks = (0..).take_while(|i| block(*i)).count();
        if dilations.len() != blocks {
            let given = dilations.len();
            let what = format!("{given} `dilations`, but the checkpoint has {blocks} blocks");
            return Err(settings.wrong(what));
        }
        Ok(Self {
            codes: size("embed.weight", 0),
            residual: size("embed.weight", 1),
            skip: size("blocks.0.conv_skip.weight", 0),
            post: size("post1.weight", 0),
            kernel: size("blocks.0.conv_filter.weight", 2),
            dilations,
        })
    }
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    super::only_tensors(NAME, options)?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let sizes = Sizes::read(source, &weights)?;
    let graphs = Graphs::from([
        ("model", network(&sizes, &weights, Past::Silence)?),
        ("step", network(&sizes, &weights, Past::Queues)?),
    ]);
    let last = format!("blocks.{}.conv_residual.", sizes.dilations.len() - 1);
    let unused = weights.finish(|name| name.starts_with(&last))?;
    Ok(Built::tensors(graphs, unused))
}

/// What a convolution hears before the first sample.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Past {
    Silence,
    Queues,
}

fn network(sizes: &Sizes, weights: &Weights<'_>, past: Past) -> Result<Graph, Error> {
    let mut net = Net::new(NAME, weights);
    let ids = ["batch", "samples"].map(Dim::named);
    let ids = net.graph.input("mu_law_ids", DType::I64, ids);
    let queues = queues(&mut net, sizes, past);

    let table = net.table("embed.weight", &[sizes.codes, sizes.residual])?;
    let x = net.graph.node("Gather", &[&table, &ids], []);
    let mut x = net.turn(&x);
    let mut skips: Option<String> = None;
    let mut next_queues = Vec::new();
    for (i, queue) in queues.iter().enumerate() {
        let name = format!("blocks.{i}");
        net.graph.set_scope(&name);
        let mut heard = x.clone();
        let mut conv = Conv::new(sizes.residual, 2 * sizes.residual, sizes.kernel);
        conv.dilation = sizes.dilations[i];
        let reach = (sizes.kernel - 1) * conv.dilation;
        match queue {
            Some(queue) => {
                let axis = [("axis", 2.into())];
                heard = net.graph.node("Concat", &[queue, &x], axis);
                next_queues.push((i, last(&mut net, &heard, reach), reach));
            }
            None => conv.pads = [reach, 0],
        }
        let gated = gated(&mut net, &heard, &name, &conv)?;
        let conv = Conv::new(sizes.residual, sizes.skip, 1);
        let skip = net.conv(&gated, &format!("{name}.conv_skip"), &conv, true)?;
        skips = Some(match skips {
            Some(skips) => net.graph.node("Add", &[&skips, &skip], []),
            None => skip,
        });
        // Nobody hears the residual of the last block.
        if i + 1 < queues.len() {
            let conv = Conv::new(sizes.residual, sizes.residual, 1);
            let residual = net.conv(&gated, &format!("{name}.conv_residual"), &conv, true)?;
            x = net.graph.node("Add", &[&x, &residual], []);
        }
    }
    let mut x = skips.unwrap_or(x);
    for (name, inputs, outputs) in [
        ("post1", sizes.skip, sizes.post),
        ("post2", sizes.post, sizes.codes),
    ] {
        net.graph.set_scope(name);
        x = net.graph.node("Relu", &[&x], []);
        x = net.conv(&x, name, &Conv::new(inputs, outputs, 1), true)?;
    }
    let [batch, samples] = ["batch", "samples"].map(Dim::named);
    let dims = [batch, Dim::Fixed(sizes.codes), samples];
    net.graph.output(&x, "logits", DType::F32, dims);
    for (i, queue, reach) in next_queues {
        let name = format!("next_queue.{i}");
        let dims = queue_dims(sizes, reach);
        net.graph.output(&queue, &name, DType::F32, dims);
    }
    Ok(net.graph)
}

/// The inputs `queue.{i}`.
fn queues(net: &mut Net<'_>, sizes: &Sizes, past: Past) -> Vec<Option<String>> {
    let dilations = sizes.dilations.iter().enumerate();
    let queue = |(i, dilation): (usize, &usize)| {
        let reach = (sizes.kernel - 1) * dilation;
        let name = format!("queue.{i}");
        (past == Past::Queues && reach > 0)
            .then(|| net.graph.input(&name, DType::F32, queue_dims(sizes, reach)))
    };
    dilations.map(queue).collect()
}

fn queue_dims(sizes: &Sizes, reach: usize) -> [Dim; 3] {
    let fixed = [sizes.residual, reach].map(Dim::Fixed);
    let [channels, length] = fixed;
    [Dim::named("batch"), channels, length]
}

/// The last `length` of N×C×T.
fn last(net: &mut Net<'_>, x: &str, length: usize) -> String {
    let start = net.i64s(&[-(length as i64)]);
    let (end, axis) = (net.i64s(&[i64::MAX]), net.i64s(&[2]));
    net.graph.node("Slice", &[x, &start, &end, &axis], [])
}

/// `tanh(filter(x)) · σ(gate(x))`, both convolutions in one.
fn gated(net: &mut Net<'_>, x: &str, name: &str, conv: &Conv) -> Result<String, Error> {
    let half = conv.outputs / 2;
    let both = |part: &str, dims: &[usize]| -> Result<Tensor, Error> {
        let filter = format!("{name}.conv_filter.{part}");
        let mut elements = net.weights.take_f32(&filter, dims)?;
        let gate = format!("{name}.conv_gate.{part}");
        elements.extend(net.weights.take_f32(&gate, dims)?);
        let mut dims = dims.to_vec();
        dims[0] *= 2;
        Ok(Tensor::f32(format!("{filter}+gate"), &dims, elements))
    };
    let weight = both("weight", &[half, conv.inputs, conv.kernel])?;
    let bias = both("bias", &[half])?;
    let x = net.convolve(x, weight, Some(bias), conv);
    let attributes = [("axis", 1.into()), ("num_outputs", 2.into())];
    let [filter, gate] = net.graph.node_of("Split", &[&x], attributes);
    let filter = net.graph.node("Tanh", &[&filter], []);
    let gate = net.graph.node("Sigmoid", &[&gate], []);
    Ok(net.graph.node("Mul", &[&filter, &gate], []))
}
