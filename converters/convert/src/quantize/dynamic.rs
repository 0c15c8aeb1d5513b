//! Dynamic int8: weights are quantised now, activations when they are known. Needs no data.
//!
//! | before | after |
//! |---|---|
//! | `MatMul(x, W)`, W f32 K×N | `xq, xs, xz = DynamicQuantizeLinear(x)`; `Mul(Cast(MatMulInteger(xq, Wq, xz)), Mul(xs, ws))`, Wq i8 K×N, ws f32 N |
//! | `Gemm(x, W, b)`, W f32 N×K | the same on Wᵀ, then `Add(b)` |
//! | `Gather(W, ids)`, W f32 V×D | `Mul(Cast(Gather(Wq, ids)), Gather(ws, ids))`, Wq i8 V×D, ws f32 V×1 |
//!
//! An activation that several products read is quantised once. ONNX Runtime fuses the first form
//! into `DynamicQuantizeMatMul` or `MatMulIntegerToFloat`, the bias with it.
//!
//! Limits: an activation has one scale for the whole batch, so an answer moves a little with its
//! neighbours. On x86 without VNNI the u8·s8 kernels saturate at 16 bits; there the runtime asks ONNX
//! Runtime for u8 weights (`session.x64quantprecision`), at some cost in speed.

use std::collections::{HashMap, HashSet};

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{DType, Graph, Tensor};

use super::{Quantized, Request, int8};

/// Smaller matrices, such as a classifier of few classes, save nothing and stay f32.
const MIN_ELEMENTS: usize = 128 * 128;

/// Shorter tables, such as positions and segments, save nothing and stay f32.
const MIN_TABLE_ROWS: usize = 2048;

pub(crate) fn quantize(request: &Request<'_>) -> Quantized {
    let graph = request.graph;
    let mut rewrite = Rewrite {
        graph: graph.clone(),
        weights: graph
            .initializers
            .iter()
            .filter(|tensor| tensor.dtype == DType::F32 && tensor.dims.len() == 2)
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect(),
        activations: HashMap::new(),
        covered: HashSet::new(),
    };
    rewrite.graph.nodes.clear();
    let mut nodes = Vec::new();
    for node in &graph.nodes {
        if (request.may)(node) && rewrite.node(node).is_some() {
            nodes.push(node.result().to_owned());
        } else {
            rewrite.graph.nodes.push(node.clone());
        }
    }
    let covered: usize = rewrite
        .covered
        .iter()
        .filter_map(|name| rewrite.weights.get(name))
        .map(|tensor| tensor.data.len())
        .sum();
    let mut quantized = rewrite.graph;
    quantized.drop_unused_initializers();
    Quantized {
        graph: quantized,
        nodes,
        covered: covered as f64 / graph.weight_bytes().max(1) as f64,
    }
}

struct Rewrite<'a> {
    graph: Graph,
    /// Matrices of the original graph.
    weights: HashMap<&'a str, &'a Tensor>,
    /// Activation to its codes, scale and zero point.
    activations: HashMap<&'a str, [String; 3]>,
    covered: HashSet<&'a str>,
}

