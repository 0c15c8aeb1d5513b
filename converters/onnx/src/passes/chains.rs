//! Two nodes of a kind, one behind the other, become one.
//!
//! | before | after |
//! |---|---|
//! | `Transpose(Transpose(x))` | one `Transpose` |
//! | `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze` behind another | one `Reshape`, `Squeeze` or `Unsqueeze` |
//! | `Concat(…, Concat(…), …)` along one axis | one `Concat` |
//! | `Slice(Slice(x))` of different axes | one `Slice` |
//! | `Cast(Cast(x))` where the first loses nothing | one `Cast` |
//! | `Relu(Relu(x))` and other operators that do nothing a second time | the first |

use super::{Rewrite, View};
use crate::layout::{axis_of, permutation};
use crate::proto::NodeProto;
use crate::{DType, Tensor};

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    if !node.is_standard() {
        return None;
    }
    match node.op_type() {
        "Transpose" => transposes(node, view),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => reshapes(node, view),
        "Concat" => concats(node, view),
        "Slice" => slices(node, view),
        "Cast" => casts(node, view),
        "Relu" | "Abs" | "Ceil" | "Floor" | "Round" | "Sign" => {
            let inner = view.producer(node.input_at(0)?)?;
            inner
                .is(node.op_type())
                .then(|| Rewrite::Forward(inner.result().to_owned()))
        }
        _ => None,
    }
}

fn transposes(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let inner = view
        .producer(node.input_at(0)?)
        .filter(|n| n.is("Transpose"))?;
    let rank = node.ints("perm")?.len();
    let (first, second) = (permutation(inner, rank)?, permutation(node, rank)?);
    let perm: Vec<i64> = second.iter().map(|p| first[*p] as i64).collect();
    let mut joined = node.clone();
    joined.input[0] = inner.input_at(0)?.to_owned();
    joined.set("perm", perm);
    Rewrite::node(joined)
}

fn reshapes(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let inner = view.producer(node.input_at(0)?)?;
    if !matches!(
        inner.op_type(),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze"
    ) || !inner.is_standard()
    {
        return None;
    }
    let x = inner.input_at(0)?;
    if let Some(joined) = same_axes(node, inner, view) {
        return Some(joined);
    }
    // A shape that is said in full, but for one size, does not depend on the shape before.
    let fixed = view.facts.get(node.result()).and_then(|fact| fact.fixed());
    let shape: Vec<i64> = match fixed {
        Some(dims) if !dims.contains(&0) => dims.iter().map(|d| *d as i64).collect(),
        _ if node.is("Reshape") => view.ints_at(node, 1).filter(|shape| !shape.contains(&0))?,
        _ => return None,
    };
    let shape = Tensor::i64s(view.fresh("shape"), &shape);
    let reshape = NodeProto {
        name: node.name.clone(),
        ..NodeProto::new("Reshape", &[x, &shape.name], &[node.result()], [])
    };
    Some(Rewrite::Replace(vec![reshape], vec![shape]))
}

