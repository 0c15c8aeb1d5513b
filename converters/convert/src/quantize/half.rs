//! fp16: weights and most activations in half the bytes, for devices that calculate in it. Inputs and
//! outputs of the graph stay f32.
//!
//! | node | precision |
//! |---|---|
//! | [`CALCULATE`] | f16 |
//! | [`CARRY`], which only moves elements | that of its input; f16 where it reads constants alone |
//! | any other, nodes with bodies, those of other domains | f32 |
//! | one whose weights f16 does not hold, or with values of more than 65504 / 8 in calibration | f32 |
//!
//! A `Cast` stands where a value crosses. Constants of ±1e30 and beyond stand for infinity, as masks
//! have it, and become ±65504: −∞ alone in a row would make `Softmax` answer NaN.
//!
//! `LayerNormalization` calculates mean and variance in f32 whatever its type (`stash_type`). What
//! sums up or takes powers, such as `ReduceMean`, `Pow` and `Exp`, stays f32: squares of ordinary
//! numbers leave the range of f16. So do positions in pictures (`Resize`, `NonMaxSuppression`).
//!
//! It is for devices with f16 arithmetic. On a CPU ONNX Runtime has few kernels for it: it casts and
//! calculates in f32, so the graph is half as large and somewhat slower.

use std::collections::{HashMap, HashSet};

use bevel_onnx::proto::{GraphProto, NodeProto};
use bevel_onnx::{Attribute, DType, Facts, Graph, Tensor};
use bytes::Bytes;
use half::f16;

use super::{Covered, Quantized, Request};

/// Operators that calculate in f16. All their f32 inputs and results are of one type.
const CALCULATE: [&str; 37] = [
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Conv",
    "ConvTranspose",
    "Div",
    "Elu",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "RMSNormalization",
    "ReduceMax",
    "ReduceMin",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softsign",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
];

