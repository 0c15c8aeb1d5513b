//! Nodes that do nothing are passed by: `Identity`, `Dropout`, a `Cast` to the type it is, a `Reshape`
//! to the shape it has, a `Transpose` by 0, 1, 2 …, a `Pad` of nothing, a `Concat` of one, a `Slice` of
//! everything, plus 0, times 1 and their like.
//!
//! Shapes count as equal when each dimension has the same size or the same name.

use super::{Rewrite, View};
use crate::eval::numbers::Numbers;
use crate::layout::{self, Inputs, permutation, slices};
use crate::proto::NodeProto;
use crate::{DType, Dim, Tensor};

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    if !node.is_standard() || !node.has_one_result() {
        return None;
    }
    if node.is("CastLike") {
        let dtype = view.facts.dtype(node.input_at(1)?)?;
        let mut cast = node.clone();
        cast.op_type = Some("Cast".into());
        cast.input.truncate(1);
        cast.set("to", i64::from(dtype.code()));
        return Rewrite::node(cast);
    }
    if node.is("Concat") && node.input.len() > 1 {
        return without_empty(node, view);
    }
    if let Some(value) = neutral(node, view) {
        return Some(Rewrite::Forward(value));
    }
    let idle = match node.op_type() {
        "Identity" => true,
        "Dropout" => match node.input_at(2) {
            None => true,
            Some(_) => view.ints_at(node, 2)? == [0],
        },
        "Cast" => {
            let to = DType::from_code(i32::try_from(node.int("to")?).ok()?);
            to.is_some() && to == view.facts.dtype(node.input_at(0)?)
        }
        "Flatten" if node.int("axis").unwrap_or(1) == 1 && rank(node, view) == Some(2) => true,
        "Reshape" | "Expand" | "Squeeze" | "Unsqueeze" | "Flatten" | "Tile" => {
            keeps_shape(node, view)
        }
        "Transpose" => {
            let rank = rank(node, view).or(node.ints("perm").map(<[i64]>::len))?;
            permutation(node, rank)?.into_iter().eq(0..rank)
        }
        "Pad" => match node.ints("pads") {
            Some(pads) => pads.iter().all(|pad| *pad == 0),
            None => view.ints_at(node, 1)?.iter().all(|pad| *pad == 0),
        },
        "Concat" | "Sum" | "Max" | "Min" | "Mean" => node.input.len() == 1,
        // One part is all of it.
        "Split" => node.output.len() == 1,
        "Slice" => slices_all(node, view)?,
        "Clip" => node.input_at(1).is_none() && node.input_at(2).is_none(),
        "Resize" => resizes_to_itself(node, view),
        "MaxPool" | "AveragePool" => {
            let ones = |name: &str, of: i64| {
                node.ints(name)
                    .is_none_or(|values| values.iter().all(|v| *v == of))
            };
            node.ints("kernel_shape")?.iter().all(|k| *k == 1)
                && ones("strides", 1)
                && ones("pads", 0)
        }
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" => {
            node.int("keepdims").unwrap_or(1) == 1 && reduces_ones(node, view)?
        }
        _ => false,
    };
    let value = node.input_at(0)?;
    idle.then(|| Rewrite::Forward(value.to_owned()))
}

fn rank(node: &NodeProto, view: &View<'_>) -> Option<usize> {
    view.facts.rank(node.input_at(0)?)
}

/// Whether the result has the shape of the first input.
fn keeps_shape(node: &NodeProto, view: &View<'_>) -> bool {
    let dims = |value: &str| view.facts.dims(value);
    let (Some(before), Some(after)) = (node.input_at(0).and_then(dims), dims(node.result())) else {
        return false;
    };
    before == after && !before.contains(&Dim::Unknown)
}

