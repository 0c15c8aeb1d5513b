//! Weights as integers of 4 or 8 bits with a scale for each block of a column; activations stay f32.
//! Needs no data. An answer does not depend on its neighbours in the batch.
//!
//! | before | after |
//! |---|---|
//! | `MatMul(x, W)`, W f32 K×N | `MatMulNBits(x, B, scales)`, B u8 N × blocks × bytes of a block, scales f32 N × blocks |
//! | `Gemm(x, W, b)` | the same, then `Add(b)` |
//! | `Gather(W, ids)`, W f32 V×D | `Reshape(GatherBlockQuantized(B, ids, Unsqueeze(scales)))`; B and the scales are those of a `Gemm` that reads W as N×K |
//!
//! A product rounds its activation to int8 in the same blocks (`accuracy_level` 4), which is much
//! faster than f32 and, with a scale for each block of each row, more exact than one scale for all.
//! It pays where a product reads few rows, as in a decoder, which waits for the weights; where there
//! are many rows, dynamic int8 is faster.
//!
//! Limits: tables whose rows are no multiple of the block stay f32. The operators are ONNX Runtime's
//! own: other runtimes do not know them.

use std::collections::{HashMap, HashSet};

use bevel_onnx::{CONTRIB, DType, Facts, Tensor};
use bytes::Bytes;

use super::packed::{Blocks, Packed};
use super::product::{self, Lookup, Matrices, Product, Rewrite, To, transpose};
use super::{Quantized, Request};

/// What `MatMulNBits` calls calculating in int8.
const INT8_COMPUTE: i64 = 4;

pub(crate) fn quantize(request: &Request<'_>, blocks: Blocks) -> Quantized {
    let graph = request.graph;
    let matrices = Matrices::of(graph);
    let taken = || graph.nodes.iter().filter(|node| (request.may)(node));
    let mut rewrite = Matrix {
        blocks,
        tables: taken()
            .filter_map(|node| matrices.lookup(node))
            .map(|lookup| lookup.table.name.as_str())
            .collect(),
        facts: graph.infer(),
        weights: HashMap::new(),
    };
    product::quantize(request, &matrices, &mut rewrite)
}

struct Matrix<'a> {
    blocks: Blocks,
    /// Matrices that rows are looked up in. They have no zero points, which the two operators pack
    /// differently.
    tables: HashSet<&'a str>,
    facts: Facts,
    /// By name of the weight and whether it is N×K.
    weights: HashMap<(&'a str, bool), Stored>,
}

/// Names of the constants of a weight.
#[derive(Debug, Clone)]
struct Stored {
    codes: String,
    scales: String,
    zero_points: Option<String>,
}

impl<'a> Rewrite<'a> for Matrix<'a> {
    fn product(&mut self, to: &mut To<'_, 'a>, name: &str, product: Product<'a>) -> Option<()> {
        let stored = self.weight(to, product.weight, product.transposed)?;
        let attributes = [
            ("K", int(product.depth())?),
            ("N", int(product.columns())?),
            ("bits", self.blocks.bits as i64),
            ("block_size", int(self.blocks.size)?),
            ("accuracy_level", INT8_COMPUTE),
        ];
        let mut inputs = vec![product.x, &stored.codes, &stored.scales];
        inputs.extend(stored.zero_points.as_deref());
        let graph = &mut *to.graph;
        graph.set_scope(name);
        let attributes = attributes.map(|(name, value)| (name, value.into()));
        let [result] = graph.node_in(CONTRIB, "MatMulNBits", &inputs, attributes);
        if let Some(bias) = product.bias {
            graph.node("Add", &[&result, bias], []);
        }
        Some(())
    }

    fn lookup(&mut self, to: &mut To<'_, 'a>, name: &str, lookup: Lookup<'a>) -> Option<()> {
        let Lookup { table, ids } = lookup;
        let (rank, columns) = (self.facts.rank(ids)?, table.dims[1]);
        if !columns.is_multiple_of(self.blocks.size) {
            return None;
        }
        let stored = self.weight(to, table, true)?;
        let attributes = [
            ("bits", self.blocks.bits as i64),
            ("block_size", int(self.blocks.size)?),
            ("gather_axis", 0),
            ("quantize_axis", 2),
        ];
        let mut shape = vec![0; rank];
        shape.push(int(columns)?);
        let graph = &mut *to.graph;
        graph.set_scope(name);
        let last = graph.initializer(Tensor::i64s("axis", &[2]));
        let scales = graph.node("Unsqueeze", &[&stored.scales, &last], []);
        let inputs = [stored.codes.as_str(), ids, &scales];
        let attributes = attributes.map(|(name, value)| (name, value.into()));
        let [rows] = graph.node_in(CONTRIB, "GatherBlockQuantized", &inputs, attributes);
        let shape = graph.initializer(Tensor::i64s("shape", &shape));
        graph.node("Reshape", &[&rows, &shape], []);
        Some(())
    }
}