/// Operators that move elements.
const CARRY: [&str; 17] = [
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "Pad",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// Operators that ask for the size of a value, of whatever type.
const SIZE: [&str; 2] = ["Shape", "Size"];

/// Values seen in calibration may grow by this factor on other data.
const HEADROOM: f32 = 8.0;

/// From here on a number stands for infinity.
const INFINITY: f32 = 1e30;

/// Largest number that f16 holds, and smallest with all its digits.
const RANGE: (f32, f32) = (65504.0, 6.103_515_6e-5);

pub(crate) fn quantize(request: &Request<'_>) -> Quantized {
    let mut rewrite = Rewrite {
        request,
        facts: request.graph.infer(),
        graph: request.graph.clone(),
        halves: HashMap::new(),
        lost: HashSet::new(),
        covered: Covered::new(),
    };
    rewrite.graph.nodes.clear();
    let mut nodes = Vec::new();
    for node in &request.graph.nodes {
        if rewrite.is_half(node) {
            rewrite.half(node);
            nodes.push(node.result().to_owned());
        } else {
            rewrite.full(node);
        }
    }
    for output in &request.graph.outputs {
        rewrite.restore(&output.name);
    }
    Quantized::new(request, rewrite.graph, nodes, &rewrite.covered)
}

struct Rewrite<'r, 'a> {
    request: &'r Request<'a>,
    facts: Facts,
    graph: Graph,
    /// The names under which f32 values are there in f16.
    halves: HashMap<&'a str, String>,
    /// The values that are there in f16 alone.
    lost: HashSet<&'a str>,
    covered: Covered<'a>,
}

impl<'a> Rewrite<'_, 'a> {
    fn is_half(&self, node: &NodeProto) -> bool {
        let op = node.op_type();
        let carries = CARRY.contains(&op);
        let takes = (carries || CALCULATE.contains(&op)) && node.is_standard();
        // Others of several results have statistics among them, which are f32.
        let plain = carries || op == "MaxPool" || node.has_one_result();
        if !takes || !plain || !(self.request.may)(node) || self.floats(&node.output).is_none() {
            return false;
        }
        let Some(floats) = self.floats(&node.input) else {
            return false;
        };
        let constant = |name: &str| self.facts.constant(name);
        let mut values = floats.iter().filter(|name| constant(name).is_none());
        let carried = !carries || values.all(|name| self.halves.contains_key(name));
        let mut constants = floats.iter().filter_map(|name| constant(name));
        let seen = floats.iter().copied();
        let mut seen = seen.chain(node.output.iter().map(String::as_str));
        !floats.is_empty() && carried && constants.all(holds) && seen.all(|name| self.bounded(name))
    }

    /// Those that are f32; `None` when the type of one is not known.
    fn floats<'n>(&self, names: &'n [String]) -> Option<Vec<&'n str>> {
        let mut floats = Vec::new();
        for name in names.iter().filter(|name| !name.is_empty()) {
            if self.facts.dtype(name)? == DType::F32 {
                floats.push(name.as_str());
            }
        }
        Some(floats)
    }

    fn bounded(&self, name: &str) -> bool {
        let Some(observed) = self.request.seen.get(name) else {
            return true;
        };
        // What a mask was added to.
        let low = if observed.min <= -INFINITY {
            0.0
        } else {
            -observed.min
        };
        low.max(observed.max) <= RANGE.0 / HEADROOM
    }

    fn half(&mut self, node: &'a NodeProto) {
        let inputs: Vec<String> = node.input.iter().map(|name| self.halved(name)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let (op, count) = (node.op_type(), node.output.len());
        self.graph.set_scope(format!("{}.f16", node.result()));
        let results = self.graph.node_many(node.domain(), op, &inputs, [], count);
        let Some(written) = self.graph.nodes.last_mut() else {
            return;
        };
        written.attribute.clone_from(&node.attribute);
        for ((own, name), result) in written.output.iter_mut().zip(&node.output).zip(results) {
            if self.facts.dtype(name) == Some(DType::F32) {
                self.halves.insert(name, result);
                self.lost.insert(name);
            } else {
                own.clone_from(name);
            }
        }
    }

    fn full(&mut self, node: &'a NodeProto) {
        let mut written = node.clone();
        for name in &mut written.input {
            match self.halves.get(name.as_str()) {
                Some(half)
                    if self.lost.contains(name.as_str()) && SIZE.contains(&node.op_type()) =>
                {
                    name.clone_from(half);
                }
                _ => self.restore(name),
            }
        }
        let mut reads = Vec::new();
        node.bodies()
            .for_each(|body| gather_reads(body, &mut reads));
        reads.into_iter().for_each(|name| self.restore(name));
        self.graph.nodes.push(written);
    }

    /// The name under which a value is there in f16, or its own when it is of another type.
    fn halved(&mut self, name: &'a str) -> String {
        if self.facts.dtype(name) != Some(DType::F32) || name.is_empty() {
            return name.to_owned();
        }
        if let Some(half) = self.halves.get(name) {
            return half.clone();
        }
        let half = match self.facts.constant(name).and_then(converted) {
            Some(constant) => {
                self.covered.insert(name, 2 * constant.data.len());
                self.graph.initializer(constant)
            }
            None => {
                self.graph.set_scope(format!("{name}.f16"));
                self.graph.node("Cast", &[name], [cast(DType::F16)])
            }
        };
        self.halves.insert(name, half.clone());
        half
    }

    /// Sees that a value is there as it was.
    fn restore(&mut self, name: &str) {
        if !self.lost.remove(name) {
            return;
        }
        let Some(half) = self.halves.get(name) else {
            return;
        };
        self.graph.set_scope(name);
        self.graph.node("Cast", &[half], [cast(DType::F32)]);
        if let Some(result) = self
            .graph
            .nodes
            .last_mut()
            .and_then(|n| n.output.first_mut())
        {
            name.clone_into(result);
        }
    }
}

fn cast(to: DType) -> (&'static str, Attribute) {
    ("to", i64::from(to.code()).into())
}

/// What a body and those in it read.
fn gather_reads<'n>(body: &'n GraphProto, reads: &mut Vec<&'n str>) {
    for node in &body.node {
        reads.extend(node.input.iter().map(String::as_str));
        node.bodies().for_each(|body| gather_reads(body, reads));
    }
    reads.extend(body.output.iter().map(|output| output.name()));
}

/// Whether f16 holds a constant: its largest element neither overflows nor loses digits.
fn holds(tensor: &Tensor) -> bool {
    let Some(elements) = tensor.as_f32() else {
        return true;
    };
    let magnitudes = elements.iter().map(|x| x.abs());
    let finite = magnitudes.filter(|x| *x < INFINITY);
    let largest = finite.fold(0.0, f32::max);
    let in_range = largest == 0.0 || (RANGE.1..=RANGE.0).contains(&largest);
    in_range && !elements.iter().any(|x| x.is_nan())
}

