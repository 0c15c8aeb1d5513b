//! Operators that calculate: convolution, pooling, products, normalisation, recurrence, reductions.

use super::{Fact, View};
use crate::layout::{axes, axis_of};
use crate::proto::NodeProto;
use crate::{DType, Dim};

/// The results keep the shape and the type of the first input.
const SAME: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "Bernoulli",
    "BitwiseNot",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "PRelu",
    "RMSNormalization",
    "Reciprocal",
    "Relu",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
    "ReverseSequence",
    "RotaryEmbedding",
];

/// The results have the shape that the inputs broadcast to.
const BROADCAST: &[&str] = &[
    "Add",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Pow",
    "Sub",
    "Sum",
];

/// The same, of booleans.
const COMPARE: &[&str] = &[
    "And",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Or",
    "Xor",
];

/// What is known of the results; `None` for operators that are not here.
pub(super) fn infer(view: &View<'_>) -> Option<Vec<Fact>> {
    let node = view.node;
    if !node.is_standard() {
        return None;
    }
    let op = node.op_type();
    let same = |dtype: Option<DType>| vec![Fact::new(dtype, view.open(0).map(<[Dim]>::to_vec))];
    let one = |dims: Option<Vec<Dim>>| vec![Fact::new(view.dtype(0), dims)];
    Some(match op {
        _ if SAME.contains(&op) => same(view.dtype(0)),
        _ if BROADCAST.contains(&op) => one(all_broadcast(view)),
        _ if COMPARE.contains(&op) => vec![Fact::new(Some(DType::Bool), all_broadcast(view))],
        "Where" => vec![Fact::new(
            view.dtype(1).or(view.dtype(2)),
            all_broadcast(view),
        )],
        "Not" | "IsNaN" | "IsInf" => same(Some(DType::Bool)),
        "Cast" => same(DType::from_code(i32::try_from(node.int("to")?).ok()?)),
        "CastLike" => same(view.dtype(1)),
        "Dropout" => {
            let mut facts = same(view.dtype(0));
            facts.extend(same(Some(DType::Bool)));
            facts
        }
        "LayerNormalization" => same(view.dtype(0)),
        "QuantizeLinear" => same(view.dtype(2).or(match node.int("output_dtype") {
            None | Some(0) => Some(DType::U8),
            Some(code) => DType::from_code(i32::try_from(code).ok()?),
        })),
        "DequantizeLinear" => same(view.dtype(1)),
        "DynamicQuantizeLinear" => {
            let mut facts = same(Some(DType::U8));
            facts.push(Fact::new(Some(DType::F32), Some(vec![])));
            facts.push(Fact::new(Some(DType::U8), Some(vec![])));
            facts
        }
        "Conv" => one(conv(view, 1, None)),
        "ConvInteger" => vec![Fact::new(Some(DType::I32), conv(view, 1, None))],
        "QLinearConv" => vec![Fact::new(view.dtype(7), conv(view, 3, None))],
        "ConvTranspose" => one(conv_transpose(view)),
        "MaxPool" | "AveragePool" | "LpPool" => {
            let dims = conv(view, 0, node.ints("kernel_shape"));
            vec![
                Fact::new(view.dtype(0), dims.clone()),
                Fact::new(Some(DType::I64), dims),
            ]
        }
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => one(view.open(0).map(|dims| {
            let keep = dims.iter().take(2).cloned();
            keep.chain(dims.iter().skip(2).map(|_| Dim::Fixed(1)))
                .collect()
        })),
        "MatMul" => one(product(view, 0, 1)),
        "MatMulInteger" => vec![Fact::new(Some(DType::I32), product(view, 0, 1))],
        "QLinearMatMul" => vec![Fact::new(view.dtype(7), product(view, 0, 3))],
        "Gemm" => one(gemm(view)),
        "Einsum" => one(einsum(view)),
        // How many frequencies there are depends on flags, that they are complex does not.
        "DFT" => one(view.open(0).map(|dims| {
            let open = dims.iter().skip(1).map(|_| Dim::Unknown);
            open.chain([Dim::Fixed(2)]).collect()
        })),
        "LSTM" | "GRU" | "RNN" => recurrent(view),
        "ArgMax" | "ArgMin" => {
            let axis = node.int("axis").unwrap_or(0);
            let keep = node.int("keepdims").unwrap_or(1) != 0;
            let dims = view
                .open(0)
                .and_then(|dims| without(dims, Some(vec![axis]), keep));
            vec![Fact::new(Some(DType::I64), dims)]
        }
        _ if op.starts_with("Reduce") => one(reduced(view)),
        _ => return None,
    })
}

