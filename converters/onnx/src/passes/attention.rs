//! Self-attention is one operator of ONNX Runtime, with the products that make query, key and value.
//!
//! | before | after |
//! |---|---|
//! | `q, k, v` = heads of `x·Wq + bq`, `x·Wk + bk`, `x·Wv + bv`; heads joined of `Softmax(f·q·kᵀ + m)·v` | `com.microsoft.Attention(x, [Wq Wk Wv], [bq bk bv], mask)`, scale f |
//! | the same of products in dynamic int8 (`MatMulInteger` of the codes of x) | `com.microsoft.QAttention` |
//!
//! x N×T×D in f32. m is nothing, or what hides padding: `Where(keep, 0, c)` for a mask N×T of whole
//! numbers, c its fill. Any other bias may mean anything, and the nodes stay.
//!
//! It pays where one product for all three does not: merged into one `MatMul` with a `Split` behind
//! it, MiniLM takes 0.97 of its time at 1 × 16 tokens and 1.03 at 32 × 32 (int8: 0.93 and 1.09); as
//! this operator 0.88 and 0.96 (int8: 0.77 and 0.97; ONNX Runtime 1.28, 2 threads).

mod projection;

use projection::Projection;

use super::{Rewrite, View};
use crate::proto::NodeProto;
use crate::{Attribute, CONTRIB, DType, Dim, Tensor};

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let [_, _, Dim::Fixed(width)] = view.facts.dims(node.result())? else {
        return None;
    };
    let mixed = view.sole(node.is("Reshape").then(|| node.input_at(0))??, "Transpose")?;
    let product = sole_turned(mixed, [0, 2, 1, 3], "MatMul", view)?;
    let shares = view.sole(product.input_at(0)?, "Softmax")?;
    if !matches!(shares.int("axis"), None | Some(-1 | 3)) {
        return None;
    }
    let scores = Scores::read(shares.input_at(0)?, view)?;
    let [query, key] = scores.product.input.as_slice() else {
        return None;
    };
    let (query, heads) = split(query, [0, 2, 1, 3], view)?;
    let (key, key_heads) = split(key, [0, 2, 3, 1], view)?;
    let (value, value_heads) = split(product.input_at(1)?, [0, 2, 1, 3], view)?;
    let parts = [query, key, value].map(|part| Projection::read(part, view));
    let [Some(query), Some(key), Some(value)] = parts else {
        return None;
    };
    let alike = key_heads == heads && value_heads == heads && query.width()? == *width;
    if !alike {
        return None;
    }
    let merged = Projection::merge([query, key, value], view)?;

    let mut nodes = Vec::new();
    let mask = match &scores.mask {
        Some(mask) => {
            let (keep, ints) = (view.fresh("mask.keep"), view.fresh("mask.ints"));
            let cast = |from: &str, to: &str, dtype: DType| {
                let to_type = i64::from(dtype.code());
                NodeProto::new("Cast", &[from], &[to], [("to", to_type.into())])
            };
            nodes.push(cast(mask, &keep, DType::Bool));
            nodes.push(cast(&keep, &ints, DType::I32));
            ints
        }
        None => String::new(),
    };
    let (op, inputs) = merged.operator(&mask);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = [
        ("num_heads", Attribute::Int(heads as i64)),
        ("scale", scores.scale.into()),
        ("mask_filter_value", scores.fill.into()),
    ];
    nodes.push(NodeProto {
        name: Some(node.result().to_owned()),
        domain: Some(CONTRIB.into()),
        ..NodeProto::new(op, &inputs, &[node.result()], attributes)
    });
    Some(Rewrite::Replace(nodes, merged.constants))
}

/// The node before a `Transpose` by `perm`, where nobody else reads it.
fn sole_turned<'v>(
    turn: &NodeProto,
    perm: [i64; 4],
    op: &str,
    view: &'v View<'_>,
) -> Option<&'v NodeProto> {
    let turned = turn.is("Transpose") && turn.ints("perm") == Some(&perm);
    view.sole(turned.then(|| turn.input_at(0))??, op)
}