impl<'a> Rewrite<'a> {
    /// Writes the quantised form of a node; `None` when the node stays as it is.
    fn node(&mut self, node: &'a NodeProto) -> Option<()> {
        let [first, second, rest @ ..] = node.input.as_slice() else {
            return None;
        };
        let name = node.name();
        match (node.op_type(), rest) {
            ("MatMul", []) => {
                let weight = self.matrix(second, 1)?;
                let columns = weight.dims[1];
                let quantized = int8::per_column(&weight.as_f32()?, columns);
                let matrix = Tensor::i8(weight.name.clone(), &weight.dims, quantized.codes);
                self.product(name, first, matrix, quantized.scales);
            }
            ("Gemm", rest) => {
                let attributes = node.attribute.as_slice();
                let [attribute] = attributes else { return None };
                if attribute.name() != "transB" || attribute.i() != 1 {
                    return None;
                }
                let weight = self.matrix(second, 1)?;
                let (rows, columns) = (weight.dims[0], weight.dims[1]);
                let quantized = int8::per_row(&weight.as_f32()?, columns);
                let codes = (0..columns * rows)
                    .map(|i| quantized.codes[i % rows * columns + i / rows])
                    .collect();
                let matrix = Tensor::i8(weight.name.clone(), &[columns, rows], codes);
                let product = self.product(name, first, matrix, quantized.scales);
                if let Some(bias) = rest.first() {
                    self.graph.set_scope(name);
                    self.graph.node("Add", &[&product, bias], []);
                }
            }
            ("Gather", []) if node.attribute.iter().all(|a| a.i() == 0) => {
                let table = self.matrix(first, MIN_TABLE_ROWS)?;
                let columns = table.dims[1];
                let quantized = int8::per_row(&table.as_f32()?, columns);
                let codes = Tensor::i8(table.name.clone(), &table.dims, quantized.codes);
                self.lookup(name, codes, quantized.scales, second);
            }
            _ => return None,
        }
        // What reads the node's result reads the last of the new nodes.
        let last = self.graph.nodes.last_mut()?;
        last.output.clone_from(&node.output);
        Some(())
    }

    /// A weight worth quantising, which counts as covered from here on.
    fn matrix(&mut self, name: &str, min_rows: usize) -> Option<&'a Tensor> {
        let (name, tensor) = self.weights.get_key_value(name)?;
        if tensor.len() < MIN_ELEMENTS || tensor.dims[0] < min_rows {
            return None;
        }
        self.covered.insert(name);
        Some(tensor)
    }

    fn product(&mut self, name: &str, x: &'a str, matrix: Tensor, scales: Vec<f32>) -> String {
        let [codes, scale, zero] = self.activation(x);
        let graph = &mut self.graph;
        graph.set_scope(name);
        let scales = Tensor::f32(format!("{}.scale", matrix.name), &[scales.len()], scales);
        let scales = graph.initializer(scales);
        let matrix = graph.initializer(quantized_name(matrix));
        let scale = graph.node("Mul", &[&scale, &scales], []);
        let product = graph.node("MatMulInteger", &[&codes, &matrix, &zero], []);
        let product = graph.node("Cast", &[&product], [("to", to_f32().into())]);
        graph.node("Mul", &[&product, &scale], [])
    }

    fn lookup(&mut self, name: &str, table: Tensor, scales: Vec<f32>, ids: &str) {
        let graph = &mut self.graph;
        graph.set_scope(name);
        let scales = Tensor::f32(format!("{}.scale", table.name), &[scales.len(), 1], scales);
        let scales = graph.initializer(scales);
        let table = graph.initializer(quantized_name(table));
        let codes = graph.node("Gather", &[&table, ids], []);
        let codes = graph.node("Cast", &[&codes], [("to", to_f32().into())]);
        let scale = graph.node("Gather", &[&scales, ids], []);
        graph.node("Mul", &[&codes, &scale], []);
    }

    fn activation(&mut self, x: &'a str) -> [String; 3] {
        let graph = &mut self.graph;
        let quantized = self.activations.entry(x).or_insert_with(|| {
            graph.set_scope(x);
            graph.node_of("DynamicQuantizeLinear", &[x], [])
        });
        quantized.clone()
    }
}

fn quantized_name(tensor: Tensor) -> Tensor {
    Tensor {
        name: format!("{}.int8", tensor.name),
        ..tensor
    }
}

fn to_f32() -> i64 {
    i64::from(DType::F32.code())
}

#[cfg(test)]
mod tests {
    use bevel_onnx::Dim;

    use super::super::Seen;
    use super::*;

    fn all(graph: &Graph) -> Quantized {
        quantize(&Request::all(graph, &Seen::default()))
    }

    #[test]
    fn what_may_not_be_taken_stays() {
        let graph = graph();
        let kept = graph.nodes[1].result().to_owned();
        let quantized = quantize(&Request {
            graph: &graph,
            seen: &Seen::default(),
            may: &|node| node.result() != kept,
        });
        assert_eq!(quantized.nodes.len(), 3);
        assert!(!quantized.nodes.contains(&kept));
        let mut products = quantized.graph.nodes.iter().filter(|n| n.is("MatMul"));
        assert!(products.any(|n| n.result() == kept));
    }

