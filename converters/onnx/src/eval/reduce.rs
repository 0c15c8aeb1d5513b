//! `Reduce*`, `ArgMax` and `ArgMin`, `CumSum`, `NonZero` of constants.

use super::Constants;
use super::arithmetic::whole;
use super::numbers::Numbers;
use crate::layout::{Inputs, axes, axis_of, strides, volume};
use crate::proto::NodeProto;
use crate::{DType, Tensor};

/// The operators of `Reduce*` by the operator that joins two elements.
const JOINS: [(&str, &str); 5] = [
    ("ReduceSum", "Add"),
    ("ReduceMean", "Add"),
    ("ReduceProd", "Mul"),
    ("ReduceMax", "Max"),
    ("ReduceMin", "Min"),
];

pub(super) fn reduce(node: &NodeProto, a: &Tensor, inputs: &Constants<'_>) -> Option<Tensor> {
    let (_, join) = JOINS.iter().find(|(op, _)| node.op_type() == *op)?;
    let rank = a.dims.len();
    let gone: Vec<usize> = match axes(node, inputs)? {
        Some(axes) if !axes.is_empty() => axes
            .iter()
            .map(|axis| axis_of(*axis, rank).filter(|a| *a < rank))
            .collect::<Option<_>>()?,
        _ if node.int("noop_with_empty_axes") == Some(1) => return Some(a.clone()),
        _ => (0..rank).collect(),
    };
    let kept: Vec<usize> = (0..rank)
        .map(|i| if gone.contains(&i) { 1 } else { a.dims[i] })
        .collect();
    let own = strides(&a.dims);
    let to = strides(&kept);
    let target = |i: usize| -> usize {
        let places = (0..rank).map(|d| match gone.contains(&d) {
            true => 0,
            false => i / own[d] % a.dims[d] * to[d],
        });
        places.sum()
    };
    let count = volume(&kept)?;
    if count == 0 || a.is_empty() {
        return None;
    }
    let per = (a.len() / count) as i64;
    let mean = node.is("ReduceMean");
    let numbers = match Numbers::read(a)? {
        Numbers::Int(values) => {
            let mut sums: Vec<Option<i64>> = vec![None; count];
            for (i, x) in values.iter().enumerate() {
                let sum = sums.get_mut(target(i))?;
                *sum = Some(sum.map_or(Some(*x), |sum| whole(join, sum, *x))?);
            }
            let sums = sums.into_iter().map(|sum| match mean {
                true => sum?.checked_div(per),
                false => sum,
            });
            Numbers::Int(sums.collect::<Option<_>>()?)
        }
        // Sums of floats depend on their order, which is the session's: only short ones are folded.
        Numbers::Single(values) if per <= 1024 => {
            let mut sums: Vec<Option<f64>> = vec![None; count];
            for (i, x) in values.iter().enumerate() {
                let sum = sums.get_mut(target(i))?;
                *sum = Some(sum.map_or(f64::from(*x), |sum| join_floats(join, sum, f64::from(*x))));
            }
            let sums = sums.into_iter().map(|sum| {
                let sum = sum?;
                Some((if mean { sum / per as f64 } else { sum }) as f32)
            });
            Numbers::Single(sums.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let dims: Vec<usize> = match node.int("keepdims").unwrap_or(1) {
        0 => (0..rank)
            .filter(|i| !gone.contains(i))
            .map(|i| a.dims[i])
            .collect(),
        _ => kept,
    };
    numbers.write(a.dtype, &dims)
}

fn join_floats(join: &str, a: f64, b: f64) -> f64 {
    match join {
        "Add" => a + b,
        "Mul" => a * b,
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        "Max" => a.max(b),
        _ => a.min(b),
    }
}

/// Running sums along an axis.
pub(super) fn cumulate(node: &NodeProto, a: &Tensor, inputs: &Constants<'_>) -> Option<Tensor> {
    let axis = axis_of(*inputs.ints(1)?.first()?, a.dims.len()).filter(|i| *i < a.dims.len())?;
    if node.int("exclusive").unwrap_or(0) != 0 || node.int("reverse").unwrap_or(0) != 0 {
        return None;
    }
    let Numbers::Int(mut values) = Numbers::read(a)? else {
        return None;
    };
    let step = strides(&a.dims)[axis];
    for i in 0..values.len() {
        if !(i / step).is_multiple_of(a.dims[axis]) {
            values[i] = values[i].wrapping_add(values[i - step]);
        }
    }
    Numbers::Int(values).write(a.dtype, &a.dims)
}

/// Rank × count indices of what is not zero.
pub(super) fn non_zero(a: &Tensor) -> Option<Tensor> {
    let Numbers::Int(values) = Numbers::read(a)? else {
        return None;
    };
    let found: Vec<usize> = (0..values.len()).filter(|i| values[*i] != 0).collect();
    let own = strides(&a.dims);
    let rows = (0..a.dims.len()).flat_map(|d| {
        found
            .iter()
            .map(|i| (i / own[d] % a.dims[d]) as i64)
            .collect::<Vec<_>>()
    });
    Numbers::Int(rows.collect()).write(DType::I64, &[a.dims.len(), found.len()])
}