/// The projection N×T×(H·K) that a value of heads is cut from, and H.
fn split<'v>(value: &str, perm: [i64; 4], view: &'v View<'_>) -> Option<(&'v str, usize)> {
    let cut = sole_turned(view.sole(value, "Transpose")?, perm, "Reshape", view)?;
    let [_, _, Dim::Fixed(heads), Dim::Fixed(_)] = view.facts.dims(cut.result())? else {
        return None;
    };
    let whole = cut.input_at(0)?;
    // A `Reshape` of three dimensions to these four cuts the last one only where the others stay.
    let kept = match view.facts.dims(whole)? {
        [n, t, Dim::Fixed(_)] => {
            view.ints_at(cut, 1)?.get(..2) == Some(&[0, 0])
                || [n, t].iter().all(|dim| **dim != Dim::Unknown)
                    && view.facts.dims(cut.result())?.get(..2) == Some(&[n.clone(), t.clone()])
        }
        _ => false,
    };
    kept.then_some((whole, *heads))
}

/// What a softmax is taken of: `scale · product`, and what hides padding.
struct Scores<'v> {
    product: &'v NodeProto,
    scale: f32,
    /// N×T, whole numbers, 0 for what is hidden.
    mask: Option<String>,
    /// What is added where something is hidden.
    fill: f32,
}

impl<'v> Scores<'v> {
    fn read(value: &str, view: &'v View<'_>) -> Option<Self> {
        let (value, hides) = match view.sole(value, "Add") {
            None => (value, None),
            Some(sum) => {
                let [a, b] = sum.input.as_slice() else {
                    return None;
                };
                let found = [(a, b), (b, a)]
                    .into_iter()
                    .find_map(|(scores, bias)| Some((scores, padding(bias, view)?)));
                let (scores, hides) = found?;
                (scores.as_str(), Some(hides))
            }
        };
        let (product, scale) = match view.sole(value, "MatMul") {
            Some(product) => (product, 1.0),
            None => {
                let scaled = view
                    .sole(value, "Mul")
                    .or_else(|| view.sole(value, "Div"))?;
                let (scores, factor) = view.with_number(scaled)?;
                let scale = match scaled.op_type() {
                    "Mul" => factor,
                    _ if scaled.input_at(0)? == scores => 1.0 / factor,
                    _ => return None,
                };
                (view.sole(scores, "MatMul")?, scale)
            }
        };
        let (mask, fill) = match hides {
            Some((mask, fill)) => (Some(mask), fill),
            None => (None, f32::MIN),
        };
        // A scale of 0 stands for 1/√K in the operator.
        (scale.is_finite() && scale != 0.0).then_some(Self {
            product,
            scale,
            mask,
            fill,
        })
    }
}

/// The mask N×T behind a bias N×1×1×T of 0 where it is not 0, and what the bias is elsewhere.
fn padding(bias: &str, view: &View<'_>) -> Option<(String, f32)> {
    let choice = view.producer(bias).filter(|n| n.is("Where"))?;
    let (kept, fill) = (view.number_at(choice, 1)?, view.number_at(choice, 2)?);
    let keep = view
        .producer(choice.input_at(0)?)
        .filter(|n| n.is("Cast"))?;
    let spread = view
        .producer(keep.input_at(0)?)
        .filter(|n| n.is("Unsqueeze"))?;
    let mask = spread.input_at(0)?;
    let whole = matches!(view.facts.dtype(mask), Some(DType::I64 | DType::I32));
    let hides = kept == 0.0
        && fill <= -1e4
        && keep.int("to") == Some(i64::from(DType::Bool.code()))
        && view.ints_at(spread, 1)? == [1, 2]
        && view.facts.rank(mask) == Some(2)
        && whole;
    hides.then(|| (mask.to_owned(), fill))
}

/// The columns of matrices of as many rows, side by side.
fn beside(name: String, parts: &[&Tensor]) -> Option<Tensor> {
    let first = parts.first()?;
    let rows = match first.dims.as_slice() {
        [rows, _] => *rows,
        [_] => 1,
        _ => return None,
    };
    let mut columns = 0usize;
    for part in parts {
        let same = part.dtype == first.dtype
            && part.dims.len() == first.dims.len()
            && part.dims[..part.dims.len() - 1] == first.dims[..first.dims.len() - 1];
        columns = columns.checked_add(*part.dims.last()?).filter(|_| same)?;
    }
    let mut data = Vec::new();
    for row in 0..rows {
        for part in parts {
            let run = part.data.len().checked_div(rows)?;
            data.extend_from_slice(part.data.get(row * run..(row + 1) * run)?);
        }
    }
    let dims = match first.dims.len() {
        1 => vec![columns],
        _ => vec![rows, columns],
    };
    Some(Tensor::new(name, first.dtype, &dims, data.into()))
}
