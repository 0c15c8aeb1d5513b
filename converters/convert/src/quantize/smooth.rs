//! SmoothQuant (Xiao et al. 2022, arXiv:2211.10438): outliers of an activation move into the weights
//! that it is multiplied with, before either is quantised. In f32 the graph answers the same.
//!
//! x·W = (x / s)·(s W), with s_j = max|x_j|^α / max|W_j|^(1−α) for each feature j of x. The larger α,
//! the more moves into the weights. Several products of one x share s.
//!
//! | x is | where the division goes |
//! |---|---|
//! | a normalisation that nothing else reads | its scale and bias |
//! | a product, a sum or product with a constant, `Relu`, one side of a `Mul` | the constants behind it |
//! | a normalisation that others read too, as in BERT | `Mul(x, 1/s)` |
//! | anything else | nowhere: the outliers stay |
//!
//! A weight that other nodes read as well stays as it is, and so does what it is multiplied with.

use std::collections::HashMap;

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{Graph, Tensor};

use super::Seen;
use super::product::{Matrices, Product};

/// No feature is moved further than this, so that f32 keeps its precision.
const MAX_FACTOR: f32 = 128.0;

/// Further back than this nothing is looked for.
const MAX_STEPS: usize = 8;

/// Normalisations: the places of the scale and of the bias, which may be left out. Other results than
/// the first do not depend on them.
const NORMALIZATIONS: [(&str, usize, Option<usize>); 5] = [
    ("LayerNormalization", 1, Some(2)),
    ("RMSNormalization", 1, None),
    ("SimplifiedLayerNormalization", 1, None),
    ("SkipLayerNormalization", 2, Some(3)),
    ("SkipSimplifiedLayerNormalization", 2, None),
];

fn normalization(node: &NodeProto) -> Option<(usize, Option<usize>)> {
    let mut all = NORMALIZATIONS.iter();
    let (_, scale, bias) = all.find(|(op, ..)| *op == node.op_type())?;
    Some((*scale, *bias))
}

/// The activations that [`smooth`] asks calibration for.
pub(crate) fn wanted(graph: &Graph) -> Vec<String> {
    let flow = Flow::of(graph);
    let places = flow.places(graph);
    places.iter().map(|place| place.x.to_owned()).collect()
}

/// The graph with smoother activations: those of [`wanted`] that calibration saw. α is in 0 ..= 1.
/// What was seen of these, and of what is divided before them, does not hold for the new graph.
pub(crate) fn smooth(graph: &Graph, seen: &Seen, alpha: f32) -> Graph {
    let flow = Flow::of(graph);
    let mut smoothed = Smoothed {
        graph: graph.clone(),
        weights: HashMap::new(),
        divisions: HashMap::new(),
    };
    for place in flow.places(graph) {
        let observed = seen.get(place.x).filter(|seen| seen.not_finite == 0);
        let largest = observed.and_then(|seen| seen.features.as_ref());
        if let Some(largest) = largest.filter(|f| f.largest.len() == place.depth) {
            smoothed.apply(&place, &largest.largest, alpha);
        }
    }
    smoothed.finish()
}

/// An activation that can be smoothed.
struct Place<'a> {
    x: &'a str,
    /// Length K of x.
    depth: usize,
    /// The node that makes x.
    producer: usize,
    /// The products that read x; their weights are multiplied.
    weights: Vec<Constant>,
    /// What is divided; empty where x is divided by a node of its own.
    sources: Vec<Constant>,
}

/// An input of a node, and its axis along which the features lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Constant {
    node: usize,
    input: usize,
    axis: usize,
}

/// Who makes and who reads what.
struct Flow<'a> {
    nodes: &'a [NodeProto],
    producers: HashMap<&'a str, usize>,
    /// Reads by nodes, bodies and outputs.
    reads: HashMap<&'a str, usize>,
    constants: HashMap<&'a str, &'a Tensor>,
}

impl<'a> Flow<'a> {
    fn of(graph: &'a Graph) -> Self {
        let mut reads: HashMap<&str, usize> = HashMap::new();
        let mut read = |name: &'a str| *reads.entry(name).or_default() += 1;
        graph.outputs.iter().for_each(|output| read(&output.name));
        graph.visit(&mut |node| {
            node.input.iter().for_each(|name| read(name));
            let outputs = node.bodies().flat_map(|body| &body.output);
            outputs.for_each(|output| read(output.name()));
        });
        let nodes = graph.nodes.iter().enumerate();
        let all = graph.initializers.iter();
        Self {
            nodes: &graph.nodes,
            producers: nodes.map(|(i, node)| (node.result(), i)).collect(),
            reads,
            constants: all.map(|t| (t.name.as_str(), t)).collect(),
        }
    }

