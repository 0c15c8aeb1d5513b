//! Channels of an activation share one scale, so a channel of small numbers gets few codes. Between two
//! convolutions the channels can be scaled at will: what the first divides by, the second multiplies
//! with. After Nagel et al., "Data-free quantization through weight equalization and bias correction"
//! (2019, arXiv:1906.04721), section 4.1: the factor of a channel is √(r₁ / r₂), r₁ the largest of the
//! first's weights that make it, r₂ the largest of the second's that read it.
//!
//! Deviation: factors are powers of two, so that the graph answers to the bit what it did.
//!
//! Between the two may lie what commutes with scaling ([`SCALABLE`]). `Clip` (ReLU6) and SiLU do not,
//! and such pairs stay.

use std::collections::HashMap;

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{DType, Graph, Tensor};

/// Operators with f(s·x) = s·f(x) for s > 0, channel by channel.
const SCALABLE: [&str; 5] = [
    "AveragePool",
    "GlobalAveragePool",
    "LeakyRelu",
    "MaxPool",
    "Relu",
];

/// Rounds over all pairs: a convolution in the middle of three is the second of one, the first of the
/// other.
const ROUNDS: usize = 8;

/// Factors are within 2^±this, far from what f32 cannot hold.
const MAX_EXPONENT: f32 = 16.0;

/// A first and a second convolution, by their weights.
struct Pair {
    weights: usize,
    bias: Option<usize>,
    next: usize,
    groups: usize,
}

/// The graph with its channels equalised. It answers the same.
pub(crate) fn equalize(graph: &Graph) -> Graph {
    let mut equal = graph.clone();
    let pairs = pairs(graph);
    for _ in 0..ROUNDS {
        let mut moved = false;
        for pair in &pairs {
            moved |= pair.equalize(&mut equal.initializers).unwrap_or(false);
        }
        if !moved {
            break;
        }
    }
    equal
}

impl Pair {
    /// Answers whether anything changed.
    fn equalize(&self, tensors: &mut [Tensor]) -> Option<bool> {
        let mut first = tensors[self.weights].as_f32()?.into_owned();
        let mut second = tensors[self.next].as_f32()?.into_owned();
        let mut bias = match self.bias {
            Some(at) => Some(tensors[at].as_f32()?.into_owned()),
            None => None,
        };
        let channels = tensors[self.weights].dims[0];
        let each = first.len() / channels;
        let next = &tensors[self.next].dims;
        let (rows, columns) = (next[0], next[1]);
        let taps = second.len() / rows / columns;
        // Where the second's weights lie that read a channel.
        let readers = |channel: usize| {
            let of_group = rows / self.groups;
            let row = channel / columns * of_group;
            let column = channel % columns;
            (row..row + of_group).map(move |row| (row * columns + column) * taps)
        };
        let mut moved = false;
        for channel in 0..channels {
            let made = &mut first[channel * each..(channel + 1) * each];
            let by = largest(made.iter());
            let of = readers(channel).map(|at| largest(second[at..at + taps].iter()));
            let factor = factor(by, of.fold(0.0, f32::max));
            if factor == 1.0 {
                continue;
            }
            moved = true;
            for x in made
                .iter_mut()
                .chain(bias.iter_mut().map(|bias| &mut bias[channel]))
            {
                *x /= factor;
            }
            for at in readers(channel) {
                for x in &mut second[at..at + taps] {
                    *x *= factor;
                }
            }
        }
        if moved {
            let written = [(self.weights, Some(first)), (self.next, Some(second))];
            let bias = self.bias.map(|at| (at, bias));
            for (at, elements) in written.into_iter().chain(bias) {
                let Tensor { name, dims, .. } = tensors[at].clone();
                tensors[at] = Tensor::f32(name, &dims, elements?);
            }
        }
        Some(moved)
    }
}

fn largest<'a>(elements: impl Iterator<Item = &'a f32>) -> f32 {
    elements.fold(0.0, |m, x| m.max(x.abs()))
}

/// The power of two next to √(r₁ / r₂).
fn factor(first: f32, second: f32) -> f32 {
    // A tie stays, or two channels would swing for ever.
    let exponent = ((first.log2() - second.log2()) / 2.0).round_ties_even();
    match exponent.is_finite() {
        true => exponent.clamp(-MAX_EXPONENT, MAX_EXPONENT).exp2(),
        false => 1.0,
    }
}