impl<'a> Matrix<'a> {
    fn weight(
        &mut self,
        to: &mut To<'_, 'a>,
        weight: &'a Tensor,
        transposed: bool,
    ) -> Option<Stored> {
        let name = weight.name.as_str();
        if let Some(stored) = self.weights.get(&(name, transposed)) {
            return Some(stored.clone());
        }
        let [rows, cols] = *weight.dims.as_slice() else {
            return None;
        };
        let elements = weight.as_f32()?;
        let mut blocks = self.blocks;
        blocks.zero_points &= !self.tables.contains(name);
        let (packed, rows, cols) = match transposed {
            true => (blocks.pack(&elements, cols), rows, cols),
            false => (blocks.pack(&transpose(&elements, cols), rows), cols, rows),
        };
        let Packed {
            codes,
            scales,
            zero_points,
        } = packed;
        let of_row = blocks.of_row(cols);
        let graph = &mut *to.graph;
        let mut bytes = |what: &str, dims: &[usize], data: Vec<u8>| {
            let name = format!("{name}.{what}");
            graph.initializer(Tensor::new(name, DType::U8, dims, Bytes::from(data)))
        };
        let of_block = blocks.bits.bytes(blocks.size);
        let codes = bytes("codes", &[rows, of_row, of_block], codes);
        let points = [rows, blocks.bits.bytes(of_row)];
        let zero_points = zero_points.map(|data| bytes("zero", &points, data));
        let scales = Tensor::f32(format!("{name}.scale"), &[rows, of_row], scales);
        let stored = Stored {
            codes,
            scales: graph.initializer(scales),
            zero_points,
        };
        to.covered.insert(name, weight.data.len());
        self.weights.insert((name, transposed), stored.clone());
        Some(stored)
    }
}

fn int(size: usize) -> Option<i64> {
    i64::try_from(size).ok()
}

#[cfg(test)]
mod tests {
    use bevel::tensors::Named;
    use bevel_onnx::{Dim, Graph};

    use super::super::Seen;
    use super::super::packed::Bits;
    use super::super::packed::tests::unpack;
    use super::super::product::MIN_TABLE_ROWS;
    use super::super::trial::{constant, f32s, floats, i64s, input, noise, output, run};
    use super::*;

    const KINDS: [Blocks; 6] = [
        blocks(Bits::Four, 32, false),
        blocks(Bits::Four, 32, true),
        blocks(Bits::Four, 128, true),
        blocks(Bits::Eight, 32, false),
        blocks(Bits::Eight, 64, true),
        blocks(Bits::Eight, 128, false),
    ];

    const fn blocks(bits: Bits, size: usize, zero_points: bool) -> Blocks {
        Blocks {
            bits,
            size,
            zero_points,
        }
    }

    fn all(graph: &Graph, blocks: Blocks) -> Quantized {
        quantize(&Request::all(graph, &Seen::default()), blocks)
    }