fn converted(tensor: &Tensor) -> Option<Tensor> {
    let elements = tensor.as_f32()?;
    let code = |x: &f32| f16::from_f32(x.clamp(-RANGE.0, RANGE.0)).to_le_bytes();
    let data: Vec<u8> = elements.iter().flat_map(code).collect();
    let name = format!("{}.f16", tensor.name);
    Some(Tensor::new(
        name,
        DType::F16,
        &tensor.dims,
        Bytes::from(data),
    ))
}

#[cfg(test)]
mod tests {
    use bevel::TensorData;
    use bevel::tensors::Named;
    use bevel_onnx::Dim;

    use super::super::Seen;
    use super::super::trial::{constant, f32s, floats, i64s, input, noise, output, run, see};
    use super::*;

    const D: usize = 64;

    fn all(graph: &Graph) -> Quantized {
        quantize(&Request::all(graph, &Seen::default()))
    }

    /// A lookup, a product, a mask, a normalisation, a mean of squares and a choice, which reads what
    /// is around it.
    fn graph() -> Graph {
        let mut g = Graph::new("g");
        let ids = g.input("ids", DType::I64, [Dim::named("n")]);
        let x = input(&mut g, "x", &[0, D]);
        let table = constant(&mut g, "table", &[100, D], 1);
        let rows = g.node("Gather", &[&table, &ids], []);
        let x = g.node("Add", &[&x, &rows], []);
        let w = constant(&mut g, "w", &[D, D], 2);
        let x = g.node("MatMul", &[&x, &w], []);
        let keep = g.input("keep", DType::Bool, [Dim::Fixed(D)]);
        let nought = g.initializer(Tensor::scalar("nought", 0.0));
        let least = g.initializer(Tensor::scalar("least", f32::MIN));
        let mask = g.node("Where", &[&keep, &nought, &least], []);
        let masked = g.node("Add", &[&x, &mask], []);
        let weights = g.node("Softmax", &[&masked], []);
        let scale = constant(&mut g, "scale", &[D], 3);
        let x = g.node("LayerNormalization", &[&x, &scale], []);
        let two = g.initializer(Tensor::scalar("two", 2.0));
        let squares = g.node("Pow", &[&x, &two], []);
        let axis = g.initializer(Tensor::i64s("axis", &[1]));
        let mean = g.node("ReduceMean", &[&squares, &axis], []);
        let zero = g.initializer(Tensor::index("zero", 0));
        let one = g.initializer(Tensor::index("one", 0));
        let yes = g.node("Equal", &[&zero, &one], []);
        let mut branch = g.body("then");
        let own = branch.node("Neg", &[&x], []);
        branch.outputs.push(bevel_onnx::Value {
            name: own,
            dtype: DType::F32,
            dims: None,
        });
        let then = g.adopt(branch);
        let mut branch = g.body("else");
        let own = branch.node("Abs", &[&x], []);
        branch.outputs.push(bevel_onnx::Value {
            name: own,
            dtype: DType::F32,
            dims: None,
        });
        let other = g.adopt(branch);
        let chosen = g.node(
            "If",
            &[&yes],
            [("then_branch", then), ("else_branch", other)],
        );
        output(&mut g, &weights, "weights", 2);
        output(&mut g, &mean, "mean", 2);
        output(&mut g, &chosen, "chosen", 2);
        output(&mut g, &x, "normal", 2);
        g
    }

    fn inputs() -> Named {
        let keep = TensorData::Bool((0..D).map(|i| i % 3 > 0).collect());
        let keep = bevel::Tensor::new(vec![D], keep).unwrap();
        Named::from([
            ("ids".into(), i64s(&[4], vec![0, 1, 7, 99])),
            ("x".into(), f32s(&[4, D], noise(4 * D, 9))),
            ("keep".into(), keep),
        ])
    }

    fn ops(graph: &Graph, half: bool) -> Vec<&str> {
        let facts = graph.infer();
        let nodes = graph.nodes.iter().filter(|node| {
            let is = |name: &String| facts.dtype(name) == Some(DType::F16);
            !node.is("Cast") && node.input.iter().chain(&node.output).any(is) == half
        });
        nodes.map(|node| node.op_type()).collect()
    }