    /// In the order in which they are first read.
    fn places(&self, graph: &'a Graph) -> Vec<Place<'a>> {
        let matrices = Matrices::of(graph);
        let mut products: Vec<(&str, Vec<(usize, Product<'_>)>)> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            if let Some(product) = matrices.product(node) {
                let group = *at.entry(product.x).or_insert(products.len());
                if group == products.len() {
                    products.push((product.x, Vec::new()));
                }
                products[group].1.push((i, product));
            }
        }
        let place = |(x, readers): &(&'a str, Vec<(usize, Product<'_>)>)| {
            let depth = readers.first()?.1.depth();
            let own = |(_, p): &(usize, Product<'_>)| {
                p.depth() == depth && self.read_once(&p.weight.name)
            };
            if !readers.iter().all(own) {
                return None;
            }
            let producer = *self.producers.get(x)?;
            let mut sources = Vec::new();
            let alone = self.reads.get(x) == Some(&readers.len());
            let absorbed = alone && self.absorb(producer, depth, &mut sources, 0).is_some();
            if !absorbed {
                sources.clear();
                normalization(&self.nodes[producer])?;
            }
            let weights = readers.iter().map(|(node, product)| Constant {
                node: *node,
                input: 1,
                axis: usize::from(product.transposed),
            });
            Some(Place {
                x,
                depth,
                producer,
                weights: weights.collect(),
                sources,
            })
        };
        products.iter().filter_map(place).collect()
    }

