//! Layer normalisation that an exporter took apart.
//!
//! | before | after |
//! |---|---|
//! | `c = x − ReduceMean(x)`; `c / Sqrt(ReduceMean(c²) + ε)` | `LayerNormalization(x, 1, ε)` |
//! | `Mul(LayerNormalization(x, 1), w)` | `LayerNormalization(x, w)` |
//! | `Add(LayerNormalization(x, w), b)` | `LayerNormalization(x, w, b)` |
//!
//! c² is `Pow(c, 2)` or `Mul(c, c)`; the means are over the last axis, of a size that is known; f32 alone
//! (Ba et al. 2016, arXiv:1607.06450). The root mean square norm, which has no c, stays: ONNX has no
//! operator for it before 23, and ONNX Runtime joins its parts when it loads them.

use super::{Rewrite, View};
use crate::layout;
use crate::proto::NodeProto;
use crate::{DType, Dim, Tensor};

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let [a, b] = node.input.as_slice() else {
        return None;
    };
    if !node.is_standard() || view.facts.dtype(node.result()) != Some(DType::F32) {
        return None;
    }
    match node.op_type() {
        "Div" => parts(node, a, b, view),
        "Mul" => affine(node, 1, view),
        "Add" => affine(node, 2, view),
        _ => None,
    }
}

fn parts(node: &NodeProto, centred: &str, root: &str, view: &View<'_>) -> Option<Rewrite> {
    let root = view.sole(root, "Sqrt")?;
    let sum = view.sole(root.input_at(0)?, "Add")?;
    let (variance, epsilon) = view.with_number(sum)?;
    let variance = view.sole(variance, "ReduceMean")?;
    let square = view.producer(variance.input_at(0)?)?;
    if view.readers_of(square.result()) != 1 {
        return None;
    }
    // Who reads c: the division, and what squares it.
    let reads = match square.op_type() {
        "Pow" if view.number_at(square, 1)? == 2.0 => 2,
        "Mul" if square.input_at(1)? == centred => 3,
        _ => return None,
    };
    let difference = view.producer(centred).filter(|n| n.is("Sub"))?;
    let (x, mean) = (difference.input_at(0)?, difference.input_at(1)?);
    let mean = view.sole(mean, "ReduceMean")?;
    let fits = square.is_standard()
        && square.input_at(0)? == centred
        && view.readers_of(centred) == reads
        && mean.input_at(0)? == x
        && over_last(mean, view)?
        && over_last(variance, view)?
        && epsilon > 0.0;
    let Dim::Fixed(size) = view.facts.dims(x)?.last()? else {
        return None;
    };
    if !fits {
        return None;
    }
    let ones = Tensor::f32(view.fresh("norm.weight"), &[*size], vec![1.0; *size]);
    let attributes = [("axis", (-1).into()), ("epsilon", epsilon.into())];
    let norm = NodeProto::new(
        "LayerNormalization",
        &[x, &ones.name],
        &[node.result()],
        attributes,
    );
    let norm = NodeProto {
        name: node.name.clone(),
        ..norm
    };
    Some(Rewrite::Replace(vec![norm], vec![ones]))
}

/// Whether a reduction is over the last axis alone and keeps it.
fn over_last(node: &NodeProto, view: &View<'_>) -> Option<bool> {
    let rank = view.facts.rank(node.input_at(0)?)?;
    let [axis] = view.ints_at(node, 1)?[..] else {
        return Some(false);
    };
    let last = layout::axis_of(axis, rank).is_some_and(|axis| axis + 1 == rank);
    Some(last && node.int("keepdims").unwrap_or(1) == 1)
}

/// Takes a weight (place 1) or a bias (place 2) into the normalisation before it.
fn affine(node: &NodeProto, place: usize, view: &View<'_>) -> Option<Rewrite> {
    let [a, b] = node.input.as_slice() else {
        return None;
    };
    let (norm, constant) = [(a, b), (b, a)].into_iter().find_map(|(norm, constant)| {
        let norm = view.sole(norm, "LayerNormalization")?;
        Some((norm, view.constant(constant)?))
    })?;
    let scale = view.constant_at(norm, 1)?;
    if norm.input_at(2).is_some() || !alike(constant, scale) {
        return None;
    }
    // Another weight would have to be multiplied with it.
    if place == 1 && scale.as_f32()?.iter().any(|weight| *weight != 1.0) {
        return None;
    }
    let mut joined = norm.clone();
    joined.output = vec![node.result().to_owned()];
    joined.input.truncate(place);
    joined.input.push(constant.name.clone());
    Rewrite::node(joined)
}

/// Whether a constant has one number for each of the last axis, as the scale of a normalisation.
fn alike(constant: &Tensor, scale: &Tensor) -> bool {
    constant.dtype == scale.dtype && scale.dims.len() == 1 && constant.dims == scale.dims
}
