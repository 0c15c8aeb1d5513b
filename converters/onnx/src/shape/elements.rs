//! Whole numbers that are calculated from shapes, element by element.

use super::{Element, Fact, MAX_ELEMENTS, View};
use crate::eval::arithmetic::{whole, whole_unary};
use crate::eval::shape_range;
use crate::layout::{self, From, broadcast, broadcast_index};
use crate::{DType, Dim, Tensor};

/// Finds the elements of result number `result`, where they are small whole numbers.
pub(super) fn follow(view: &View<'_>, result: usize, fact: &mut Fact) {
    let whole = matches!(fact.dtype, Some(DType::I64 | DType::I32 | DType::Bool));
    if !whole || !view.node.is_standard() {
        return;
    }
    let found = match moved(view, result) {
        Some(found) => Some(found),
        None if result == 0 => calculated(view, fact.dtype),
        None => None,
    };
    if let Some((dims, elements)) = found {
        fact.dims = Some(dims.into_iter().map(Dim::Fixed).collect());
        fact.elements = Some(elements);
    }
}

type Found = (Vec<usize>, Vec<Element>);

fn moved(view: &View<'_>, result: usize) -> Option<Found> {
    let data = if view.node.is("Where") { 1 } else { 0 };
    view.fact(data)?.elements.as_ref()?;
    let plan = layout::plan(view.node, result, view, MAX_ELEMENTS)?;
    let Some(from) = plan.from else {
        return Some((plan.dims, view.fact(0)?.elements.clone()?));
    };
    let elements = from.iter().map(|from| match from {
        From::Zero => Some(Element::Known(0)),
        From::Input(place, i) => view.fact(*place)?.elements.as_ref()?.get(*i).cloned(),
    });
    Some((plan.dims, elements.collect::<Option<_>>()?))
}

fn calculated(view: &View<'_>, dtype: Option<DType>) -> Option<Found> {
    let op = view.node.op_type();
    match op {
        "Shape" => {
            let dims = view.open(0)?;
            let range = shape_range(view.node, dims.len());
            let sizes: Vec<Element> = dims[range].iter().map(Element::from).collect();
            Some((vec![sizes.len()], sizes))
        }
        "Size" => {
            let count = layout::volume(&view.fact(0)?.fixed()?)?;
            Some((vec![], vec![Element::Known(count as i64)]))
        }
        "ConstantOfShape" => {
            let dims = layout::sizes(&view.fact(0)?.ints()?)?;
            let count = layout::volume(&dims).filter(|count| *count <= MAX_ELEMENTS)?;
            let tensor = view.node.attribute_of("value")?.t.as_ref()?;
            let value = Fact::of(&Tensor::inside(tensor).ok()?).elements?;
            Some((dims, vec![value.first()?.clone(); count]))
        }
        "Cast" => {
            let (dims, elements) = input(view, 0)?;
            let wide = matches!(dtype, Some(DType::I64)) || view.dtype(0) == dtype;
            // A narrower type may not hold the number.
            let fits = |e: &Element| match e {
                Element::Known(value) => {
                    i32::try_from(*value).is_ok() && dtype != Some(DType::Bool)
                }
                _ => false,
            };
            (wide || elements.iter().all(fits)).then_some((dims, elements))
        }
        "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" => {
            let join = ["Mul", "Add", "Max", "Min"];
            let ops = ["ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin"];
            let join = join[ops.iter().position(|known| *known == op)?];
            let (dims, elements) = input(view, 0)?;
            let mut elements = elements.into_iter();
            let first = elements.next()?;
            let all = elements.try_fold(first, |a, b| pair(join, &a, &b));
            if dims.len() != 1 {
                return None;
            }
            let keep = view.node.int("keepdims").unwrap_or(1) != 0;
            Some((if keep { vec![1] } else { vec![] }, vec![all?]))
        }
        "Range" => {
            let at = |place: usize| view.fact(place)?.ints()?.first().copied();
            let (start, end, step) = (at(0)?, at(1)?, at(2)?);
            if step != 1 || end.checked_sub(start)? > MAX_ELEMENTS as i64 {
                return None;
            }
            let values: Vec<Element> = (start..end).map(Element::Known).collect();
            Some((vec![values.len()], values))
        }
        _ if view.node.input.len() == 1 => {
            // No elements are no reason to follow an operator that whole numbers do not have.
            whole_unary(op, 1)?;
            let (dims, elements) = input(view, 0)?;
            let elements = elements.iter().map(|e| match e {
                Element::Known(value) => whole_unary(op, *value).map(Element::Known),
                _ => None,
            });
            Some((dims, elements.collect::<Option<_>>()?))
        }
        "Mod" if view.node.int("fmod") == Some(1) => None,
        _ if view.node.input.len() == 2 => {
            whole(op, 1, 1)?;
            let ((a_dims, a), (b_dims, b)) = (input(view, 0)?, input(view, 1)?);
            let dims = broadcast(&a_dims, &b_dims)?;
            let at_a = broadcast_index(&a_dims, &dims, MAX_ELEMENTS)?;
            let at_b = broadcast_index(&b_dims, &dims, MAX_ELEMENTS)?;
            let pairs = at_a.iter().zip(&at_b);
            let elements = pairs.map(|(i, j)| pair(op, a.get(*i)?, b.get(*j)?));
            Some((dims, elements.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn input(view: &View<'_>, place: usize) -> Option<Found> {
    let fact = view.fact(place)?;
    Some((fact.fixed()?, fact.elements.clone()?))
}

/// `op` of two elements; `None` where the operator has no whole numbers.
fn pair(op: &str, a: &Element, b: &Element) -> Option<Element> {
    Some(match (op, a, b) {
        (_, Element::Known(a), Element::Known(b)) => Element::Known(whole(op, *a, *b)?),
        ("Add" | "Sub", a, Element::Known(0)) | ("Mul" | "Div", a, Element::Known(1)) => a.clone(),
        ("Add", Element::Known(0), b) | ("Mul", Element::Known(1), b) => b.clone(),
        ("Mul", Element::Known(0), _) | ("Mul", _, Element::Known(0)) => Element::Known(0),
        // No dimension is negative.
        ("Equal", Element::Known(n), Element::Named(_))
        | ("Equal", Element::Named(_), Element::Known(n))
            if *n < 0 =>
        {
            Element::Known(0)
        }
        ("Equal", Element::Named(a), Element::Named(b)) if a == b => Element::Known(1),
        _ => Element::Unknown,
    })
}
