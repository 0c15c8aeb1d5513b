//! Types and shapes of values, as far as they can be told before the model runs.
//!
//! Dimensions keep the names that the inputs give them, and whole numbers that are calculated from
//! shapes are followed element by element, so that `Reshape` by a `Concat` of sizes gives a shape. An
//! operator that is not known gives values of which nothing is known, never an error.

mod arrange;
mod contrib;
mod elements;
mod network;

use std::collections::HashMap;

use crate::eval::numbers::Numbers;
use crate::layout::{Inputs, axis_of};
use crate::proto::{NodeProto, type_proto};
use crate::{DType, Dim, Graph, Tensor};

/// Longer lists of whole numbers are no shapes, and are not followed.
const MAX_ELEMENTS: usize = 1024;

/// What is known of the values of a graph, those of bodies too.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    values: HashMap<String, Fact>,
    constants: HashMap<String, Tensor>,
    /// Dimensions that the graph states.
    stated: HashMap<String, Vec<Dim>>,
}

/// What is known of one value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fact {
    /// Element type.
    pub dtype: Option<DType>,
    /// Dimensions, outermost first.
    pub dims: Option<Vec<Dim>>,
    /// The elements of a small tensor of whole numbers or booleans, row-major.
    pub elements: Option<Vec<Element>>,
}

/// One whole number of a tensor, such as a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// This number.
    Known(i64),
    /// The size of the dimension of this name.
    Named(String),
    /// Decided at run time.
    Unknown,
}

impl From<&Dim> for Element {
    fn from(dim: &Dim) -> Self {
        match dim {
            Dim::Fixed(size) => i64::try_from(*size).map_or(Self::Unknown, Self::Known),
            Dim::Named(name) => Self::Named(name.clone()),
            Dim::Unknown => Self::Unknown,
        }
    }
}

impl From<&Element> for Dim {
    fn from(element: &Element) -> Self {
        match element {
            Element::Known(size) => usize::try_from(*size).map_or(Self::Unknown, Self::Fixed),
            Element::Named(name) => Self::Named(name.clone()),
            Element::Unknown => Self::Unknown,
        }
    }
}

impl Fact {
    fn new(dtype: Option<DType>, dims: Option<Vec<Dim>>) -> Self {
        Self {
            dtype,
            dims,
            elements: None,
        }
    }

    /// Dimensions that are all known.
    pub fn fixed(&self) -> Option<Vec<usize>> {
        let dims = self.dims.as_ref()?.iter().map(|dim| match dim {
            Dim::Fixed(size) => Some(*size),
            _ => None,
        });
        dims.collect()
    }

    /// Elements that are all known.
    pub fn ints(&self) -> Option<Vec<i64>> {
        let elements = self.elements.as_ref()?.iter().map(|element| match element {
            Element::Known(value) => Some(*value),
            _ => None,
        });
        elements.collect()
    }

    /// What is known of a constant.
    pub(crate) fn of(tensor: &Tensor) -> Self {
        let dims = tensor.dims.iter().map(|d| Dim::Fixed(*d)).collect();
        let mut fact = Self::new(Some(tensor.dtype), Some(dims));
        if tensor.data.len() <= 8 * MAX_ELEMENTS
            && let Some(Numbers::Int(values)) = Numbers::read(tensor)
            && values.len() <= MAX_ELEMENTS
        {
            fact.elements = Some(values.into_iter().map(Element::Known).collect());
        }
        fact
    }
}

impl Facts {
    /// What is known of a value; nothing for one that is not there.
    pub fn get(&self, value: &str) -> Option<&Fact> {
        self.values.get(value)
    }

    /// Element type of a value.
    pub fn dtype(&self, value: &str) -> Option<DType> {
        self.get(value)?.dtype
    }

    /// Dimensions of a value.
    pub fn dims(&self, value: &str) -> Option<&[Dim]> {
        self.get(value)?.dims.as_deref()
    }

    /// Number of dimensions of a value.
    pub fn rank(&self, value: &str) -> Option<usize> {
        self.dims(value).map(<[Dim]>::len)
    }

    /// A constant of the main graph.
    pub fn constant(&self, value: &str) -> Option<&Tensor> {
        self.constants.get(value)
    }

    pub(crate) fn add_constant(&mut self, tensor: &Tensor) {
        self.set(&tensor.name, Fact::of(tensor));
        self.constants.insert(tensor.name.clone(), tensor.clone());
    }

    pub(crate) fn set(&mut self, value: &str, mut fact: Fact) {
        if let Some(stated) = self.stated.get(value) {
            fact.dims = Some(match fact.dims.take() {
                Some(dims) if dims.len() == stated.len() => {
                    let pairs = dims.into_iter().zip(stated);
                    let more = |(dim, stated): (Dim, &Dim)| match dim {
                        Dim::Unknown => stated.clone(),
                        dim => dim,
                    };
                    pairs.map(more).collect()
                }
                _ => stated.clone(),
            });
        }
        if !value.is_empty() {
            self.values.insert(value.to_owned(), fact);
        }
    }
}

