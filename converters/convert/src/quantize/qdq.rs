//! Static int8: scales of activations are known from calibration. `QuantizeLinear` and
//! `DequantizeLinear` stand around the operators that work on codes, and ONNX Runtime fuses them
//! into `QLinearConv`, `QLinearAdd` and their like.
//!
//! | | |
//! |---|---|
//! | weights | s8, symmetric, a scale for each output channel, stored as codes |
//! | biases | s32, scale = input's × weights' |
//! | activations | u8 (s8 where asked), one scale and a zero point; zero is a code |
//!
//! Which nodes are taken: `place`. Which scales they get: `scales`. On x86 without VNNI the u8·s8
//! kernels saturate at 16 bits, see [`dynamic`](super::dynamic).

mod place;
mod scales;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{DType, Graph, Tensor};
use bytes::Bytes;

use super::range::Method;
use super::{Quantized, Request, int8};
use place::{Kind, Place, Weights};
use scales::Scales;

/// What is chosen for a graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// How ranges of activations are chosen.
    pub method: Method,
    /// Activations in −128 … 127, as kernels of ARM like them, rather than in 0 … 255.
    pub signed: bool,
    /// The convolutions that the input meets first stay in float as long as none reads more channels
    /// than this. Rounding hurts most there, and kernels on codes want many channels: they gain
    /// nothing on three. [`STEM_CHANNELS`] is a good start; networks with `Sigmoid` behind each
    /// convolution may want more.
    pub stem_channels: usize,
}

/// Colours, and four of their neighbours beside each other.
pub(crate) const STEM_CHANNELS: usize = 16;

/// Ends the name of a result before it is rounded to codes. Behind the rounding it has its old name.
pub(super) const BEFORE: &str = ".float";

/// A bias may have codes up to this: a quarter of the accumulator's range stays for the products.
const MAX_BIAS: f32 = (1u32 << 30) as f32;

/// The values that calibration has to see.
pub(crate) fn wanted(graph: &Graph) -> Vec<String> {
    let place = Place::of(graph);
    let mut known = HashSet::new();
    let clamp = |node: &NodeProto| node.is("Relu") || node.is("Clip");
    let nodes = graph.nodes.iter();
    nodes
        .filter(|node| Place::kind(node).is_some() || clamp(node))
        .flat_map(|node| {
            place
                .data(node)
                .chain(node.output.iter().map(String::as_str))
        })
        .filter(|name| !name.is_empty() && known.insert(*name))
        .filter(|name| graph.find_initializer(name).is_none())
        .map(str::to_owned)
        .collect()
}

pub(crate) fn quantize(request: &Request<'_>, settings: &Settings) -> Quantized {
    let place = Place::new(request, settings.stem_channels);
    let mut rewrite = Rewrite {
        scales: Scales::new(request, &place, settings),
        place,
        graph: request.graph.clone(),
        parameters: HashMap::new(),
        coded: HashMap::new(),
        weights: HashMap::new(),
        covered: HashSet::new(),
    };
    rewrite.graph.nodes.clear();
    let mut nodes = Vec::new();
    for node in &request.graph.nodes {
        if rewrite.place.is_taken(node) {
            rewrite.node(node);
            nodes.push(node.result().to_owned());
        } else if !rewrite.place.vanishes(node) {
            rewrite.graph.nodes.push(node.clone());
        }
    }
    let covered = rewrite.covered.iter();
    let covered: usize = covered
        .filter_map(|name| request.graph.find_initializer(name))
        .map(|tensor| tensor.data.len())
        .sum();
    let mut graph = rewrite.graph;
    graph.drop_unused_initializers();
    Quantized {
        graph,
        nodes,
        covered: covered as f64 / request.graph.weight_bytes().max(1) as f64,
    }
}

struct Rewrite<'a> {
    place: Place<'a>,
    scales: Scales<'a>,
    graph: Graph,
    /// Value that stands for others, to its scale and zero point.
    parameters: HashMap<String, [String; 2]>,
    /// Value that a float node makes, to what taken nodes read in its place.
    coded: HashMap<&'a str, String>,
    /// Weights to their scales and what products read in their place.
    weights: HashMap<&'a str, Vec<(Vec<f32>, String)>>,
    covered: HashSet<&'a str>,
}

impl<'a> Rewrite<'a> {
    fn node(&mut self, node: &'a NodeProto) {
        let mut taken = node.clone();
        let data: Vec<&str> = self.place.data(node).collect();
        for input in &mut taken.input {
            let value = data.iter().find(|value| **value == input.as_str());
            if let Some(value) = value {
                *input = self.read(value);
            }
        }
        if let (Some(weights), [value, ..]) = (self.place.weights(node), data.as_slice()) {
            let weights = self.weights(node, value, &weights);
            taken.input.truncate(1);
            taken.input.extend(weights);
        }
        let results = node.output.iter().filter(|name| !name.is_empty());
        let rounded: Vec<&str> = results
            .map(String::as_str)
            .filter(|result| self.is_rounded(node, result))
            .collect();
        for output in &mut taken.output {
            if rounded.contains(&output.as_str()) && self.place.behind(output) == output {
                output.push_str(BEFORE);
            }
        }
        let before: Vec<String> = taken.output.clone();
        self.graph.nodes.push(taken);
        for (result, before) in node.output.iter().zip(&before) {
            if rounded.contains(&result.as_str()) {
                let known = self.place.behind(result);
                self.round(before, known);
                if let Some(last) = self.graph.nodes.last_mut() {
                    last.output = vec![known.to_owned()];
                }
            }
        }
    }