fn pairs(graph: &Graph) -> Vec<Pair> {
    let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    // What bodies and callers read is not to be changed.
    let mut reads: HashMap<&str, usize> = HashMap::new();
    for output in &graph.outputs {
        *reads.entry(&output.name).or_default() += 1;
    }
    graph.visit(&mut |node| {
        for name in &node.input {
            *reads.entry(name).or_default() += 1;
        }
        for output in node.bodies().flat_map(|body| &body.output) {
            *reads.entry(output.name()).or_default() += 1;
        }
    });
    for node in &graph.nodes {
        for name in &node.input {
            readers.entry(name).or_default().push(node);
        }
    }
    let sole = |value: &str| reads.get(value) == Some(&1);
    let constant = |node: &NodeProto, at: usize| {
        let name = node.input_at(at).filter(|name| sole(name))?;
        let fits = |t: &Tensor| t.name == name && t.dtype == DType::F32 && !t.is_empty();
        graph.initializers.iter().position(fits)
    };
    let next = |node: &NodeProto| {
        let mut value = node.result();
        loop {
            let [reader] = readers.get(value).filter(|_| sole(value))?.as_slice() else {
                return None;
            };
            match reader.op_type() {
                "Conv" => return Some(*reader),
                op if SCALABLE.contains(&op) && reader.has_one_result() => value = reader.result(),
                _ => return None,
            }
        }
    };
    let pair = |node: &NodeProto| {
        let second = next(node)?;
        let bias = match node.input_at(2) {
            Some(_) => Some(constant(node, 2)?),
            None => None,
        };
        let pair = Pair {
            weights: constant(node, 1)?,
            bias,
            next: constant(second, 1)?,
            groups: usize::try_from(second.int("group").unwrap_or(1)).ok()?,
        };
        let (dims, next) = (
            &graph.initializers[pair.weights].dims,
            &graph.initializers[pair.next].dims,
        );
        let fits = dims.len() > 2
            && next.len() > 2
            && pair.groups > 0
            && next[0].is_multiple_of(pair.groups)
            && next[1].checked_mul(pair.groups) == Some(dims[0])
            && pair
                .bias
                .is_none_or(|at| graph.initializers[at].len() == dims[0]);
        fits.then_some(pair)
    };
    let convolutions = graph.nodes.iter().filter(|node| node.is("Conv"));
    convolutions.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::play::{self, Noise};
    use super::*;

    /// Convolutions in a row, the second depthwise, with what may lie between them.
    fn chain(seed: u32, between: &[&str]) -> Graph {
        let mut graph = Graph::new("g");
        let mut noise = Noise(seed);
        let mut x = play::picture(&mut graph, 3);
        for (shape, groups) in [
            ([8, 3, 3], 1),
            ([8, 8, 3], 8),
            ([6, 8, 1], 1),
            ([4, 6, 3], 2),
        ] {
            x = play::convolution(&mut graph, &x, shape, groups, &mut noise);
            for op in between {
                let pool = [("kernel_shape", [2, 2].into())];
                let pool = pool.into_iter().filter(|_| op.ends_with("Pool"));
                x = graph.node(op, &[&x], pool);
            }
        }
        // Channels of very different size.
        let mut tensors = graph.initializers.iter_mut();
        let weights = tensors.find(|tensor| tensor.dims == [8, 3, 3, 3]).unwrap();
        let elements = weights
            .as_f32()
            .unwrap()
            .into_owned()
            .into_iter()
            .enumerate();
        let elements = elements.map(|(i, x)| x * 3f32.powi((i / 27) as i32 - 4));
        *weights = Tensor::f32(weights.name.clone(), &[8, 3, 3, 3], elements.collect());
        play::output(&mut graph, &x, 4);
        graph
    }

    /// Largest over smallest of the channels' largest weights.
    fn spread(graph: &Graph, dims: &[usize]) -> f32 {
        let mut tensors = graph.initializers.iter();
        let tensor = tensors.find(|tensor| tensor.dims == dims).unwrap();
        let elements = tensor.as_f32().unwrap();
        let rows = elements.chunks(elements.len() / dims[0]);
        let each: Vec<f32> = rows.map(|row| largest(row.iter())).collect();
        let least = each.iter().fold(f32::INFINITY, |m, x| m.min(*x));
        each.iter().fold(0.0f32, |m, x| m.max(*x)) / least
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn the_answers_are_the_same(seed in any::<u32>()) {
            let pictures = play::pictures(2, 3);
            for between in [&[][..], &["Relu"], &["LeakyRelu"], &["Relu", "MaxPool"]] {
                let graph = chain(seed, between);
                let equal = equalize(&graph);
                let [a, b] = [&graph, &equal].map(|graph| play::answers(graph, &pictures));
                // To the bit, but for kernels that add in another order.
                for (a, b) in a["y0"].iter().zip(&b["y0"]) {
                    prop_assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{between:?}: {a} became {b}");
                }
                prop_assert!(spread(&equal, &[8, 3, 3, 3]) * 8.0 < spread(&graph, &[8, 3, 3, 3]));
            }
        }
    }

    #[test]
    fn what_does_not_commute_stays() {
        for between in [&["Sigmoid"][..], &["Clip"], &["Relu", "Tanh"]] {
            let graph = chain(1, between);
            assert_eq!(equalize(&graph), graph, "{between:?}");
        }
        // Somebody else reads the result.
        let mut read = chain(1, &["Relu"]);
        let results: Vec<String> = read.nodes.iter().map(|n| n.result().to_owned()).collect();
        for result in results {
            play::output(&mut read, &result, 4);
        }
        assert_eq!(equalize(&read), read);
    }
}