    #[test]
    fn what_f16_is_good_for_is_calculated_in_it() {
        let g = graph();
        let quantized = all(&g);
        assert_eq!(
            ops(&quantized.graph, true),
            [
                "Gather",
                "Add",
                "MatMul",
                "Where",
                "Add",
                "Softmax",
                "LayerNormalization"
            ]
        );
        assert_eq!(
            ops(&quantized.graph, false),
            ["Pow", "ReduceMean", "Equal", "If"]
        );
        assert_eq!(quantized.nodes.len(), 7);
        assert!(quantized.covered > 0.95, "{}", quantized.covered);
        assert!(quantized.graph.weight_bytes() < g.weight_bytes() * 51 / 100);
        assert_eq!(quantized.graph.inputs, g.inputs);
        assert_eq!(quantized.graph.outputs, g.outputs);
        let (expected, found) = (run(&g, &inputs()), run(&quantized.graph, &inputs()));
        // A sum of D terms in f16 is off by D + 3 roundings of half a unit in 2^10 of each of them,
        // which are at most 2 · 1. The normalisation divides by the deviation, which is above 1 here.
        let step = 1.0 / 2048.0;
        let bound = (D as f32 + 3.0) * step * 2.0 * (D as f32).sqrt();
        for name in ["weights", "mean", "chosen", "normal"] {
            let (a, b) = (floats(&expected, name), floats(&found, name));
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() <= bound, "{name}: {a} became {b}");
            }
            let off = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
            let mean = off.sum::<f32>() / a.len() as f32;
            assert!(mean <= 8.0 * step, "{name}: {mean}");
        }
    }

    #[test]
    fn what_may_not_be_taken_or_leaves_the_range_stays() {
        let g = graph();
        let none = Request {
            graph: &g,
            seen: &Seen::default(),
            may: &|_| false,
        };
        let none = quantize(&none);
        assert_eq!(none.graph, g);
        assert_eq!((none.nodes.len(), none.covered), (0, 0.0));

        let product = g.nodes[2].result().to_owned();
        let most = quantize(&Request {
            graph: &g,
            seen: &Seen::default(),
            may: &|node| node.result() != product,
        });
        assert_eq!(most.nodes.len(), 6);
        assert!(!most.nodes.contains(&product));
        run(&most.graph, &inputs());

        let mut seen = Seen::default();
        seen.note(&product, &[1, 2], &[10_000.0, 0.0]);
        let bounded = quantize(&Request::all(&g, &seen));
        // What makes it and what reads it.
        assert_eq!(
            ops(&bounded.graph, true),
            ["Gather", "Add", "Where", "Softmax"]
        );
        let names: Vec<_> = g.nodes.iter().map(|n| n.result().to_owned()).collect();
        let mut floats = names.clone();
        let facts = g.infer();
        floats.retain(|name| facts.dtype(name) == Some(DType::F32));
        let seen = see(&g, &floats, &inputs());
        // The mask does not count.
        assert_eq!(quantize(&Request::all(&g, &seen)).nodes, all(&g).nodes);
    }

    #[test]
    fn constants_that_f16_holds() {
        let cases = [
            ("ordinary", vec![1.0, -3.5], true),
            ("zeros", vec![0.0, 0.0], true),
            ("masks", vec![f32::NEG_INFINITY, f32::MIN, 0.0], true),
            ("too large", vec![1.0, 70_000.0], false),
            ("too small", vec![1e-6, -1e-7], false),
            ("small beside large", vec![1e-6, 1.0], true),
            ("no number", vec![f32::NAN, 1.0], false),
            ("no number last", vec![1.0, f32::NAN], false),
            ("empty", vec![], true),
        ];
        for (name, elements, expected) in cases {
            let tensor = Tensor::f32("t", &[elements.len()], elements);
            assert_eq!(holds(&tensor), expected, "{name}");
            let half = converted(&tensor).unwrap();
            assert_eq!(half.data.len() * 2, tensor.data.len(), "{name}");
        }
        let mask = converted(&Tensor::scalar("t", f32::MIN)).unwrap();
        let mask = f16::from_le_bytes([mask.data[0], mask.data[1]]);
        assert_eq!(mask.to_f32(), -65504.0);
    }
}