fn reduced(view: &View<'_>) -> Option<Vec<Dim>> {
    let keep = view.node.int("keepdims").unwrap_or(1) != 0;
    let dims = view.open(0)?;
    match axes(view.node, view) {
        Some(axes) => {
            let axes = axes.filter(|axes| !axes.is_empty());
            if axes.is_none() && view.node.int("noop_with_empty_axes") == Some(1) {
                return Some(dims.to_vec());
            }
            without(dims, axes, keep)
        }
        // Which axes go is not known, how many stay may be.
        None => keep.then(|| vec![Dim::Unknown; dims.len()]),
    }
}

/// Dimensions after these axes (all where there are none) have been reduced.
fn without(dims: &[Dim], axes: Option<Vec<i64>>, keep: bool) -> Option<Vec<Dim>> {
    let gone: Vec<usize> = match axes {
        None => (0..dims.len()).collect(),
        Some(axes) => {
            let axes = axes.iter().map(|axis| axis_of(*axis, dims.len()));
            axes.collect::<Option<_>>()?
        }
    };
    let places = dims.iter().enumerate();
    let left = places.filter_map(|(i, dim)| match (gone.contains(&i), keep) {
        (true, true) => Some(Dim::Fixed(1)),
        (true, false) => None,
        (false, _) => Some(dim.clone()),
    });
    Some(left.collect())
}

fn all_broadcast(view: &View<'_>) -> Option<Vec<Dim>> {
    let mut dims = view.open(0)?.to_vec();
    for place in 1..view.node.input.len() {
        dims = broadcast(&dims, view.open(place)?);
    }
    Some(dims)
}

/// The shape that two shapes broadcast to.
pub(super) fn broadcast(a: &[Dim], b: &[Dim]) -> Vec<Dim> {
    let rank = a.len().max(b.len());
    let at = |dims: &[Dim], i: usize| match (i + dims.len()).checked_sub(rank) {
        Some(i) => dims[i].clone(),
        None => Dim::Fixed(1),
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => other,
            // A size above 1 is what the other is, or is broadcast to.
            (Dim::Fixed(size), _) | (_, Dim::Fixed(size)) => Dim::Fixed(size),
            (a, b) if a == b => a,
            _ => Dim::Unknown,
        })
        .collect()
}

/// A list of an operator over D spatial axes, one each.
fn spatial(node: &NodeProto, name: &str, count: usize, default: i64) -> Option<Vec<i64>> {
    match node.ints(name) {
        None => Some(vec![default; count]),
        Some(given) => (given.len() == count).then(|| given.to_vec()),
    }
}

/// N×C×spatial of a convolution (weight at `weight`) or of a pooling with this kernel.
fn conv(view: &View<'_>, weight: usize, kernel: Option<&[i64]>) -> Option<Vec<Dim>> {
    let node = view.node;
    let input = view.open(0)?;
    let (lead, sizes) = input.split_at_checked(2)?;
    let count = sizes.len();
    let (channels, kernel) = match kernel {
        Some(kernel) => (lead[1].clone(), kernel.to_vec()),
        None => {
            let weight = view.fact(weight)?.fixed()?;
            let kernel = weight.get(2..)?.iter().map(|k| *k as i64).collect();
            (Dim::Fixed(*weight.first()?), kernel)
        }
    };
    if kernel.len() != count {
        return None;
    }
    let strides = spatial(node, "strides", count, 1)?;
    let dilations = spatial(node, "dilations", count, 1)?;
    let pads = spatial(node, "pads", 2 * count, 0)?;
    let ceil = node.int("ceil_mode") == Some(1);
    let mut dims = vec![lead[0].clone(), channels];
    for i in 0..count {
        let Dim::Fixed(size) = sizes[i] else {
            // A kernel of one, without stride, keeps any size.
            let keeps = kernel[i] == 1 && strides[i] == 1 && pads[i] == 0 && pads[i + count] == 0;
            dims.push(if keeps {
                sizes[i].clone()
            } else {
                Dim::Unknown
            });
            continue;
        };
        let (size, stride) = (i64::try_from(size).ok()?, strides[i].max(1));
        let reach = dilations[i]
            .checked_mul(kernel[i].checked_sub(1)?)?
            .checked_add(1)?;
        let out = match node.text("auto_pad") {
            Some("SAME_UPPER" | "SAME_LOWER") => size.checked_add(stride - 1)? / stride,
            mode => {
                let pad = match mode {
                    Some("VALID") => 0,
                    _ => pads[i].checked_add(pads[i + count])?,
                };
                let room = size.checked_add(pad)?.checked_sub(reach)?;
                let mut steps = if ceil {
                    room.checked_add(stride - 1)?.div_euclid(stride)
                } else {
                    room.div_euclid(stride)
                };
                // A window that would begin in the padding behind is left out.
                if ceil && steps.checked_mul(stride)? >= size.checked_add(pads[i])? {
                    steps = steps.checked_sub(1)?;
                }
                steps.checked_add(1)?
            }
        };
        dims.push(Dim::Fixed(usize::try_from(out).ok()?));
    }
    Some(dims)
}