/// `Squeeze` behind `Squeeze`, `Unsqueeze` behind `Unsqueeze`, and one that takes the other back.
fn same_axes(node: &NodeProto, inner: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let x = inner.input_at(0)?;
    let rank = view.facts.rank(x)?;
    let (first, second) = (view.ints_at(inner, 1)?, view.ints_at(node, 1)?);
    let places = |axes: &[i64], rank: usize| -> Option<Vec<usize>> {
        axes.iter().map(|axis| axis_of(*axis, rank)).collect()
    };
    let axes = match (inner.op_type(), node.op_type()) {
        ("Unsqueeze", "Unsqueeze") => {
            let between = rank + first.len();
            let all = between + second.len();
            let (first, mut second) = (places(&first, between)?, places(&second, all)?);
            let old: Vec<usize> = (0..all).filter(|i| !second.contains(i)).collect();
            let moved = first.iter().map(|axis| old.get(*axis).copied());
            second.extend(moved.collect::<Option<Vec<_>>>()?);
            second
        }
        ("Squeeze", "Squeeze") => {
            let mut first = places(&first, rank)?;
            let left: Vec<usize> = (0..rank).filter(|i| !first.contains(i)).collect();
            let second = places(&second, left.len())?;
            let moved = second.iter().map(|axis| left.get(*axis).copied());
            first.extend(moved.collect::<Option<Vec<_>>>()?);
            first
        }
        ("Unsqueeze", "Squeeze") => {
            let between = rank + first.len();
            let (mut first, mut second) = (places(&first, between)?, places(&second, between)?);
            first.sort_unstable();
            second.sort_unstable();
            return (first == second).then(|| Rewrite::Forward(x.to_owned()));
        }
        ("Squeeze", "Unsqueeze") => {
            let (mut first, mut second) = (places(&first, rank)?, places(&second, rank)?);
            first.sort_unstable();
            second.sort_unstable();
            return (first == second).then(|| Rewrite::Forward(x.to_owned()));
        }
        _ => return None,
    };
    let mut axes: Vec<i64> = axes.into_iter().map(|axis| axis as i64).collect();
    axes.sort_unstable();
    let axes = Tensor::i64s(view.fresh("axes"), &axes);
    let mut joined = node.clone();
    joined.input = vec![x.to_owned(), axes.name.clone()];
    Some(Rewrite::Replace(vec![joined], vec![axes]))
}

fn concats(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let axis = |node: &NodeProto| {
        let rank = view.facts.rank(node.result());
        match (node.int("axis")?, rank) {
            (axis @ 0.., _) => usize::try_from(axis).ok(),
            (axis, Some(rank)) => axis_of(axis, rank),
            _ => None,
        }
    };
    let own = axis(node)?;
    let mut input = Vec::new();
    for value in &node.input {
        match view
            .sole(value, "Concat")
            .filter(|inner| axis(inner) == Some(own))
        {
            Some(inner) => input.extend(inner.input.iter().cloned()),
            None => input.push(value.clone()),
        }
    }
    if input.len() == node.input.len() {
        return None;
    }
    Rewrite::node(NodeProto {
        input,
        ..node.clone()
    })
}

fn slices(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let inner = view.sole(node.input_at(0)?, "Slice")?;
    let rank = view.facts.rank(node.result())?;
    let lists = |node: &NodeProto| -> Option<[Vec<i64>; 4]> {
        let starts = view.ints_at(node, 1)?;
        let count = starts.len();
        let axes: Vec<i64> = match node.input_at(3) {
            Some(_) => view.ints_at(node, 3)?,
            None => (0..count as i64).collect(),
        };
        let axes = axes.iter().map(|axis| Some(axis_of(*axis, rank)? as i64));
        let steps = match node.input_at(4) {
            Some(_) => view.ints_at(node, 4)?,
            None => vec![1; count],
        };
        Some([
            starts,
            view.ints_at(node, 2)?,
            axes.collect::<Option<_>>()?,
            steps,
        ])
    };
    let (mut first, second) = (lists(inner)?, lists(node)?);
    if first[2].iter().any(|axis| second[2].contains(axis)) {
        return None;
    }
    for (list, more) in first.iter_mut().zip(second) {
        list.extend(more);
    }
    let constants = first.map(|list| Tensor::i64s(view.fresh("slice"), &list));
    let mut joined = node.clone();
    joined.input = [inner.input_at(0)?.to_owned()]
        .into_iter()
        .chain(constants.iter().map(|t| t.name.clone()))
        .collect();
    Some(Rewrite::Replace(vec![joined], constants.to_vec()))
}

fn casts(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let inner = view.producer(node.input_at(0)?).filter(|n| n.is("Cast"))?;
    let x = inner.input_at(0)?;
    let from = view.facts.dtype(x)?;
    let between = view.facts.dtype(inner.result())?;
    let lossless = matches!(
        (from, between),
        (DType::Bool, _)
            | (DType::F16 | DType::Bf16, DType::F32 | DType::F64)
            | (DType::F32, DType::F64)
            | (DType::I8 | DType::U8, DType::I16 | DType::I32 | DType::I64)
            | (DType::I32, DType::I64)
    );
    if !lossless {
        return None;
    }
    let mut joined = node.clone();
    joined.input[0] = x.to_owned();
    Rewrite::node(joined)
}