struct Known<'a, 'v>(&'a NodeProto, &'a View<'v>);

impl Inputs for Known<'_, '_> {
    fn dims(&self, place: usize) -> Option<Vec<usize>> {
        self.1.facts.get(self.0.input_at(place)?)?.fixed()
    }

    fn ints(&self, place: usize) -> Option<Vec<i64>> {
        self.1.ints_at(self.0, place)
    }
}

fn slices_all(node: &NodeProto, view: &View<'_>) -> Option<bool> {
    let dims = view.facts.dims(node.input_at(0)?)?;
    let slices = slices(node, &Known(node, view), dims.len())?;
    Some(slices.iter().all(|(axis, start, end, step)| {
        let whole = match dims.get(*axis) {
            Some(Dim::Fixed(size)) => i64::try_from(*size).is_ok_and(|size| *end >= size),
            // No dimension is as long as this.
            _ => *end >= i64::from(i32::MAX),
        };
        *start == 0 && *step == 1 && whole
    }))
}

fn reduces_ones(node: &NodeProto, view: &View<'_>) -> Option<bool> {
    let dims = view.facts.dims(node.input_at(0)?)?;
    let axes = layout::axes(node, &Known(node, view))??;
    if axes.is_empty() {
        return None;
    }
    let one = |axis: &i64| {
        let axis = layout::axis_of(*axis, dims.len());
        axis.and_then(|axis| dims.get(axis)) == Some(&Dim::Fixed(1))
    };
    Some(axes.iter().all(one))
}

fn resizes_to_itself(node: &NodeProto, view: &View<'_>) -> bool {
    let crops = node.text("coordinate_transformation_mode") == Some("tf_crop_and_resize");
    let scales = node.input_at(2).and_then(|value| view.constant(value));
    let by_one = scales
        .and_then(Tensor::as_f32)
        .is_some_and(|scales| !scales.is_empty() && scales.iter().all(|scale| *scale == 1.0));
    !crops && (by_one || node.input_at(3).is_some() && keeps_shape(node, view))
}

/// `Concat` without the inputs that have no elements along its axis.
fn without_empty(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let axis = node.int("axis")?;
    let full = |value: &&String| {
        let dims = view.facts.dims(value);
        let dim = dims.and_then(|dims| dims.get(layout::axis_of(axis, dims.len())?));
        dim != Some(&Dim::Fixed(0))
    };
    let input: Vec<String> = node.input.iter().filter(full).cloned().collect();
    if input.is_empty() || input.len() == node.input.len() {
        return None;
    }
    Rewrite::node(NodeProto {
        input,
        ..node.clone()
    })
}

/// The other operand of an operator with a constant that changes nothing.
fn neutral(node: &NodeProto, view: &View<'_>) -> Option<String> {
    let (unit, either) = match node.op_type() {
        "Add" | "Or" => (0, true),
        "Sub" => (0, false),
        "Mul" | "And" => (1, true),
        "Div" | "Pow" => (1, false),
        _ => return None,
    };
    let [a, b] = node.input.as_slice() else {
        return None;
    };
    let places = [(a, b), (b, a)];
    let orders = if either { &places[..] } else { &places[..1] };
    let found = orders.iter().find(|(value, constant)| {
        let Some(tensor) = view.constant(constant) else {
            return false;
        };
        let same = tensor.dims.is_empty()
            || view
                .facts
                .dims(value)
                .is_some_and(|dims| fits_into(&tensor.dims, dims));
        same && tensor.len() <= 1 << 16 && is_all(tensor, unit)
    })?;
    Some(found.0.clone())
}

/// Whether a constant of this shape leaves a value of these dimensions as large as it is.
fn fits_into(constant: &[usize], dims: &[Dim]) -> bool {
    let Some(lead) = dims.len().checked_sub(constant.len()) else {
        return false;
    };
    let mut pairs = constant.iter().zip(&dims[lead..]);
    pairs.all(|(size, dim)| *size == 1 || *dim == Dim::Fixed(*size))
}

fn is_all(tensor: &Tensor, unit: i64) -> bool {
    match Numbers::read(tensor) {
        Some(Numbers::Int(values)) => values.iter().all(|v| *v == unit),
        Some(Numbers::Single(values)) => values.iter().all(|v| *v == unit as f32),
        Some(Numbers::Double(values)) => values.iter().all(|v| *v == unit as f64),
        None => false,
    }
}
