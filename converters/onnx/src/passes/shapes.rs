//! A `Reshape` by sizes that are calculated is told its shape, and the calculation falls away.
//!
//! | before | after |
//! |---|---|
//! | `Reshape(x, s)`, all of `s` known from shapes but one size | `Reshape(x, [a, b, −1])` |
//! | `Reshape(x, s)`, sizes of `s` that are those of `x` at the same place | 0 there |
//!
//! Limit: −1 beside a size that is not fixed would fail where that size is zero, so it is not written for
//! a size that was calculated.

use super::{Rewrite, View};
use crate::proto::NodeProto;
use crate::shape::Element;
use crate::{Dim, Tensor};

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    let shape = node.is("Reshape").then(|| node.input_at(1)).flatten()?;
    if view.constant(shape).is_some() {
        return None;
    }
    let copies = node.int("allowzero").unwrap_or(0) == 0;
    let x = view.facts.dims(node.input_at(0)?);
    let fixed = view.facts.get(node.result()).and_then(|fact| fact.fixed());
    let said = match fixed.filter(|dims| !dims.contains(&0)) {
        Some(dims) => dims.iter().map(|size| *size as i64).collect(),
        None => {
            let elements = view.facts.get(shape)?.elements.as_ref()?;
            said(elements, x, copies)?
        }
    };
    let said = Tensor::i64s(view.fresh("shape"), &said);
    let mut told = node.clone();
    told.input[1].clone_from(&said.name);
    Some(Rewrite::Replace(vec![told], vec![said]))
}

fn said(elements: &[Element], x: Option<&[Dim]>, copies: bool) -> Option<Vec<i64>> {
    let mut said = Vec::new();
    let (mut open, mut left, mut copied) = (0, false, false);
    for (i, element) in elements.iter().enumerate() {
        said.push(match element {
            Element::Known(size) => {
                left |= *size == -1;
                copied |= *size == 0;
                *size
            }
            Element::Named(name) if copies && x?.get(i) == Some(&Dim::named(name)) => {
                copied = true;
                0
            }
            _ => {
                open += 1;
                -1
            }
        });
    }
    // A −1 that was there means what it did.
    (open == 0 || open == 1 && !left && !copied).then_some(said)
}
