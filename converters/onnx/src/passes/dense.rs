//! `Add(MatMul(x, W), b)` of a matrix x, with W and b constant, becomes `Gemm(x, W, b)`. Floats only:
//! sessions have no `Gemm` of whole numbers, though ONNX has.

use super::{Rewrite, View};
use crate::DType;
use crate::proto::NodeProto;

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let [a, b] = node.is("Add").then_some(node.input.as_slice())? else {
        return None;
    };
    let (product, bias) = [(a, b), (b, a)]
        .into_iter()
        .find_map(|(product, bias)| Some((view.sole(product, "MatMul")?, view.constant(bias)?)))?;
    let (x, weight) = (product.input_at(0)?, product.input_at(1)?);
    let matrix = view.constant(weight).filter(|w| w.dims.len() == 2)?;
    let columns = *matrix.dims.get(1)?;
    let fits = matches!(bias.dims.as_slice(), [n] | [1, n] if *n == columns);
    let floats = matches!(matrix.dtype, DType::F32 | DType::F64 | DType::F16);
    if view.facts.rank(x)? != 2 || !fits || !floats {
        return None;
    }
    let gemm = NodeProto::new("Gemm", &[x, weight, &bias.name], &[node.result()], []);
    Rewrite::node(NodeProto {
        name: product.name.clone(),
        ..gemm
    })
}