    /// Two products of one activation, a lookup, a small product and a Gemm.
    fn graph() -> Graph {
        let mut g = Graph::new("g");
        let ids = g.input("ids", DType::I64, [Dim::named("n")]);
        let matrix = |name: &str, rows: usize, cols: usize| {
            let elements = (0..rows * cols).map(|i| (i % 17) as f32 - 8.0).collect();
            Tensor::f32(name, &[rows, cols], elements)
        };
        let table = g.initializer(matrix("table", MIN_TABLE_ROWS, 128));
        let x = g.node("Gather", &[&table, &ids], []);
        let a = g.initializer(matrix("a", 128, 128));
        let b = g.initializer(matrix("b", 128, 256));
        let small = g.initializer(matrix("small", 256, 2));
        let bias = g.initializer(Tensor::f32(
            "bias",
            &[MIN_TABLE_ROWS],
            vec![0.0; MIN_TABLE_ROWS],
        ));
        let xa = g.node("MatMul", &[&x, &a], []);
        let xb = g.node("MatMul", &[&x, &b], []);
        let tied = g.node("Gemm", &[&xa, &table, &bias], [("transB", 1.into())]);
        let few = g.node("MatMul", &[&xb, &small], []);
        g.output(&tied, "tied", DType::F32, [Dim::Unknown, Dim::Unknown]);
        g.output(&few, "few", DType::F32, [Dim::Unknown, Dim::Unknown]);
        g
    }

    #[test]
    fn large_weights_are_quantised_and_activations_once() {
        let Quantized {
            graph: quantized,
            nodes,
            covered,
        } = all(&graph());
        quantized.check().unwrap();
        assert_eq!(quantized.inputs, graph().inputs);
        assert_eq!(quantized.outputs, graph().outputs);
        assert!(covered > 0.95, "{covered}");
        assert_eq!(nodes.len(), 4);
        let count = |op: &str| quantized.nodes.iter().filter(|n| n.op_type() == op).count();
        // x feeds two products and is quantised once; xa feeds the Gemm.
        assert_eq!(count("DynamicQuantizeLinear"), 2);
        assert_eq!(count("MatMulInteger"), 3);
        assert_eq!(count("MatMul"), 1);
        assert_eq!(count("Gemm"), 0);
        let names: Vec<_> = quantized.initializers.iter().map(|t| &t.name).collect();
        assert!(!names.contains(&&"table".to_owned()), "{names:?}");
        assert_eq!(
            quantized.find_initializer("small"),
            graph().find_initializer("small")
        );
    }

    #[test]
    fn a_short_table_stays_and_does_not_count_as_covered() {
        let mut g = Graph::new("g");
        let ids = g.input("ids", DType::I64, [Dim::named("n")]);
        let positions = vec![0.5; 512 * 128];
        let positions = g.initializer(Tensor::f32("positions", &[512, 128], positions));
        let x = g.node("Gather", &[&positions, &ids], []);
        g.output(&x, "x", DType::F32, [Dim::Unknown, Dim::Unknown]);
        let quantized = all(&g);
        assert_eq!(quantized.covered, 0.0);
        assert_eq!(quantized.graph.initializers, g.initializers);
    }

    #[test]
    fn codes_of_a_tied_table_are_its_transpose() {
        let quantized = all(&graph()).graph;
        let int8 = |dims: [usize; 2]| {
            let mut all = quantized.initializers.iter();
            let tensor = all.find(|t| t.dtype == DType::I8 && t.dims == dims);
            tensor.unwrap().data.clone()
        };
        let rows = int8([MIN_TABLE_ROWS, 128]);
        let columns = int8([128, MIN_TABLE_ROWS]);
        for (row, col) in [(0, 0), (5, 100), (MIN_TABLE_ROWS - 1, 127)] {
            assert_eq!(rows[row * 128 + col], columns[col * MIN_TABLE_ROWS + row]);
        }
    }
}
