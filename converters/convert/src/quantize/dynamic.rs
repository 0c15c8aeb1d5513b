//! Dynamic int8: weights are quantised now, activations when they are known. Needs no data.
//!
//! | before | after |
//! |---|---|
//! | `MatMul(x, W)`, W f32 K×N | `xq, xs, xz = DynamicQuantizeLinear(x)`; `Mul(Cast(MatMulInteger(xq, Wq, xz)), Mul(xs, ws))`, Wq i8 K×N, ws f32 N |
//! | `Gemm(x, W, b)`, W f32 K×N or N×K | the same, then `Add(b)` |
//! | `Gather(W, ids)`, W f32 V×D | `Mul(Cast(Gather(Wq, ids)), Gather(ws, ids))`, Wq i8 V×D, ws f32 V×1 |
//! | the same where a `Gemm` reads W as N×K too | `Transpose(Mul(Cast(Gather(Wq, ids, axis 1)), Gather(ws, ids)))`, Wq i8 D×V, ws f32 V: those of the product |
//!
//! An activation that several products read is quantised once, a weight that several nodes read is
//! stored once. ONNX Runtime fuses the first form into `DynamicQuantizeMatMul` or
//! `MatMulIntegerToFloat`, the bias with it.
//!
//! Limits: an activation has one scale for the whole batch, so an answer moves a little with its
//! neighbours. On x86 without VNNI the u8·s8 kernels saturate at 16 bits; there the runtime asks ONNX
//! Runtime for u8 weights (`session.x64quantprecision`), at some cost in speed.

use std::collections::{HashMap, HashSet};

use bevel_onnx::{DType, Facts, Tensor};

use super::product::{self, Lookup, Matrices, Product, Rewrite, To, transpose};
use super::{Quantized, Request, int8};

pub(crate) fn quantize(request: &Request<'_>) -> Quantized {
    let graph = request.graph;
    let matrices = Matrices::of(graph);
    let taken = graph.nodes.iter().filter(|node| (request.may)(node));
    let products = taken.filter_map(|node| matrices.product(node));
    let mut rewrite = Matrix {
        rows: products
            .filter(|product| product.transposed)
            .map(|product| product.weight.name.as_str())
            .collect(),
        facts: graph.infer(),
        weights: HashMap::new(),
        activations: HashMap::new(),
    };
    product::quantize(request, &matrices, &mut rewrite)
}

struct Matrix<'a> {
    /// Matrices N×K of products: there are scales for their rows.
    rows: HashSet<&'a str>,
    facts: Facts,
    /// Codes and scales of a weight, by its name and form.
    weights: HashMap<(&'a str, Form), [String; 2]>,
    /// Activation to its codes, scale and zero point.
    activations: HashMap<&'a str, [String; 3]>,
}

/// How the codes of a weight lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// As the weight, K×N, and N scales.
    Columns,
    /// The transpose of the weight N×K, and N scales.
    Turned,
    /// As the weight, V×D, and V×1 scales.
    Rows,
}

impl<'a> Rewrite<'a> for Matrix<'a> {
    fn product(&mut self, to: &mut To<'_, 'a>, name: &str, product: Product<'a>) -> Option<()> {
        let form = match product.transposed {
            true => Form::Turned,
            false => Form::Columns,
        };
        let [matrix, scales] = self.weight(to, product.weight, form)?;
        let [codes, scale, zero] = self.activation(to, product.x);
        let graph = &mut *to.graph;
        graph.set_scope(name);
        let scale = graph.node("Mul", &[&scale, &scales], []);
        let result = graph.node("MatMulInteger", &[&codes, &matrix, &zero], []);
        let result = graph.node("Cast", &[&result], [("to", to_f32().into())]);
        let result = graph.node("Mul", &[&result, &scale], []);
        if let Some(bias) = product.bias {
            graph.node("Add", &[&result, bias], []);
        }
        Some(())
    }

    fn lookup(&mut self, to: &mut To<'_, 'a>, name: &str, lookup: Lookup<'a>) -> Option<()> {
        let Lookup { table, ids } = lookup;
        // The transpose needs the number of axes.
        let shared = self.rows.contains(table.name.as_str());
        let rank = self.facts.rank(ids).filter(|_| shared);
        let (form, axis) = match rank {
            Some(_) => (Form::Turned, 1),
            None => (Form::Rows, 0),
        };
        let [codes, scales] = self.weight(to, table, form)?;
        let graph = &mut *to.graph;
        graph.set_scope(name);
        let codes = graph.node("Gather", &[&codes, ids], [("axis", axis.into())]);
        let codes = graph.node("Cast", &[&codes], [("to", to_f32().into())]);
        let scale = graph.node("Gather", &[&scales, ids], []);
        let rows = graph.node("Mul", &[&codes, &scale], []);
        if let Some(rank) = rank.and_then(|rank| i64::try_from(rank).ok()) {
            let axes: Vec<i64> = (1..=rank).chain([0]).collect();
            graph.node("Transpose", &[&rows], [("perm", axes.into())]);
        }
        Some(())
    }
}