    /// Gathers the constants that the division by s of a node's only result goes into.
    fn absorb(
        &self,
        at: usize,
        depth: usize,
        into: &mut Vec<Constant>,
        steps: usize,
    ) -> Option<()> {
        let node = self.nodes.get(at)?;
        let [first, rest @ ..] = node.input.as_slice() else {
            return None;
        };
        let back = |value: &str, into: &mut Vec<Constant>| {
            let producer = *self.producers.get(value)?;
            let may = steps < MAX_STEPS && self.read_once(value);
            may.then(|| self.absorb(producer, depth, into, steps + 1))?
        };
        let vector = |input: usize| self.vector(node, at, input, depth);
        if let Some((scale, bias)) = normalization(node) {
            into.push(vector(scale)?);
            if let Some(bias) = bias.filter(|bias| node.input_at(*bias).is_some()) {
                into.push(vector(bias)?);
            }
            return Some(());
        }
        match (node.op_type(), rest) {
            _ if !node.is_standard() => return None,
            ("Relu" | "Identity", []) => back(first, into)?,
            ("Add", [second]) => {
                let (constant, value) = match vector(1) {
                    Some(constant) => (constant, first),
                    None => (vector(0)?, second),
                };
                into.push(constant);
                back(value, into)?;
            }
            ("Mul", [second]) => {
                if let Some(constant) = vector(1).or_else(|| vector(0)) {
                    into.push(constant);
                } else {
                    let before = into.len();
                    if back(second, into).is_none() {
                        into.truncate(before);
                        back(first, into)?;
                    }
                }
            }
            ("MatMul" | "Gemm", [weight, ..]) => {
                let transposed = node.int("transB").unwrap_or(0) != 0;
                let constant = Constant {
                    node: at,
                    input: 1,
                    axis: usize::from(!transposed),
                };
                let matrix = self.constants.get(weight.as_str())?;
                let fits = matrix.dims.len() == 2 && matrix.dims[constant.axis] == depth;
                if !fits || !self.read_once(weight) || matrix.as_f32().is_none() {
                    return None;
                }
                into.push(constant);
                if node.input_at(2).is_some() {
                    into.push(vector(2)?);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// A constant with one number for each feature, which may be shared: the copy is small.
    fn vector(&self, node: &NodeProto, at: usize, input: usize, depth: usize) -> Option<Constant> {
        let tensor = *self.constants.get(node.input_at(input)?)?;
        tensor.as_f32()?;
        let axis = tensor.dims.len().checked_sub(1)?;
        let fits = tensor.dims[axis] == depth && tensor.len() == depth;
        fits.then_some(Constant {
            node: at,
            input,
            axis,
        })
    }

    fn read_once(&self, value: &str) -> bool {
        self.reads.get(value) == Some(&1)
    }
}

/// The graph on its way.
struct Smoothed {
    graph: Graph,
    /// Constants that were changed: a weight is changed along both axes when products follow.
    weights: HashMap<(usize, usize), Tensor>,
    /// By the node after which it comes.
    divisions: HashMap<usize, NodeProto>,
}

impl Smoothed {
    fn apply(&mut self, place: &Place<'_>, largest: &[f32], alpha: f32) {
        let weights = place.weights.iter();
        let weights: Option<Vec<Vec<f32>>> = weights.map(|w| self.reach(*w)).collect();
        let Some(weights) = weights else { return };
        let mut most = vec![0.0f32; place.depth];
        for of_one in &weights {
            for (most, own) in most.iter_mut().zip(of_one) {
                *most = most.max(*own);
            }
        }
        let factors = factors(largest, &most, alpha);
        let inverse: Vec<f32> = factors.iter().map(|s| 1.0 / s).collect();
        for weight in &place.weights {
            self.scale(*weight, &factors);
        }
        for source in &place.sources {
            self.scale(*source, &inverse);
        }
        if place.sources.is_empty() {
            self.divide(place, inverse);
        }
    }

    /// max|W_j| along the axis.
    fn reach(&self, constant: Constant) -> Option<Vec<f32>> {
        let tensor = self.tensor(constant)?;
        let (count, inner) = extent(&tensor, constant.axis)?;
        let mut most = vec![0.0f32; count];
        for (i, run) in tensor.as_f32()?.chunks_exact(inner).enumerate() {
            let own = &mut most[i % count];
            *own = run.iter().fold(*own, |m, x| m.max(x.abs()));
        }
        Some(most)
    }

    fn tensor(&self, constant: Constant) -> Option<Tensor> {
        if let Some(tensor) = self.weights.get(&(constant.node, constant.input)) {
            return Some(tensor.clone());
        }
        let name = self
            .graph
            .nodes
            .get(constant.node)?
            .input_at(constant.input)?;
        self.graph.find_initializer(name).cloned()
    }

    fn scale(&mut self, constant: Constant, factors: &[f32]) -> Option<()> {
        let tensor = self.tensor(constant)?;
        let (count, inner) = extent(&tensor, constant.axis)?;
        let elements = tensor.as_f32()?;
        let runs = elements.chunks_exact(inner).enumerate();
        let scaled = runs.flat_map(|(i, run)| run.iter().map(move |x| x * factors[i % count]));
        let scaled = Tensor::f32(tensor.name.clone(), &tensor.dims, scaled.collect());
        self.weights.insert((constant.node, constant.input), scaled);
        Some(())
    }

    fn divide(&mut self, place: &Place<'_>, inverse: Vec<f32>) {
        let graph = &mut self.graph;
        graph.set_scope(place.x);
        let inverse = Tensor::f32(format!("{}.smooth", place.x), &[place.depth], inverse);
        let inverse = graph.initializer(inverse);
        let divided = graph.node("Mul", &[place.x, &inverse], []);
        for weight in &place.weights {
            if let Some(x) = graph.nodes[weight.node].input.first_mut() {
                x.clone_from(&divided);
            }
        }
        // It was added at the end.
        if let Some(node) = graph.nodes.pop() {
            self.divisions.insert(place.producer, node);
        }
    }

    fn finish(mut self) -> Graph {
        let mut changed: Vec<_> = self.weights.into_iter().collect();
        changed.sort_by_key(|(at, _)| *at);
        for ((node, input), mut tensor) in changed {
            tensor.name.push_str(".smooth");
            let name = self.graph.initializer(tensor);
            self.graph.nodes[node].input[input] = name;
        }
        let nodes = std::mem::take(&mut self.graph.nodes);
        for (i, node) in nodes.into_iter().enumerate() {
            self.graph.nodes.push(node);
            self.graph.nodes.extend(self.divisions.remove(&i));
        }
        self.graph.drop_unused_initializers();
        self.graph
    }
}

/// Size of an axis, and of what lies within one index of it.
fn extent(tensor: &Tensor, axis: usize) -> Option<(usize, usize)> {
    let inner: usize = tensor.dims.get(axis + 1..)?.iter().product();
    Some((*tensor.dims.get(axis)?, inner.max(1)))
}

/// s for each feature, 1 in the (geometric) mean. A feature that is always 0, or has no weight, keeps
/// its scale.
fn factors(largest: &[f32], weights: &[f32], alpha: f32) -> Vec<f32> {
    let log = |(x, w): (&f32, &f32)| alpha * x.ln() - (1.0 - alpha) * w.ln();
    let logs: Vec<f32> = largest.iter().zip(weights).map(log).collect();
    let live = || logs.iter().filter(|log| log.is_finite());
    let mean = live().sum::<f32>() / live().count().max(1) as f32;
    let limit = MAX_FACTOR.ln();
    let factor = |log: &f32| match log.is_finite() {
        true => (log - mean).clamp(-limit, limit).exp(),
        false => 1.0,
    };
    logs.iter().map(factor).collect()
}

#[cfg(test)]
mod tests;
