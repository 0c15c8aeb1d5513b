//! Nodes whose inputs are constants, calculated now.
//!
//! What is known: everything that moves elements (`layout`), arithmetic and comparison, reductions,
//! `Cast`, `Range`, `ConstantOfShape`, `Pad` with a constant, `OneHot`. What is not known, and what
//! would be larger than the limit, stays in the graph.

pub(crate) mod arithmetic;
pub(crate) mod numbers;
mod reduce;

use bytes::Bytes;
use numbers::Numbers;

use crate::layout::{self, From, Inputs};
use crate::proto::NodeProto;
use crate::{DType, Tensor};

/// The constants that a node reads, by place.
pub(crate) struct Constants<'a>(pub Vec<Option<&'a Tensor>>);

impl Constants<'_> {
    fn at(&self, place: usize) -> Option<&Tensor> {
        self.0.get(place).copied().flatten()
    }
}

impl Inputs for Constants<'_> {
    fn dims(&self, place: usize) -> Option<Vec<usize>> {
        self.at(place).map(|tensor| tensor.dims.clone())
    }

    fn ints(&self, place: usize) -> Option<Vec<i64>> {
        match Numbers::read(self.at(place)?)? {
            Numbers::Int(values) => Some(values),
            _ => None,
        }
    }
}

/// The results of a node, of at most `limit` elements each; `None` when it is not calculated here.
pub(crate) fn evaluate(
    node: &NodeProto,
    inputs: &Constants<'_>,
    limit: usize,
) -> Option<Vec<Tensor>> {
    if !node.is_standard() {
        return None;
    }
    let results = 0..node.output.len();
    let mut tensors = Vec::new();
    for result in results {
        let tensor = match layout::plan(node, result, inputs, limit) {
            Some(plan) => moved(node, &plan, inputs)?,
            None if result == 0 => calculate(node, inputs, limit)?,
            None => return None,
        };
        tensors.push(Tensor {
            name: node.output[result].clone(),
            ..tensor
        });
    }
    Some(tensors)
}

/// Whether an operator makes much of little; its results are folded only while they are small.
pub(crate) fn grows(node: &NodeProto) -> bool {
    const GROWING: [&str; 6] = [
        "ConstantOfShape",
        "Expand",
        "OneHot",
        "Pad",
        "Range",
        "Tile",
    ];
    GROWING.contains(&node.op_type())
}

fn moved(node: &NodeProto, plan: &layout::Plan, inputs: &Constants<'_>) -> Option<Tensor> {
    let source = match node.op_type() {
        "Where" => 1,
        _ => 0,
    };
    let source = inputs.at(source)?;
    let dtype = source.dtype;
    let Some(from) = &plan.from else {
        // The bytes are shared.
        return Some(Tensor::new("", dtype, &plan.dims, source.data.clone()));
    };
    let size = dtype.size_bytes();
    let mut data = Vec::with_capacity(from.len() * size);
    for from in from {
        match from {
            From::Zero => data.resize(data.len() + size, 0),
            From::Input(place, element) => {
                let tensor = inputs.at(*place)?;
                let begin = element.checked_mul(size)?;
                data.extend_from_slice(tensor.data.get(begin..begin.checked_add(size)?)?);
            }
        }
    }
    Some(Tensor::new("", dtype, &plan.dims, data.into()))
}

fn calculate(node: &NodeProto, inputs: &Constants<'_>, limit: usize) -> Option<Tensor> {
    let op = node.op_type();
    match op {
        "ConstantOfShape" => constant_of_shape(node, inputs, limit),
        "Range" => range(inputs, limit),
        "OneHot" => one_hot(node, inputs, limit),
        "Pad" => pad(node, inputs, limit),
        _ => {
            let a = inputs.at(0)?;
            if a.len() > limit {
                return None;
            }
            match op {
                "Cast" => Numbers::read(a)?.write(
                    DType::from_code(i32::try_from(node.int("to")?).ok()?)?,
                    &a.dims,
                ),
                "CastLike" => Numbers::read(a)?.write(inputs.at(1)?.dtype, &a.dims),
                "Shape" => shape(node, &a.dims),
                "Size" => Some(Tensor::index("", a.len() as i64)),
                "Clip" => arithmetic::clip(node, &inputs.0, limit),
                "CumSum" => reduce::cumulate(node, a, inputs),
                "NonZero" => reduce::non_zero(a),
                "Sum" | "Max" | "Min" => (1..node.input.len()).try_fold(a.clone(), |sum, place| {
                    arithmetic::binary(op, &sum, inputs.at(place)?, limit)
                }),
                _ if op.starts_with("Reduce") => reduce::reduce(node, a, inputs),
                "Mod" if node.int("fmod") == Some(1) => None,
                _ => match node.input.len() {
                    1 => arithmetic::unary(op, a),
                    2 => arithmetic::binary(op, a, inputs.at(1)?, limit),
                    _ => None,
                },
            }
        }
    }
}

/// The part of a shape that `start` and `end` of a `Shape` name.
pub(crate) fn shape_range(node: &NodeProto, rank: usize) -> std::ops::Range<usize> {
    let rank = i64::try_from(rank).unwrap_or(i64::MAX);
    let at = |name: &str, default: i64| {
        let i = node.int(name).unwrap_or(default);
        (if i < 0 { i.saturating_add(rank) } else { i }).clamp(0, rank) as usize
    };
    let (start, end) = (at("start", 0), at("end", rank));
    start..end.max(start)
}