impl Graph {
    /// Types and shapes of all values. Names of bodies should differ from those around them, as they
    /// do after [`simplify`](Self::simplify) and [`upgrade`](Self::upgrade).
    pub fn infer(&self) -> Facts {
        let mut facts = Facts::default();
        for value in &self.stated {
            if let Some(dims) = &value.dims {
                facts.stated.insert(value.name.clone(), dims.clone());
            }
        }
        for input in &self.inputs {
            facts.set(
                &input.name,
                Fact::new(Some(input.dtype), input.dims.clone()),
            );
        }
        for tensor in &self.initializers {
            facts.add_constant(tensor);
        }
        infer_nodes(&self.nodes, &mut facts);
        facts
    }
}

fn infer_nodes(nodes: &[NodeProto], facts: &mut Facts) {
    for node in nodes {
        let results = infer_node(node, facts);
        for (name, fact) in node.output.iter().zip(results) {
            facts.set(name, fact);
        }
    }
}

fn infer_node(node: &NodeProto, facts: &mut Facts) -> Vec<Fact> {
    if matches!(node.op_type(), "If" | "Loop" | "Scan") && node.is_standard() {
        return infer_bodies(node, facts);
    }
    let view = View { node, facts };
    let mut results = network::infer(&view)
        .or_else(|| arrange::infer(&view))
        .or_else(|| contrib::infer(&view))
        .unwrap_or_default();
    results.resize(node.output.len(), Fact::default());
    for (i, fact) in results.iter_mut().enumerate() {
        elements::follow(&view, i, fact);
    }
    results
}

/// What is known inside of bodies, and of what they answer.
fn infer_bodies(node: &NodeProto, facts: &mut Facts) -> Vec<Fact> {
    let carried = match node.op_type() {
        "Loop" => node.input.get(2..).unwrap_or_default(),
        _ => &[],
    };
    let mut answers: Vec<Vec<Fact>> = Vec::new();
    for body in node.bodies() {
        for tensor in &body.initializer {
            if let Ok(tensor) = Tensor::inside(tensor) {
                facts.set(&tensor.name, Fact::of(&tensor));
            }
        }
        for (i, input) in body.input.iter().enumerate() {
            // Exporters write down the shape of the example: only the type is taken from them.
            let declared = input.r#type.as_ref().and_then(|t| t.value.as_ref());
            let declared = match declared {
                Some(type_proto::Value::TensorType(tensor)) => DType::from_code(tensor.elem_type()),
                _ => None,
            };
            let first = i.checked_sub(2).and_then(|i| carried.get(i));
            let dtype = declared.or_else(|| facts.dtype(first?));
            let mut fact = Fact::new(dtype, None);
            if node.op_type() == "Loop" && i < 2 {
                fact.dims = Some(Vec::new());
            }
            facts.set(input.name(), fact);
        }
        infer_nodes(&body.node, facts);
        let outputs = body.output.iter();
        answers.push(
            outputs
                .map(|output| facts.get(output.name()).cloned().unwrap_or_default())
                .collect(),
        );
    }
    match (node.op_type(), answers.as_slice()) {
        ("If", [a, b]) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| common(a, b)).collect()
        }
        // The first answer of the body is whether to go on.
        ("Loop", [body]) => body
            .iter()
            .skip(1)
            .map(|f| Fact::new(f.dtype, None))
            .collect(),
        ("Scan", [body]) => body.iter().map(|f| Fact::new(f.dtype, None)).collect(),
        _ => Vec::new(),
    }
}

/// What two facts agree on.
fn common(a: &Fact, b: &Fact) -> Fact {
    let dims = match (&a.dims, &b.dims) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b);
            Some(
                pairs
                    .map(|(a, b)| if a == b { a.clone() } else { Dim::Unknown })
                    .collect(),
            )
        }
        _ => None,
    };
    Fact::new(a.dtype.filter(|_| a.dtype == b.dtype), dims)
}

/// A node and what is known of what it reads.
struct View<'a> {
    node: &'a NodeProto,
    facts: &'a Facts,
}

impl View<'_> {
    fn fact(&self, place: usize) -> Option<&Fact> {
        self.facts.get(self.node.input_at(place)?)
    }

    fn dtype(&self, place: usize) -> Option<DType> {
        self.fact(place)?.dtype
    }

    fn open(&self, place: usize) -> Option<&[Dim]> {
        self.fact(place)?.dims.as_deref()
    }

    fn rank(&self, place: usize) -> Option<usize> {
        self.open(place).map(<[Dim]>::len)
    }

    /// An attribute `axis` counted from the front.
    fn axis(&self, default: i64, rank: usize) -> Option<usize> {
        axis_of(self.node.int("axis").unwrap_or(default), rank)
    }
}

impl Inputs for View<'_> {
    fn dims(&self, place: usize) -> Option<Vec<usize>> {
        self.fact(place)?.fixed()
    }

    fn ints(&self, place: usize) -> Option<Vec<i64>> {
        self.fact(place)?.ints()
    }
}

#[cfg(test)]
mod tests;
