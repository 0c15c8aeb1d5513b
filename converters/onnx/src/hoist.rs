//! The form that passes work on: a name means one value in the whole model, bodies included, and
//! constants are initializers of the main graph.
//!
//! Bodies keep constants that they answer themselves: a body may not answer a value from outside.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::{Graph, Tensor};

impl Graph {
    /// Brings the graph into the form that passes work on, and drops what is written for people
    /// only. A second time changes nothing.
    pub(crate) fn hoist(&mut self) {
        let mut nodes = std::mem::take(&mut self.nodes);
        let mut taken: HashSet<String> = HashSet::new();
        taken.extend(self.inputs.iter().map(|input| input.name.clone()));
        taken.extend(self.initializers.iter().map(|t| t.name.clone()));
        taken.extend(nodes.iter().flat_map(|node| node.output.iter().cloned()));
        for node in &mut nodes {
            for body in node.bodies_mut() {
                rename_body(self, body, &HashMap::new(), &mut taken);
            }
        }
        hoist_nodes(self, &mut nodes, None);
        self.nodes = nodes;
        self.learn_names();
    }
}

/// Gives new names to values of a body whose names are taken.
fn rename_body(
    graph: &mut Graph,
    body: &mut GraphProto,
    outer: &HashMap<String, String>,
    taken: &mut HashSet<String>,
) {
    let mut new = HashMap::new();
    {
        let mut define = |name: &mut String| {
            if name.is_empty() || taken.insert(name.clone()) {
                return;
            }
            let other = graph.unique(name.clone());
            taken.insert(other.clone());
            new.insert(std::mem::replace(name, other.clone()), other);
        };
        let inputs = body
            .input
            .iter_mut()
            .filter_map(|input| input.name.as_mut());
        inputs.for_each(&mut define);
        let constants = body.initializer.iter_mut().filter_map(|t| t.name.as_mut());
        constants.for_each(&mut define);
        let results = body.node.iter_mut().flat_map(|node| node.output.iter_mut());
        results.for_each(&mut define);
    }
    // What is defined here goes before what is around it.
    let mut names = Cow::Borrowed(outer);
    if !new.is_empty() {
        names.to_mut().extend(new);
    }
    let renamed = |name: &mut String| {
        if let Some(other) = names.get(name) {
            other.clone_into(name);
        }
    };
    for node in &mut body.node {
        node.input.iter_mut().for_each(renamed);
    }
    body.output
        .iter_mut()
        .filter_map(|output| output.name.as_mut())
        .for_each(renamed);
    for node in &mut body.node {
        for inner in node.bodies_mut() {
            rename_body(graph, inner, &names, taken);
        }
    }
}

/// Moves constants out of the nodes of the graph, or of the body that answers `answers`.
fn hoist_nodes(graph: &mut Graph, nodes: &mut Vec<NodeProto>, answers: Option<&HashSet<String>>) {
    nodes.retain(|node| {
        let kept_here = answers.is_some_and(|names| names.contains(node.result()));
        match constant(node).filter(|_| !kept_here) {
            Some(tensor) => {
                graph.initializers.push(tensor);
                false
            }
            None => true,
        }
    });
    for node in nodes {
        node.doc_string = None;
        node.metadata_props.clear();
        for body in node.bodies_mut() {
            hoist_body(graph, body);
        }
    }
}

fn hoist_body(graph: &mut Graph, body: &mut GraphProto) {
    let outputs = body.output.iter().filter_map(|output| output.name.clone());
    let answers: HashSet<String> = outputs.collect();
    body.initializer.retain(|proto| {
        match Tensor::inside(proto)
            .ok()
            .filter(|t| !answers.contains(&t.name))
        {
            Some(tensor) => {
                graph.initializers.push(tensor);
                false
            }
            None => true,
        }
    });
    // A constant that the body answers becomes an initializer of the body.
    for node in &body.node {
        if let Some(tensor) = constant(node).filter(|t| answers.contains(&t.name)) {
            body.initializer.push(TensorProto::from(&tensor));
        }
    }
    body.node
        .retain(|node| constant(node).is_none_or(|t| !answers.contains(&t.name)));
    body.value_info.clear();
    body.doc_string = None;
    hoist_nodes(graph, &mut body.node, Some(&answers));
}

/// The tensor of a `Constant`; `None` for text and sparse ones, which stay as they are.
fn constant(node: &NodeProto) -> Option<Tensor> {
    if !node.is("Constant") {
        return None;
    }
    let [attribute] = node.attribute.as_slice() else {
        return None;
    };
    let floats = |dims: &[usize], values: &[f32]| Tensor::f32("", dims, values.to_vec());
    let ints = |dims: &[usize], values: &[i64]| Tensor {
        dims: dims.to_vec(),
        ..Tensor::i64s("", values)
    };
    let tensor = match attribute.name() {
        "value" => Tensor::inside(attribute.t.as_ref()?).ok()?,
        "value_float" => floats(&[], &[attribute.f()]),
        "value_floats" => floats(&[attribute.floats.len()], &attribute.floats),
        "value_int" => ints(&[], &[attribute.i()]),
        "value_ints" => ints(&[attribute.ints.len()], &attribute.ints),
        _ => return None,
    };
    Some(Tensor {
        name: node.result().into(),
        ..tensor
    })
}
