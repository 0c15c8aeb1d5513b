//! What passes ask of a node, and the nodes of bodies.

use crate::proto::{AttributeProto, GraphProto, NodeProto};
use crate::{Attribute, Graph};

impl NodeProto {
    /// A node without a name that answers `outputs`; an empty name leaves an optional one out.
    pub fn new<const A: usize>(
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: [(&str, Attribute); A],
    ) -> Self {
        let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
        Self {
            op_type: Some(op.into()),
            input: names(inputs),
            output: names(outputs),
            attribute: attributes
                .into_iter()
                .map(|(name, value)| value.into_proto(name))
                .collect(),
            ..Self::default()
        }
    }

    /// Whether it is this operator of ONNX itself.
    pub fn is(&self, op: &str) -> bool {
        self.op_type() == op && self.is_standard()
    }

    /// Whether its operator is one of ONNX itself.
    pub fn is_standard(&self) -> bool {
        matches!(self.domain(), "" | "ai.onnx")
    }

    /// The input of this place, where there is one.
    pub fn input_at(&self, place: usize) -> Option<&str> {
        let name = self.input.get(place)?;
        (!name.is_empty()).then_some(name.as_str())
    }

    /// The first result.
    pub fn result(&self) -> &str {
        self.output.first().map_or("", String::as_str)
    }

    /// Whether there is no result but the first.
    pub fn has_one_result(&self) -> bool {
        self.output.iter().skip(1).all(String::is_empty)
    }

    /// The attribute of this name.
    pub fn attribute_of(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name() == name)
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute_of(name).map(AttributeProto::i)
    }

    /// A number.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute_of(name).map(AttributeProto::f)
    }

    /// A list of whole numbers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute_of(name).map(|a| a.ints.as_slice())
    }

    /// Text; nothing where it is no UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attribute_of(name)
            .and_then(|a| std::str::from_utf8(a.s()).ok())
    }

    /// Gives an attribute a value.
    pub fn set(&mut self, name: &str, value: impl Into<Attribute>) {
        self.unset(name);
        self.attribute.push(value.into().into_proto(name));
    }

    /// Takes an attribute away.
    pub fn unset(&mut self, name: &str) -> Option<AttributeProto> {
        let at = self.attribute.iter().position(|a| a.name() == name)?;
        Some(self.attribute.remove(at))
    }

    /// The graphs inside: the bodies of `If`, `Loop`, `Scan`.
    pub fn bodies(&self) -> impl Iterator<Item = &GraphProto> {
        let attributes = self.attribute.iter();
        attributes.flat_map(|a| a.g.iter().chain(&a.graphs))
    }

    /// The same, to change them.
    pub fn bodies_mut(&mut self) -> impl Iterator<Item = &mut GraphProto> {
        let attributes = self.attribute.iter_mut();
        attributes.flat_map(|a| a.g.iter_mut().chain(&mut a.graphs))
    }
}

impl Graph {
    /// How many nodes there are, those of bodies too.
    pub fn node_count(&self) -> usize {
        count(&self.nodes)
    }

    /// Calls `visit` with every node, those of bodies after the node they are in.
    pub fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a NodeProto)) {
        visit_nodes(&self.nodes, visit);
    }
}

fn count(nodes: &[NodeProto]) -> usize {
    let inner = nodes.iter().flat_map(NodeProto::bodies);
    nodes.len() + inner.map(|body| count(&body.node)).sum::<usize>()
}

pub(crate) fn visit_nodes<'a>(nodes: &'a [NodeProto], visit: &mut impl FnMut(&'a NodeProto)) {
    for node in nodes {
        visit(node);
        for body in node.bodies() {
            visit_nodes(&body.node, visit);
        }
    }
}
