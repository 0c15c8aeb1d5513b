//! The detour that operator sets before 13 need for `Softmax`, `LogSoftmax` and `Hardmax` is taken out
//! where all it joins is one axis.
//!
//! `Reshape(Softmax(Flatten(x, a)), Shape(x))` becomes `Softmax(x, k)`, where k is the only axis from a
//! on that is longer than 1.

use super::{Rewrite, View};
use crate::Dim;
use crate::layout::flatten_axis;
use crate::proto::NodeProto;

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let softmax = node
        .is("Reshape")
        .then(|| view.producer(node.input_at(0)?))
        .flatten()?;
    if !matches!(softmax.op_type(), "Softmax" | "LogSoftmax" | "Hardmax") || !softmax.is_standard()
    {
        return None;
    }
    if !matches!(softmax.int("axis"), None | Some(-1 | 1)) {
        return None;
    }
    let flatten = view
        .producer(softmax.input_at(0)?)
        .filter(|n| n.is("Flatten"))?;
    let x = flatten.input_at(0)?;
    let dims = view.facts.dims(x)?;
    let asks = view.producer(node.input_at(1)?);
    let back = asks
        .is_some_and(|n| n.is("Shape") && n.input_at(0) == Some(x) && n.attribute.is_empty())
        || view.facts.dims(node.result()) == Some(dims) && !dims.contains(&Dim::Unknown);
    let first = flatten_axis(flatten, dims.len())?;
    let mut long = (first..dims.len()).filter(|i| dims[*i] != Dim::Fixed(1));
    let axis = match (long.next(), long.next()) {
        (Some(axis), None) => axis,
        (None, _) => dims.len().checked_sub(1).filter(|last| *last >= first)?,
        _ => return None,
    };
    let mut direct = softmax.clone();
    direct.input[0] = x.to_owned();
    direct.output = vec![node.result().to_owned()];
    direct.set("axis", axis as i64);
    back.then(|| Rewrite::Replace(vec![direct], Vec::new()))
}