impl<'a> Matrix<'a> {
    /// Names of the codes and the scales of a weight.
    fn weight(
        &mut self,
        to: &mut To<'_, 'a>,
        weight: &'a Tensor,
        form: Form,
    ) -> Option<[String; 2]> {
        let name = weight.name.as_str();
        if let Some(stored) = self.weights.get(&(name, form)) {
            return Some(stored.clone());
        }
        let [rows, cols] = *weight.dims.as_slice() else {
            return None;
        };
        let elements = weight.as_f32()?;
        let (codes, code_dims, scale_dims) = match form {
            Form::Columns => (int8::per_column(&elements, cols), [rows, cols], vec![cols]),
            Form::Turned => {
                let int8::Quantized { codes, scales } = int8::per_row(&elements, cols);
                let codes = transpose(&codes, cols);
                let turned = int8::Quantized { codes, scales };
                (turned, [cols, rows], vec![rows])
            }
            Form::Rows => (int8::per_row(&elements, cols), [rows, cols], vec![rows, 1]),
        };
        let int8::Quantized { codes, scales } = codes;
        let graph = &mut *to.graph;
        let stored = [
            graph.initializer(Tensor::i8(format!("{name}.int8"), &code_dims, codes)),
            graph.initializer(Tensor::f32(format!("{name}.scale"), &scale_dims, scales)),
        ];
        to.covered.insert(name, weight.data.len());
        self.weights.insert((name, form), stored.clone());
        Some(stored)
    }

    fn activation(&mut self, to: &mut To<'_, 'a>, x: &'a str) -> [String; 3] {
        let graph = &mut *to.graph;
        let quantized = self.activations.entry(x).or_insert_with(|| {
            graph.set_scope(x);
            graph.node_of("DynamicQuantizeLinear", &[x], [])
        });
        quantized.clone()
    }
}

fn to_f32() -> i64 {
    i64::from(DType::F32.code())
}

#[cfg(test)]
mod tests {
    use bevel::tensors::Named;
    use bevel_onnx::{Dim, Graph};

    use super::super::Seen;
    use super::super::product::MIN_TABLE_ROWS;
    use super::super::trial::{constant, f32s, floats, i64s, input, noise, output, run};
    use super::*;

    fn all(graph: &Graph) -> Quantized {
        quantize(&Request::all(graph, &Seen::default()))
    }

    fn count(graph: &Graph, op: &str) -> usize {
        graph.nodes.iter().filter(|n| n.op_type() == op).count()
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
        let none = quantize(&Request {
            graph: &graph,
            seen: &Seen::default(),
            may: &|_| false,
        });
        assert_eq!(none.graph, graph);
        assert_eq!((none.nodes.len(), none.covered), (0, 0.0));
    }

    /// Two products of one activation, a lookup, a small product and a Gemm of the same table.
    fn graph() -> Graph {
        let mut g = Graph::new("g");
        let ids = g.input("ids", DType::I64, [Dim::named("n")]);
        let table = constant(&mut g, "table", &[MIN_TABLE_ROWS, 128], 1);
        let x = g.node("Gather", &[&table, &ids], []);
        let a = constant(&mut g, "a", &[128, 128], 2);
        let b = constant(&mut g, "b", &[128, 256], 3);
        let small = constant(&mut g, "small", &[256, 2], 4);
        let bias = constant(&mut g, "bias", &[MIN_TABLE_ROWS], 5);
        let xa = g.node("MatMul", &[&x, &a], []);
        let xb = g.node("MatMul", &[&x, &b], []);
        let tied = g.node("Gemm", &[&xa, &table, &bias], [("transB", 1.into())]);
        let few = g.node("MatMul", &[&xb, &small], []);
        output(&mut g, &tied, "tied", 2);
        output(&mut g, &few, "few", 2);
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
        // x feeds two products and is quantised once; xa feeds the Gemm.
        assert_eq!(count(&quantized, "DynamicQuantizeLinear"), 2);
        assert_eq!(count(&quantized, "MatMulInteger"), 3);
        assert_eq!(count(&quantized, "MatMul"), 1);
        assert_eq!(count(&quantized, "Gemm"), 0);
        // The table serves the lookup and the product.
        let codes = quantized.initializers.iter();
        let mut codes: Vec<_> = codes.filter(|t| t.dtype == DType::I8).collect();
        codes.sort_by_key(|t| t.len());
        let dims: Vec<_> = codes.iter().map(|t| t.dims.as_slice()).collect();
        assert_eq!(dims, [[128, 128], [128, 256], [128, MIN_TABLE_ROWS]]);
        assert_eq!(
            quantized.find_initializer("small"),
            graph().find_initializer("small")
        );
    }

