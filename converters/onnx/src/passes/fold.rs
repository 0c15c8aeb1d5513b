//! Nodes of constants become constants.
//!
//! | before | after |
//! |---|---|
//! | a node whose inputs are all constants | its results |
//! | a node whose results are known from shapes, such as the `Shape` of a fixed shape | its results |
//!
//! Limits: what makes much of little (`Expand`, `Tile` …) stays beyond 64 KiB, and all passes together
//! add at most twice what the model weighs and 64 MiB. Nodes that quantise and dequantise stay.

use super::{Rewrite, View};
use crate::eval::numbers::Numbers;
use crate::eval::{Constants, evaluate, grows};
use crate::proto::NodeProto;
use crate::{DType, Graph};

/// Most bytes that are made of little.
const GROWN_BYTES: usize = 64 << 10;

/// Most bytes of any other result; more where the inputs have half of it.
const RESULT_BYTES: usize = 1 << 20;

/// What all passes may add besides the weight of the model.
const ADDED_BYTES: usize = 64 << 20;

/// The bytes that passes may add to a graph: each weight may be folded, and scaled by what follows.
pub(super) fn budget(graph: &Graph) -> usize {
    let weight = usize::try_from(graph.weight_bytes()).unwrap_or(usize::MAX);
    weight.saturating_mul(2).saturating_add(ADDED_BYTES)
}

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    if !node.is_standard() || node.is("Constant") {
        return None;
    }
    let tensors = known(node, view).or_else(|| calculated(node, view))?;
    Some(Rewrite::Constants(tensors))
}

/// A result whose elements inference has found.
fn known(node: &NodeProto, view: &View<'_>) -> Option<Vec<crate::Tensor>> {
    let [result] = node.output.as_slice() else {
        return None;
    };
    let fact = view.facts.get(result)?;
    let (dtype, dims, values) = (fact.dtype?, fact.fixed()?, fact.ints()?);
    if !matches!(dtype, DType::I64 | DType::I32 | DType::Bool) {
        return None;
    }
    let tensor = Numbers::Int(values).write(dtype, &dims)?;
    Some(vec![crate::Tensor {
        name: result.clone(),
        ..tensor
    }])
}

fn calculated(node: &NodeProto, view: &View<'_>) -> Option<Vec<crate::Tensor>> {
    let inputs: Vec<Option<&crate::Tensor>> = node
        .input
        .iter()
        .map(|name| match name.as_str() {
            "" => Some(None),
            name => view.constant(name).map(Some),
        })
        .collect::<Option<_>>()?;
    inputs.iter().flatten().next()?;
    let read: usize = inputs.iter().flatten().map(|t| t.data.len()).sum();
    let most = match grows(node) {
        true => GROWN_BYTES,
        false => RESULT_BYTES.max(read.saturating_mul(2)),
    };
    let tensors = evaluate(node, &Constants(inputs), most)?;
    let made: usize = tensors.iter().map(|t| t.data.len()).sum();
    (made <= most).then_some(tensors)
}
