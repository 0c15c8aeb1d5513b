//! Weights in 8 bits, arithmetic in float: for the file's size alone, where kernels on codes are no
//! faster or cost too much. Needs no data.
//!
//! | before | after |
//! |---|---|
//! | `Conv(x, W, b)`, `Gemm`, `MatMul` | `Conv(x, Mul(Cast(Wq), ws), b)`, Wq i8 as W, ws f32 one for each output channel |
//!
//! ONNX Runtime folds `Cast` and `Mul` when it loads the model, which then runs as fp32 does. (It does
//! not fold `DequantizeLinear`.) After [`qdq`](super::qdq) it packs what stayed in float.
//!
//! Limit: in memory the weights are as large as ever, and no longer mapped from the file.

use std::collections::HashMap;

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{DType, Graph, Tensor};

use super::{Quantized, Request, int8};

/// Smaller weights, and what it takes to unpack them, save nothing.
const MIN_ELEMENTS: usize = 1024;

pub(crate) fn quantize(request: &Request<'_>) -> Quantized {
    let original = request.graph;
    let weights: HashMap<&str, &Tensor> = original
        .initializers
        .iter()
        .filter(|tensor| tensor.dtype == DType::F32 && tensor.len() >= MIN_ELEMENTS)
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let mut graph = original.clone();
    graph.nodes.clear();
    let (mut nodes, mut covered) = (Vec::new(), 0);
    // Weights and axis to what is read in their place.
    let mut unpacked: HashMap<(&str, usize), String> = HashMap::new();
    for node in &original.nodes {
        let mut written = node.clone();
        let weight = node.input_at(1).and_then(|name| weights.get(name)).copied();
        let axis = weight.and_then(|weight| output_axis(node, weight.dims.len()));
        if let (Some(weight), Some(axis), true) = (weight, axis, (request.may)(node)) {
            let read = unpacked.entry((&weight.name, axis)).or_insert_with(|| {
                covered += weight.data.len();
                unpack(&mut graph, weight, axis)
            });
            written.input[1].clone_from(read);
            nodes.push(node.result().to_owned());
        }
        graph.nodes.push(written);
    }
    graph.drop_unused_initializers();
    Quantized {
        graph,
        nodes,
        covered: covered as f64 / original.weight_bytes().max(1) as f64,
    }
}

/// The axis of a product's weights that becomes the channels of its results.
fn output_axis(node: &NodeProto, rank: usize) -> Option<usize> {
    match node.op_type() {
        _ if !node.is_standard() => None,
        "Conv" if rank >= 3 => Some(0),
        "ConvTranspose" if rank >= 3 => Some(1),
        "Gemm" if rank == 2 => Some(usize::from(node.int("transB").unwrap_or(0) == 0)),
        "MatMul" if rank >= 2 => Some(rank - 1),
        _ => None,
    }
}

fn unpack(graph: &mut Graph, weight: &Tensor, axis: usize) -> String {
    let channels = weight.dims[axis];
    let inner = weight.dims[axis + 1..].iter().product();
    let elements = weight.as_f32().unwrap_or_default();
    let int8::Quantized { codes, scales } =
        int8::per_channel(&elements, inner, &vec![0.0; channels]);
    graph.set_scope(weight.name.clone());
    let mut along = vec![1; weight.dims.len()];
    along[axis] = channels;
    let codes = Tensor::i8(format!("{}.int8", weight.name), &weight.dims, codes);
    let codes = graph.initializer(codes);
    let scales = Tensor::f32(format!("{}.scale", weight.name), &along, scales);
    let scales = graph.initializer(scales);
    let to = i64::from(DType::F32.code());
    let codes = graph.node("Cast", &[&codes], [("to", to.into())]);
    graph.node("Mul", &[&codes, &scales], [])
}

#[cfg(test)]
mod tests {
    use super::super::Seen;
    use super::super::play::{self, Noise};
    use super::*;

    fn graph() -> Graph {
        let mut g = Graph::new("g");
        let noise = &mut Noise(1);
        let x = play::picture(&mut g, 16);
        let x = play::convolution(&mut g, &x, [32, 16, 3], 1, noise);
        let x = play::convolution(&mut g, &x, [32, 32, 3], 32, noise);
        let weights = Tensor::f32("up", &[32, 8, 2, 2], noise.take(1024));
        let weights = g.initializer(weights);
        let x = g.node(
            "ConvTranspose",
            &[&x, &weights],
            [("strides", [1, 1].into())],
        );
        let weights = g.initializer(Tensor::f32("mix", &[17, 64], noise.take(17 * 64)));
        let x = g.node("MatMul", &[&x, &weights], []);
        play::output(&mut g, &x, 4);
        g
    }

    #[test]
    fn answers_move_by_what_the_weights_are_rounded() {
        let graph = graph();
        let seen = Seen::default();
        let packed = quantize(&Request::all(&graph, &seen));
        assert_eq!(packed.nodes.len(), 3, "{:?}", packed.nodes);
        assert!(packed.graph.weight_bytes() * 3 < graph.weight_bytes());
        let pictures = play::pictures(2, 16);
        let [a, b] = [&graph, &packed.graph].map(|graph| play::answers(graph, &pictures));
        let square = |x: f32| f64::from(x) * f64::from(x);
        let signal: f64 = a["y0"].iter().map(|x| square(*x)).sum();
        let noise = a["y0"].iter().zip(&b["y0"]).map(|(a, b)| square(a - b));
        // Weights even in ±r rounded to steps of r/127 have noise of (r/127)²/12 to a signal of r²/3.
        let each = 1.0 / (4.0 * 127.0 * 127.0);
        assert!(noise.sum::<f64>() / signal < 2.0 * 3.0 * each);
    }

    #[test]
    fn what_may_not_be_packed_stays() {
        let graph = graph();
        let seen = Seen::default();
        let request = Request {
            graph: &graph,
            seen: &seen,
            may: &|_| false,
        };
        let packed = quantize(&request);
        assert_eq!((packed.graph, packed.covered), (graph, 0.0));
    }
}