    #[test]
    fn a_short_table_stays_and_does_not_count_as_covered() {
        let mut g = Graph::new("g");
        let ids = g.input("ids", DType::I64, [Dim::named("n")]);
        let positions = constant(&mut g, "positions", &[512, 128], 1);
        let x = g.node("Gather", &[&positions, &ids], []);
        output(&mut g, &x, "x", 2);
        let quantized = all(&g);
        assert_eq!(quantized.covered, 0.0);
        assert_eq!(quantized.graph, g);
    }

    #[test]
    fn a_weight_of_several_products_is_stored_once() {
        let mut g = Graph::new("g");
        let x = input(&mut g, "x", &[0, 128]);
        let w = constant(&mut g, "w", &[128, 128], 1);
        let once = g.node("MatMul", &[&x, &w], []);
        let twice = g.node("MatMul", &[&once, &w], []);
        output(&mut g, &twice, "y", 2);
        let quantized = all(&g);
        assert_eq!(quantized.covered, 1.0);
        assert_eq!(quantized.graph.initializers.len(), 2);
    }

    #[test]
    fn products_answer_within_half_a_step_of_each_factor() {
        struct Case {
            name: &'static str,
            op: &'static str,
            transposed: Option<i64>,
            bias: bool,
        }
        const K: usize = 160;
        const N: usize = 128;
        let cases = [
            Case {
                name: "MatMul",
                op: "MatMul",
                transposed: None,
                bias: false,
            },
            Case {
                name: "Gemm K×N",
                op: "Gemm",
                transposed: Some(0),
                bias: true,
            },
            Case {
                name: "Gemm N×K",
                op: "Gemm",
                transposed: Some(1),
                bias: true,
            },
        ];
        for (seed, case) in cases.iter().enumerate() {
            let seed = seed as u32;
            let mut g = Graph::new("g");
            let x = input(&mut g, "x", &[0, K]);
            let dims = match case.transposed {
                Some(1) => [N, K],
                _ => [K, N],
            };
            let w = constant(&mut g, "w", &dims, 10 + seed);
            let mut inputs = vec![x, w];
            if case.bias {
                inputs.push(constant(&mut g, "b", &[N], 20 + seed));
            }
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let attributes = case.transposed.map(|t| ("transB", t.into()));
            let y = g.node(case.op, &inputs, attributes);
            output(&mut g, &y, "y", 2);
            let quantized = all(&g).graph;
            assert_eq!(count(&quantized, "MatMulInteger"), 1, "{}", case.name);
            let named = Named::from([("x".into(), f32s(&[3, K], noise(3 * K, seed)))]);
            let expected = floats(&run(&g, &named), "y");
            let found = floats(&run(&quantized, &named), "y");
            // |x| and |w| are at most 1, steps 2/255 and 1/127. A code of x is half a step off, and
            // another half by the rounding of the zero point at the ends of the range.
            let bound = K as f32 * (2.0 / 255.0 + 0.5 / 127.0 + 1.0 / 255.0 / 127.0);
            let mut error = 0.0;
            for (a, b) in expected.iter().zip(&found) {
                assert!((a - b).abs() <= bound, "{}: {a} became {b}", case.name);
                error += (a - b).abs() / expected.len() as f32;
            }
            // Errors of both signs: far less on average.
            assert!(error < bound / 20.0, "{}: {error} of {bound}", case.name);
        }
    }

    #[test]
    fn rows_of_a_table_are_half_a_step_off_shared_or_not() {
        const D: usize = 64;
        for shared in [false, true] {
            let mut g = Graph::new("g");
            let dims = [Dim::named("n"), Dim::named("t")];
            let ids = g.input("ids", DType::I64, dims);
            let table = constant(&mut g, "table", &[MIN_TABLE_ROWS, D], 7);
            let rows = g.node("Gather", &[&table, &ids], []);
            output(&mut g, &rows, "rows", 3);
            if shared {
                let x = input(&mut g, "x", &[0, D]);
                let y = g.node("Gemm", &[&x, &table], [("transB", 1.into())]);
                output(&mut g, &y, "y", 2);
            }
            let quantized = all(&g);
            assert!(quantized.covered == 1.0, "{}", quantized.covered);
            assert_eq!(quantized.graph.initializers.len(), 2);
            let ids = vec![0, 1, 99, MIN_TABLE_ROWS as i64 - 1, 5, 0];
            let mut named = Named::from([("ids".into(), i64s(&[2, 3], ids))]);
            if shared {
                named.insert("x".into(), f32s(&[1, D], noise(D, 3)));
            }
            let (expected, found) = (run(&g, &named), run(&quantized.graph, &named));
            assert_eq!(found["rows"].shape, [2, 3, D]);
            let pairs = floats(&expected, "rows").into_iter();
            for (a, b) in pairs.zip(floats(&found, "rows")) {
                assert!((a - b).abs() <= 0.5001 / 127.0, "{a} became {b}");
            }
        }
    }
}
