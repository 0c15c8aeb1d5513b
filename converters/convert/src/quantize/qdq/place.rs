//! Which nodes work on codes.
//!
//! A node is *able* when its operator is in [`OPERATORS`], calibration saw all of its values finite,
//! and it may be taken. It is *useful* when it is a product with enough weights, or when what reads it
//! is able and useful: so all that lies behind the last product (decoding of boxes, `Softmax`,
//! `TopK`, the `Concat` of a detection head) stays in float. It is *fed* when it is a product or reads
//! codes: what is done to the picture before the first product stays in float as well.
//!
//! `Relu` and `Clip` behind a taken node vanish: the codes end where the range does.

use std::collections::{HashMap, HashSet};

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{DType, Graph, Tensor};

use super::super::{Request, Seen};

/// What an operator does with codes. ONNX Runtime 1.28 has a kernel on codes for each of these, u8 and
/// s8; it was looked up in the graphs that it writes after optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Multiplies with constant weights.
    Product,
    /// Calculates; each of its values has a scale of its own.
    Calculates,
    /// Moves or selects; what comes out has the scale of what goes in. Only the first input is data.
    Moves,
}

const OPERATORS: [(&str, Kind); 20] = [
    ("Add", Kind::Calculates),
    ("AveragePool", Kind::Calculates),
    ("Concat", Kind::Calculates),
    ("Conv", Kind::Product),
    ("DepthToSpace", Kind::Moves),
    ("Flatten", Kind::Moves),
    ("Gemm", Kind::Product),
    ("GlobalAveragePool", Kind::Calculates),
    ("LeakyRelu", Kind::Calculates),
    ("MatMul", Kind::Product),
    ("MaxPool", Kind::Moves),
    ("Mul", Kind::Calculates),
    ("Reshape", Kind::Moves),
    ("Resize", Kind::Moves),
    ("Sigmoid", Kind::Calculates),
    ("Slice", Kind::Moves),
    ("Split", Kind::Moves),
    ("Squeeze", Kind::Moves),
    ("Transpose", Kind::Moves),
    ("Unsqueeze", Kind::Moves),
];

/// A product of fewer weights is taken only on the way to a larger one.
const MIN_WEIGHTS: usize = 256;

/// Branches of a `Concat` whose ranges differ by more than this factor are not of one kind.
const MIXED: f32 = 4.0;

/// The weights of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    pub tensor: &'a Tensor,
    pub bias: Option<&'a Tensor>,
    /// The axis of the results' channels.
    pub axis: usize,
}

/// What is known of a graph.
pub(super) struct Place<'a> {
    graph: &'a Graph,
    /// First results of the nodes that work on codes.
    taken: HashSet<&'a str>,
    /// Result of a taken node to the `Relu` or `Clip` that vanishes.
    clamps: HashMap<&'a str, &'a NodeProto>,
    producers: HashMap<&'a str, &'a NodeProto>,
    readers: HashMap<&'a str, Vec<&'a NodeProto>>,
    /// Values that are read by bodies or are outputs.
    outside: HashSet<&'a str>,
    constants: HashMap<&'a str, &'a Tensor>,
}