    /// Whether a result becomes codes. Products of matrices have kernels which give float; a
    /// convolution has none.
    fn is_rounded(&self, node: &NodeProto, result: &'a str) -> bool {
        let known = self.place.behind(result);
        let mut readers = self.place.readers_of(known).iter();
        node.is("Conv")
            || Place::kind(node) != Some(Kind::Product)
            || known != result
            || readers.any(|reader| self.place.is_taken(reader))
    }

    /// What a taken node reads in the place of a value.
    fn read(&mut self, value: &'a str) -> String {
        let taken = |producer: &NodeProto| self.place.is_taken(producer);
        if self.place.producer(value).is_some_and(taken) {
            return value.to_owned();
        }
        if let Some(known) = self.coded.get(value) {
            return known.clone();
        }
        let read = self.round(value, value);
        self.coded.insert(value, read.clone());
        read
    }

    /// Rounds `from` to the codes of `value`, and answers what they stand for.
    fn round(&mut self, from: &str, value: &str) -> String {
        let [scale, zero] = self.parameters(value);
        let graph = &mut self.graph;
        graph.set_scope(value);
        let codes = graph.node("QuantizeLinear", &[from, &scale, &zero], []);
        graph.node("DequantizeLinear", &[&codes, &scale, &zero], [])
    }

    fn parameters(&mut self, value: &str) -> [String; 2] {
        let root = self.scales.root(value);
        if let Some(known) = self.parameters.get(root) {
            return known.clone();
        }
        let codes = self.scales.codes(root);
        let dtype = if codes.signed { DType::I8 } else { DType::U8 };
        let zero = codes.zero.to_le_bytes();
        let zero = Tensor::new(
            format!("{root}.zero"),
            dtype,
            &[],
            Bytes::copy_from_slice(&zero[..1]),
        );
        let scale = Tensor::scalar(format!("{root}.scale"), codes.scale);
        let parameters = [self.graph.initializer(scale), self.graph.initializer(zero)];
        self.parameters.insert(root.to_owned(), parameters.clone());
        parameters
    }

    /// What a product reads in the place of its weights and its bias.
    fn weights(
        &mut self,
        node: &NodeProto,
        input: &str,
        weights: &Weights<'a>,
    ) -> impl IntoIterator<Item = String> + use<> {
        let tensor = weights.tensor;
        let channels = tensor.dims[weights.axis];
        let inner = tensor.dims[weights.axis + 1..].iter().product();
        let input_scale = self.scales.codes(input).scale;
        let bias = weights.bias.and_then(Tensor::as_f32);
        let bias = bias.map_or_else(|| vec![0.0; channels], |bias| bias.into_owned());
        // Weights next to nothing beside their bias: coarser ones lose nothing, and the bias fits.
        let least = bias.iter().map(|b| b.abs() / input_scale / MAX_BIAS);
        let least: Vec<f32> = least.collect();
        let elements = tensor.as_f32().unwrap_or_default();
        let int8::Quantized { codes, scales } = int8::per_channel(&elements, inner, &least);
        self.covered.insert(&tensor.name);

        let known = self.weights.entry(&tensor.name).or_default();
        let read = match known.iter().find(|(known, _)| *known == scales) {
            Some((_, read)) => read.clone(),
            None => {
                let codes = Tensor::i8(format!("{}.int8", tensor.name), &tensor.dims, codes);
                let zero = Tensor::i8(
                    format!("{}.zero", tensor.name),
                    &[channels],
                    vec![0; channels],
                );
                let read = stored(&mut self.graph, codes, scales.clone(), zero, weights.axis);
                known.push((scales.clone(), read.clone()));
                read
            }
        };
        if node.is("MatMul") {
            return vec![read];
        }
        let scales: Vec<f32> = scales.iter().map(|s| s * input_scale).collect();
        let codes = bias
            .iter()
            .zip(&scales)
            .map(|(b, scale)| (b / scale).round_ties_even() as i32);
        let name = weights
            .bias
            .map_or_else(|| format!("{}.bias", tensor.name), |b| b.name.clone());
        let codes = int32(format!("{name}.int32"), codes);
        let zero = int32(format!("{name}.zero"), std::iter::repeat_n(0, channels));
        let bias = stored(&mut self.graph, codes, scales, zero, 0);
        vec![read, bias]
    }
}

/// A list of i32.
pub(super) fn int32(name: String, elements: impl Iterator<Item = i32>) -> Tensor {
    let data: Bytes = elements.flat_map(i32::to_le_bytes).collect();
    let dims = [data.len() / 4];
    Tensor::new(name, DType::I32, &dims, data)
}

/// Adds constant codes, and answers what they stand for.
fn stored(graph: &mut Graph, codes: Tensor, scales: Vec<f32>, zero: Tensor, axis: usize) -> String {
    graph.set_scope(codes.name.clone());
    let scales = Tensor::f32(format!("{}.scale", codes.name), &[scales.len()], scales);
    let inputs = [codes, scales, zero].map(|tensor| graph.initializer(tensor));
    let inputs = inputs.each_ref().map(String::as_str);
    graph.node(
        "DequantizeLinear",
        &inputs,
        [("axis", (axis as i64).into())],
    )
}