fn shape(node: &NodeProto, dims: &[usize]) -> Option<Tensor> {
    let sizes: Vec<i64> = dims[shape_range(node, dims.len())]
        .iter()
        .map(|d| *d as i64)
        .collect();
    Some(Tensor::i64s("", &sizes))
}

fn constant_of_shape(node: &NodeProto, inputs: &Constants<'_>, limit: usize) -> Option<Tensor> {
    let dims = layout::sizes(&inputs.ints(0)?)?;
    let count = layout::volume(&dims).filter(|count| *count <= limit)?;
    let (dtype, element) = match node.attribute_of("value").and_then(|a| a.t.as_ref()) {
        None => (DType::F32, Bytes::from_static(&[0; 4])),
        Some(proto) => {
            let tensor = Tensor::inside(proto).ok()?;
            (tensor.dtype, tensor.data)
        }
    };
    let fits = element.len() == dtype.size_bytes();
    fits.then(|| Tensor::new("", dtype, &dims, element.repeat(count).into()))
}

fn range(inputs: &Constants<'_>, limit: usize) -> Option<Tensor> {
    let start = inputs.at(0)?;
    let number = |place: usize| Numbers::read(inputs.at(place)?);
    let numbers = match (number(0)?, number(1)?, number(2)?) {
        (Numbers::Int(start), Numbers::Int(end), Numbers::Int(step)) => {
            let (start, end, step) = (*start.first()?, *end.first()?, *step.first()?);
            let count = match step {
                0 => return None,
                1.. => end.checked_sub(start)?.max(0).checked_add(step - 1)? / step,
                _ => start.checked_sub(end)?.max(0).checked_sub(step + 1)? / step.checked_neg()?,
            };
            if usize::try_from(count).ok()? > limit {
                return None;
            }
            Numbers::Int(
                (0..count)
                    .map(|i| start.wrapping_add(i.wrapping_mul(step)))
                    .collect(),
            )
        }
        (Numbers::Single(start), Numbers::Single(end), Numbers::Single(step)) => {
            let (start, end, step) = (*start.first()?, *end.first()?, *step.first()?);
            let count = ((f64::from(end) - f64::from(start)) / f64::from(step)).ceil();
            if !(0.0..=limit as f64).contains(&count) {
                return None;
            }
            Numbers::Single(
                (0..count as usize)
                    .map(|i| start + i as f32 * step)
                    .collect(),
            )
        }
        _ => return None,
    };
    let count = numbers.len();
    numbers.write(start.dtype, &[count])
}

fn one_hot(node: &NodeProto, inputs: &Constants<'_>, limit: usize) -> Option<Tensor> {
    let (index, depth) = (inputs.ints(0)?, *inputs.ints(1)?.first()?);
    let values = inputs.at(2)?;
    let (depth, lead) = (usize::try_from(depth).ok()?, inputs.dims(0)?);
    let last = matches!(node.int("axis").unwrap_or(-1), -1);
    if !last || index.len().checked_mul(depth)? > limit {
        return None;
    }
    let size = values.dtype.size_bytes();
    let (off, on) = (values.data.get(..size)?, values.data.get(size..2 * size)?);
    let mut data = Vec::new();
    for i in &index {
        let hot = layout::axis_of(*i, depth);
        for at in 0..depth {
            data.extend_from_slice(if hot == Some(at) { on } else { off });
        }
    }
    let dims = [lead.as_slice(), &[depth]].concat();
    Some(Tensor::new("", values.dtype, &dims, data.into()))
}

fn pad(node: &NodeProto, inputs: &Constants<'_>, limit: usize) -> Option<Tensor> {
    let a = inputs.at(0)?;
    let rank = a.dims.len();
    let pads = layout::sizes(&inputs.ints(1)?)?;
    let constant = node.text("mode").is_none_or(|mode| mode == "constant");
    if !constant || node.input_at(3).is_some() || pads.len() != 2 * rank {
        return None;
    }
    let size = a.dtype.size_bytes();
    let fill = match node.input_at(2) {
        Some(_) => inputs.at(2)?.data.get(..size)?.to_vec(),
        None => vec![0; size],
    };
    let dims: Vec<usize> = (0..rank)
        .map(|i| a.dims[i].checked_add(pads[i])?.checked_add(pads[rank + i]))
        .collect::<Option<_>>()?;
    let count = layout::volume(&dims).filter(|count| *count <= limit)?;
    let (own, to) = (layout::strides(&a.dims), layout::strides(&dims));
    let mut data = Vec::with_capacity(count * size);
    for i in 0..count {
        let place = (0..rank).map(|d| {
            let at = (i / to[d] % dims[d]).checked_sub(pads[d])?;
            (at < a.dims[d]).then(|| at * own[d])
        });
        match place.sum::<Option<usize>>() {
            Some(at) => data.extend_from_slice(a.data.get(at * size..(at + 1) * size)?),
            None => data.extend_from_slice(&fill),
        }
    }
    Some(Tensor::new("", a.dtype, &dims, data.into()))
}

#[cfg(test)]
mod tests;