impl<'a> Place<'a> {
    pub fn new(request: &Request<'a>, stem_channels: usize) -> Self {
        let mut place = Self::of(request.graph);
        let graph = request.graph;
        let nodes = graph.nodes.iter();
        place.clamps = nodes
            .filter(|node| (request.may)(node))
            .filter_map(|node| place.clamp(node))
            .collect();
        let stem = place.stem(stem_channels);
        let able = |node: &'a NodeProto| {
            let float = stem.contains(node.result()) || !(request.may)(node);
            !float && place.able(node, request.seen)
        };
        let mut useful = HashSet::new();
        for node in graph.nodes.iter().rev().filter(|node| able(node)) {
            let mut results = place.results(node);
            let weights = place.weights(node);
            let reason = weights.is_some_and(|weights| weights.tensor.len() >= MIN_WEIGHTS);
            let read = |node: &&NodeProto| useful.contains(node.result());
            if reason || results.any(|result| place.readers_of(result).iter().any(read)) {
                useful.insert(node.result());
            }
        }
        let mut taken = HashSet::new();
        for node in graph.nodes.iter().filter(|n| useful.contains(n.result())) {
            let coded = |value| {
                let producer = place.producer(value);
                producer.is_some_and(|producer| taken.contains(producer.result()))
            };
            if Self::kind(node) == Some(Kind::Product) || place.data(node).any(coded) {
                taken.insert(node.result());
            }
        }
        place.taken = taken;
        let taken = &place.taken;
        place.clamps.retain(|result, _| {
            let producer = place.producers.get(result);
            producer.is_some_and(|producer| taken.contains(producer.result()))
        });
        place
    }

    /// Before anything is taken.
    pub fn of(graph: &'a Graph) -> Self {
        let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        let mut producers = HashMap::new();
        let mut outside: HashSet<&str> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
        for node in &graph.nodes {
            for name in &node.input {
                readers.entry(name).or_default().push(node);
            }
            producers.extend(node.output.iter().map(|name| (name.as_str(), node)));
        }
        graph.visit(&mut |node| {
            for body in node.bodies() {
                outside.extend(body.output.iter().map(|output| output.name()));
                outside.extend(
                    body.node
                        .iter()
                        .flat_map(|inner| &inner.input)
                        .map(String::as_str),
                );
            }
        });
        let constants = graph.initializers.iter();
        Self {
            graph,
            taken: HashSet::new(),
            clamps: HashMap::new(),
            producers,
            readers,
            outside,
            constants: constants.map(|t| (t.name.as_str(), t)).collect(),
        }
    }

    pub fn is_taken(&self, node: &NodeProto) -> bool {
        self.taken.contains(node.result())
    }

    /// Whether the node is a `Relu` or `Clip` that vanishes.
    pub fn vanishes(&self, node: &NodeProto) -> bool {
        let clamp = node.input_at(0).and_then(|input| self.clamps.get(input));
        clamp.is_some_and(|clamp| clamp.result() == node.result())
    }

    /// What a node does on codes.
    pub fn kind(node: &NodeProto) -> Option<Kind> {
        let row = OPERATORS.iter().find(|(op, _)| node.is(op));
        row.map(|(_, kind)| *kind)
    }

    /// What a node reads that is neither a constant nor a shape.
    pub fn data(&self, node: &'a NodeProto) -> impl Iterator<Item = &'a str> {
        let count = match Self::kind(node) {
            Some(Kind::Calculates) | None => node.input.len(),
            Some(Kind::Product | Kind::Moves) => 1,
        };
        let inputs = node.input.iter().take(count).map(String::as_str);
        inputs.filter(|name| !name.is_empty())
    }

    /// What a node gives, behind its clamp.
    pub fn results(&self, node: &'a NodeProto) -> impl Iterator<Item = &'a str> {
        let names = node.output.iter().map(String::as_str);
        let names: Vec<_> = names
            .filter(|name| !name.is_empty())
            .map(|name| self.behind(name))
            .collect();
        names.into_iter()
    }

    /// The value that a result is known by: its own, or that behind its clamp.
    pub fn behind(&self, result: &'a str) -> &'a str {
        self.clamps
            .get(result)
            .map_or(result, |clamp| clamp.result())
    }

    /// The node that makes a value; for one behind a clamp, the node before the clamp.
    pub fn producer(&self, value: &str) -> Option<&'a NodeProto> {
        let node = *self.producers.get(value)?;
        let clamped = node.input_at(0).filter(|_| self.vanishes(node));
        match clamped {
            Some(clamped) => self.producers.get(clamped).copied(),
            None => Some(node),
        }
    }

    /// Whether a clamp ended a value.
    pub fn is_clamped(&self, value: &str) -> bool {
        let node = self.producers.get(value);
        node.is_some_and(|node| self.vanishes(node))
    }

    pub fn readers_of(&self, value: &str) -> &[&'a NodeProto] {
        self.readers.get(value).map_or(&[], Vec::as_slice)
    }

    /// Whether a value has other readers than these nodes.
    pub fn is_read_outside(&self, value: &str) -> bool {
        self.outside.contains(value)
    }

    /// Whether a value is x·σ(x), and of which x.
    pub fn silu(&self, x: &str) -> Option<&'a NodeProto> {
        let readers = self.readers_of(x);
        let [first, second] = readers else {
            return None;
        };
        let (sigmoid, product) = match first.is("Sigmoid") {
            true => (first, second),
            false => (second, first),
        };
        let of_both = product.is("Mul") && product.input.iter().any(|i| i == sigmoid.result());
        (sigmoid.is("Sigmoid") && of_both).then_some(*product)
    }

    /// The weights of a product that can be taken.
    pub fn weights(&self, node: &NodeProto) -> Option<Weights<'a>> {
        let constant = |at: usize| {
            let tensor = self.constants.get(node.input_at(at)?).copied();
            tensor.filter(|tensor| tensor.dtype == DType::F32 && !tensor.is_empty())
        };
        let tensor = constant(1)?;
        let rank = tensor.dims.len();
        let axis = match node.op_type() {
            "Conv" if rank >= 3 => 0,
            "Gemm" if rank == 2 && plain_gemm(node) => {
                usize::from(node.int("transB").unwrap_or(0) == 0)
            }
            "MatMul" if rank == 2 => 1,
            _ => return None,
        };
        let bias = match node.input_at(2) {
            Some(_) => Some(constant(2)?),
            None => None,
        };
        // A bias of one number for all channels is not what the kernels take.
        let fits = bias.is_none_or(|bias| bias.dims == [tensor.dims[axis]]);
        (node.is_standard() && fits).then_some(Weights { tensor, bias, axis })
    }

    fn able(&self, node: &'a NodeProto, seen: &Seen) -> bool {
        let known = |value: &str| seen.get(value).is_some_and(|seen| seen.not_finite == 0);
        let Some(kind) = Self::kind(node) else {
            return false;
        };
        let fits = match node.op_type() {
            _ if kind == Kind::Product => self.weights(node).is_some(),
            "Concat" => !self.is_mixed(node, seen),
            // The places of the largest elements are no codes.
            "MaxPool" => node.has_one_result(),
            "Resize" => node.text("mode").is_none_or(|mode| mode == "nearest"),
            _ => true,
        };
        fits && self.data(node).all(known) && self.results(node).all(known)
    }

    /// Whether branches of different kind meet, and something may take them apart again: only a
    /// product is sure to mix them.
    fn is_mixed(&self, node: &'a NodeProto, seen: &Seen) -> bool {
        let spans = self.data(node).filter_map(|value| seen.get(value));
        let (mut least, mut most) = (f32::INFINITY, 0.0f32);
        for seen in spans {
            let span = seen.max.max(0.0) - seen.min.min(0.0);
            (least, most) = (least.min(span), most.max(span));
        }
        let result = node.result();
        let mut readers = self.readers_of(result).iter();
        let apart = self.is_read_outside(result)
            || readers.any(|reader| Self::kind(reader) != Some(Kind::Product));
        apart && most > MIXED * least
    }

    /// The convolutions that a picture meets first, as long as none has more than `channels` of input.
    fn stem(&self, channels: usize) -> HashSet<&'a str> {
        let mut stem = HashSet::new();
        let inputs = self.graph.inputs.iter().map(|input| input.name.as_str());
        let mut early: HashSet<&str> = inputs.chain(self.constants.keys().copied()).collect();
        for node in &self.graph.nodes {
            let thin = || {
                let weights = self.weights(node).filter(|_| node.is("Conv"));
                let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(1);
                weights.is_some_and(|w| w.tensor.dims[1].saturating_mul(groups) <= channels)
            };
            let product = Self::kind(node) == Some(Kind::Product);
            if self.data(node).all(|value| early.contains(value)) && (!product || thin()) {
                early.extend(node.output.iter().map(String::as_str));
                if product {
                    stem.insert(node.result());
                }
            }
        }
        stem
    }

    /// A `Relu`, or a `Clip` whose bounds are known and hold zero, that alone reads the result of a
    /// node which calculates: that result, and the node.
    fn clamp(&self, node: &'a NodeProto) -> Option<(&'a str, &'a NodeProto)> {
        let bound = |at: usize, otherwise: f32| match node.input_at(at) {
            None => Some(otherwise),
            Some(name) => self.constants.get(name)?.as_f32()?.first().copied(),
        };
        let zero_is_in = match node.op_type() {
            "Relu" => true,
            "Clip" => bound(1, f32::NEG_INFINITY)? <= 0.0 && bound(2, f32::INFINITY)? >= 0.0,
            _ => false,
        };
        let value = node.input_at(0)?;
        let calculates = self.producers.get(value).and_then(|node| Self::kind(node));
        let alone = self.readers_of(value).len() == 1 && !self.is_read_outside(value);
        let fits = zero_is_in && alone && node.is_standard();
        (fits && !matches!(calculates, None | Some(Kind::Moves))).then_some((value, node))
    }
}

/// y = x·W (+ b), or with Wᵀ.
fn plain_gemm(node: &NodeProto) -> bool {
    let one = |name: &str| node.float(name).is_none_or(|value| value == 1.0);
    one("alpha") && one("beta") && node.int("transA").unwrap_or(0) == 0
}
