//! What is calculated element by element between two `Reshape`s needs neither.
//!
//! `Reshape(Gelu(Reshape(x)))` whose result has the shape of x becomes `Gelu(x)`; between them may be
//! any net of elementwise operators and single numbers that nobody else reads.

use std::collections::HashMap;

use super::{Rewrite, View};
use crate::Dim;
use crate::proto::NodeProto;

/// Operators of one input whose elements do not meet each other.
const UNARY: &[&str] = &[
    "Abs",
    "Cast",
    "Ceil",
    "Clip",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Sqrt",
    "Tanh",
];

/// Operators of two.
const BINARY: &[&str] = &["Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"];

/// Longer nets are left as they are.
const MAX_NODES: usize = 64;

pub(super) fn rule(node: &NodeProto, view: &View<'_>) -> Option<Rewrite> {
    if !node.is("Reshape") {
        return None;
    }
    let mut net = Net {
        view,
        shape: view
            .facts
            .dims(node.result())
            .filter(|dims| !dims.contains(&Dim::Unknown))?,
        values: HashMap::new(),
        nodes: Vec::new(),
        reads: HashMap::new(),
    };
    let last = node.input_at(0)?;
    net.add(last)?;
    // Whoever else reads a value of the net would keep the old one alive.
    let inside = |value: &str| match value == last {
        true => view.readers_of(value) == 1,
        false => net.reads.get(value).copied() == Some(view.readers_of(value)),
    };
    if net.nodes.is_empty() || !net.nodes.iter().all(|old| inside(old.result())) {
        return None;
    }
    let nodes = net.nodes.iter().map(|old| {
        let mut new = (*old).clone();
        for value in new.input.iter_mut().chain(&mut new.output) {
            if let Some(other) = net.values.get(value.as_str()) {
                other.clone_into(value);
            }
        }
        if old.result() == last {
            new.output = vec![node.result().to_owned()];
        }
        new
    });
    Some(Rewrite::Replace(nodes.collect(), Vec::new()))
}

struct Net<'a, 'v> {
    view: &'a View<'v>,
    /// The shape before and behind the net.
    shape: &'a [Dim],
    /// Value of the net to the one in the other shape.
    values: HashMap<&'a str, String>,
    nodes: Vec<&'a NodeProto>,
    /// How often the net reads its values.
    reads: HashMap<&'a str, usize>,
}

impl<'a> Net<'a, '_> {
    fn add(&mut self, value: &'a str) -> Option<()> {
        if self.values.contains_key(value) {
            return Some(());
        }
        let node = self.view.producer(value)?;
        if node.is("Reshape") {
            let x = node.input_at(0)?;
            let same = self.view.facts.dims(x)? == self.shape;
            self.values.insert(node.result(), x.to_owned());
            return same.then_some(());
        }
        let op = node.op_type();
        let elementwise = UNARY.contains(&op) || BINARY.contains(&op) && node.input.len() == 2;
        if !elementwise || !node.is_standard() || self.nodes.len() >= MAX_NODES {
            return None;
        }
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            let single = self.view.constant(input).is_some_and(|t| t.dims.is_empty());
            if !single {
                self.add(input)?;
                *self.reads.entry(input).or_insert(0) += 1;
            }
        }
        self.values
            .insert(node.result(), self.view.fresh(node.result()));
        self.nodes.push(node);
        Some(())
    }
}