    #[test]
    fn products_answer_as_their_codes_say() {
        const N: usize = 136;
        // The second is no multiple of a block.
        for (seed, depth) in [256, 200].into_iter().enumerate() {
            for transposed in [false, true] {
                let mut g = Graph::new("g");
                let x = input(&mut g, "x", &[0, depth]);
                let y = if transposed {
                    let w = constant(&mut g, "w", &[N, depth], 1);
                    let b = constant(&mut g, "b", &[N], 2);
                    g.node("Gemm", &[&x, &w, &b], [("transB", 1.into())])
                } else {
                    let w = constant(&mut g, "w", &[depth, N], 1);
                    g.node("MatMul", &[&x, &w], [])
                };
                output(&mut g, &y, "y", 2);
                let x = noise(3 * depth, seed as u32);
                let named = Named::from([("x".into(), f32s(&[3, depth], x.clone()))]);
                let expected = floats(&run(&g, &named), "y");
                let w = g.initializers[0].as_f32().unwrap().into_owned();
                let w = match transposed {
                    true => w,
                    false => transpose(&w, N),
                };
                for blocks in KINDS {
                    let quantized = all(&g, blocks);
                    assert_eq!(quantized.nodes.len(), 1);
                    assert!(quantized.covered > 0.9, "{}", quantized.covered);
                    let found = floats(&run(&quantized.graph, &named), "y");
                    let codes = unpack(blocks, &blocks.pack(&w, depth), depth);
                    for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
                        let x = &x[i / N * depth..][..depth];
                        let column = i % N * depth..(i % N + 1) * depth;
                        // What the codes are off, and x in steps of 1/127 at most.
                        let terms = x.iter().zip(&w[column.clone()]).zip(&codes[column]);
                        let (mut off, mut bound) = (0.0, 1e-4);
                        for ((x, w), (code, _)) in terms {
                            off += x * (code - w);
                            bound += code.abs() * 0.51 / 127.0;
                        }
                        let error = (b - a - off).abs();
                        assert!(error <= bound, "{blocks:?}: {a} became {b}, {off} {bound}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_table_is_stored_once_and_its_rows_are_half_a_step_off() {
        const D: usize = 128;
        for shared in [false, true] {
            let mut g = Graph::new("g");
            let dims = [Dim::named("n"), Dim::named("t")];
            let ids = g.input("ids", DType::I64, dims);
            let table = constant(&mut g, "table", &[MIN_TABLE_ROWS, D], 7);
            let rows = g.node("Gather", &[&table, &ids], []);
            if shared {
                let y = g.node("Reshape", &[&rows, "flat"], []);
                let y = g.node("Gemm", &[&y, &table], [("transB", 1.into())]);
                let flat = Tensor::i64s("flat", &[-1, D as i64]);
                g.initializer(flat);
                output(&mut g, &y, "y", 2);
            }
            output(&mut g, &rows, "rows", 3);
            let ids = vec![0, 1, 99, MIN_TABLE_ROWS as i64 - 1, 5, 0];
            let named = Named::from([("ids".into(), i64s(&[2, 3], ids.clone()))]);
            let table = g.initializers[0].as_f32().unwrap();
            for blocks in KINDS {
                let quantized = all(&g, blocks);
                assert_eq!(quantized.nodes.len(), 1 + usize::from(shared));
                let codes = quantized.graph.initializers.iter();
                assert_eq!(codes.filter(|t| t.dtype == DType::U8).count(), 1);
                let found = run(&quantized.graph, &named);
                assert_eq!(found["rows"].shape, [2, 3, D]);
                let symmetric = Blocks {
                    zero_points: false,
                    ..blocks
                };
                let codes = unpack(symmetric, &symmetric.pack(&table, D), D);
                let rows = floats(&found, "rows");
                for (id, row) in ids.iter().zip(rows.chunks_exact(D)) {
                    for (found, (code, _)) in row.iter().zip(&codes[*id as usize * D..]) {
                        assert_eq!(found, code, "{blocks:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_may_not_be_taken_or_does_not_fit_stays() {
        let mut g = Graph::new("g");
        let ids = g.input("ids", DType::I64, [Dim::named("n")]);
        let ragged = constant(&mut g, "ragged", &[MIN_TABLE_ROWS, 100], 1);
        let rows = g.node("Gather", &[&ragged, &ids], []);
        let small = constant(&mut g, "small", &[100, 2], 1);
        let y = g.node("MatMul", &[&rows, &small], []);
        output(&mut g, &y, "y", 2);
        let quantized = all(&g, KINDS[0]);
        assert_eq!(quantized.graph, g);
        assert_eq!((quantized.nodes.len(), quantized.covered), (0, 0.0));

        let large = constant(&mut g, "large", &[100, 200], 1);
        let y = g.node("MatMul", &[&rows, &large], []);
        output(&mut g, &y, "z", 2);
        let none = quantize(
            &Request {
                graph: &g,
                seen: &Seen::default(),
                may: &|_| false,
            },
            KINDS[0],
        );
        assert_eq!(none.graph, g);
        assert_eq!(all(&g, KINDS[0]).nodes, ["z"]);
    }
}
