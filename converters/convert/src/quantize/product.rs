//! The nodes that weights go through: products with a constant matrix, and lookups in a table.

use std::collections::HashMap;

use bevel_onnx::proto::NodeProto;
use bevel_onnx::{DType, Graph, Tensor};

use super::{Covered, Quantized, Request};

/// Smaller matrices, such as a classifier of few classes, save nothing and stay f32.
pub(super) const MIN_ELEMENTS: usize = 128 * 128;

/// Shorter tables, such as positions and segments, save nothing and stay f32.
pub(super) const MIN_TABLE_ROWS: usize = 2048;

/// The f32 matrices of a graph by name.
pub(super) struct Matrices<'a>(HashMap<&'a str, &'a Tensor>);

/// Where new nodes go, and the weights that they cover.
pub(super) struct To<'g, 'a> {
    pub graph: &'g mut Graph,
    pub covered: &'g mut Covered<'a>,
}

/// A scheme for matrices: writes products and lookups anew, or `None` before it writes anything.
pub(super) trait Rewrite<'a> {
    fn product(&mut self, to: &mut To<'_, 'a>, name: &str, product: Product<'a>) -> Option<()>;
    fn lookup(&mut self, to: &mut To<'_, 'a>, name: &str, lookup: Lookup<'a>) -> Option<()>;
}

/// The graph with its products and lookups by a scheme.
pub(super) fn quantize<'a>(
    request: &Request<'a>,
    matrices: &Matrices<'a>,
    rewrite: &mut impl Rewrite<'a>,
) -> Quantized {
    Quantized::of(request, |graph, node, covered| {
        let mut to = To { graph, covered };
        match matrices.product(node) {
            Some(product) => rewrite.product(&mut to, node.name(), product),
            None => rewrite.lookup(&mut to, node.name(), matrices.lookup(node)?),
        }
    })
}

/// `MatMul(x, W)` or `Gemm(x, W, b)`: x … ×K, result … ×N.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a> {
    pub x: &'a str,
    pub weight: &'a Tensor,
    /// Whether W is N×K rather than K×N.
    pub transposed: bool,
    pub bias: Option<&'a str>,
}

/// `Gather(W, ids)` of rows: W V×D.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub table: &'a Tensor,
    pub ids: &'a str,
}

impl<'a> Matrices<'a> {
    pub fn of(graph: &'a Graph) -> Self {
        let all = graph.initializers.iter();
        let matrices = all.filter(|t| t.dtype == DType::F32 && t.dims.len() == 2);
        Self(matrices.map(|t| (t.name.as_str(), t)).collect())
    }

    /// The product that a node is, where its matrix is worth quantising.
    pub fn product(&self, node: &'a NodeProto) -> Option<Product<'a>> {
        let [x, weight, ..] = node.input.as_slice() else {
            return None;
        };
        let plain = |name: &str| node.float(name).is_none_or(|factor| factor == 1.0);
        let transposed = match node.op_type() {
            _ if !node.is_standard() => return None,
            "MatMul" => false,
            "Gemm" if node.int("transA").unwrap_or(0) == 0 && plain("alpha") && plain("beta") => {
                node.int("transB").unwrap_or(0) != 0
            }
            _ => return None,
        };
        let weight = *self.0.get(weight.as_str())?;
        (weight.len() >= MIN_ELEMENTS).then_some(Product {
            x,
            weight,
            transposed,
            bias: node.input_at(2),
        })
    }

    /// The lookup that a node is, where its table is worth quantising.
    pub fn lookup(&self, node: &'a NodeProto) -> Option<Lookup<'a>> {
        if !node.is("Gather") || node.int("axis").unwrap_or(0) != 0 {
            return None;
        }
        let table = *self.0.get(node.input_at(0)?)?;
        let worth = table.len() >= MIN_ELEMENTS && table.dims[0] >= MIN_TABLE_ROWS;
        let ids = node.input_at(1)?;
        worth.then_some(Lookup { table, ids })
    }
}

impl Product<'_> {
    /// Length K of what is summed up.
    pub fn depth(&self) -> usize {
        self.weight.dims[usize::from(self.transposed)]
    }

    /// Number N of results.
    pub fn columns(&self) -> usize {
        self.weight.dims[usize::from(!self.transposed)]
    }
}

/// The transpose of a rows×cols matrix.
pub(super) fn transpose<T: Copy>(elements: &[T], cols: usize) -> Vec<T> {
    let columns = (0..cols).map(|c| elements.iter().skip(c).step_by(cols.max(1)));
    columns.flatten().copied().collect()
}