fn conv_transpose(view: &View<'_>) -> Option<Vec<Dim>> {
    let node = view.node;
    let input = view.open(0)?;
    let weight = view.fact(1)?.fixed()?;
    let (lead, sizes) = input.split_at_checked(2)?;
    let count = sizes.len();
    let group = usize::try_from(node.int("group").unwrap_or(1)).ok()?;
    let mut dims = vec![
        lead[0].clone(),
        Dim::Fixed(weight.get(1)?.checked_mul(group)?),
    ];
    let strides = spatial(node, "strides", count, 1)?;
    let dilations = spatial(node, "dilations", count, 1)?;
    let pads = spatial(node, "pads", 2 * count, 0)?;
    let extra = spatial(node, "output_padding", count, 0)?;
    let padded = node.text("auto_pad").is_none_or(|mode| mode == "NOTSET");
    for i in 0..count {
        let kernel = i64::try_from(*weight.get(i + 2)?).ok()?;
        dims.push(match (&sizes[i], node.ints("output_shape")) {
            (Dim::Fixed(size), None) if padded => {
                let size = i64::try_from(*size).ok()?.checked_sub(1)?;
                let reach = dilations[i].checked_mul(kernel.checked_sub(1)?)?;
                let grown = strides[i].checked_mul(size)?.checked_add(extra[i])?;
                let out = grown.checked_add(reach)?.checked_add(1)?;
                let out = out.checked_sub(pads[i].checked_add(pads[i + count])?)?;
                Dim::Fixed(usize::try_from(out).ok()?)
            }
            _ => Dim::Unknown,
        });
    }
    Some(dims)
}

fn product(view: &View<'_>, a: usize, b: usize) -> Option<Vec<Dim>> {
    let (a, b) = (view.open(a)?, view.open(b)?);
    let (a_lead, a_last) = match a {
        [lead @ .., row, _] => (lead, Some(row)),
        [_] => (&[][..], None),
        [] => return None,
    };
    let (b_lead, b_last) = match b {
        [lead @ .., _, column] => (lead, Some(column)),
        [_] => (&[][..], None),
        [] => return None,
    };
    let mut dims = broadcast(a_lead, b_lead);
    dims.extend(a_last.into_iter().chain(b_last).cloned());
    Some(dims)
}

fn gemm(view: &View<'_>) -> Option<Vec<Dim>> {
    let side = |place: usize, flag: &str, side: usize| {
        let turned = view.node.int(flag).unwrap_or(0) != 0;
        view.open(place)?
            .get(if turned { 1 - side } else { side })
            .cloned()
    };
    Some(vec![side(0, "transA", 0)?, side(1, "transB", 1)?])
}

fn einsum(view: &View<'_>) -> Option<Vec<Dim>> {
    let equation: String = view.node.text("equation")?.split_whitespace().collect();
    let (terms, result) = equation.split_once("->")?;
    let dim = |letter: char| {
        let mut terms = terms.split(',').enumerate();
        terms.find_map(|(place, term)| {
            let at = term.chars().position(|l| l == letter)?;
            view.open(place)?.get(at).cloned()
        })
    };
    if equation.contains('.') {
        return None;
    }
    result.chars().map(dim).collect()
}

/// Y (T×directions×N×H), then the last H and for an LSTM the last C (directions×N×H).
fn recurrent(view: &View<'_>) -> Vec<Fact> {
    let dtype = view.dtype(0);
    let shapes = || {
        let [t, n, _] = view.open(0)? else {
            return None;
        };
        let hidden = Dim::Fixed(usize::try_from(view.node.int("hidden_size")?).ok()?);
        let directions = match view.node.text("direction") {
            Some("bidirectional") => 2,
            _ => 1,
        };
        if view.node.int("layout").unwrap_or(0) != 0 {
            return None;
        }
        let last = vec![Dim::Fixed(directions), n.clone(), hidden];
        let all = [std::slice::from_ref(t), &last].concat();
        Some((all, last))
    };
    let (all, last) = shapes().unzip();
    vec![
        Fact::new(dtype, all),
        Fact::new(dtype, last.clone()),
        Fact::new(dtype, last),
    ]
}
