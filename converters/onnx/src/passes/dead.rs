//! Nodes, results and constants that nobody reads are dropped.

use std::collections::HashSet;

use crate::Graph;
use crate::proto::NodeProto;

/// Operators whose results behind the first may be left out.
const OPTIONAL: [&str; 8] = [
    "BatchNormalization",
    "Dropout",
    "GRU",
    "LSTM",
    "LayerNormalization",
    "MaxPool",
    "RNN",
    "Unique",
];

/// Answers how many nodes are gone.
pub(super) fn drop_unread(graph: &mut Graph) -> usize {
    let mut read: HashSet<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
    let count = drop_nodes(&mut graph.nodes, &mut read);
    graph.drop_unused_initializers();
    count
}

/// Drops nodes from the last to the first; `read` gathers what the rest reads.
fn drop_nodes(nodes: &mut Vec<NodeProto>, read: &mut HashSet<String>) -> usize {
    let mut count = 0;
    let mut kept = Vec::with_capacity(nodes.len());
    for mut node in std::mem::take(nodes).into_iter().rev() {
        if !node.output.iter().any(|value| read.contains(value)) {
            count += 1 + node.bodies().map(|body| body.node.len()).sum::<usize>();
            continue;
        }
        if node.is("If") {
            drop_answers(&mut node, read);
        }
        let normed = node.domain() == crate::CONTRIB && node.op_type() == "SkipLayerNormalization";
        if normed || node.is_standard() && OPTIONAL.contains(&node.op_type()) {
            for value in node
                .output
                .iter_mut()
                .filter(|value| !read.contains(*value))
            {
                value.clear();
            }
            while node.output.len() > 1 && node.output.last().is_some_and(String::is_empty) {
                node.output.pop();
            }
        }
        for body in node.bodies_mut() {
            read.extend(body.output.iter().map(|o| o.name().to_owned()));
            count += drop_nodes(&mut body.node, read);
            body.initializer
                .retain(|tensor| read.contains(tensor.name()));
        }
        read.extend(node.input.iter().cloned());
        kept.push(node);
    }
    kept.reverse();
    *nodes = kept;
    count
}

/// What both branches of an `If` answer and nobody reads.
fn drop_answers(node: &mut NodeProto, read: &HashSet<String>) {
    let keep: Vec<bool> = node
        .output
        .iter()
        .map(|value| read.contains(value))
        .collect();
    if node.bodies().any(|body| body.output.len() != keep.len()) {
        return;
    }
    let mut kept = keep.iter();
    node.output.retain(|_| kept.next().copied().unwrap_or(true));
    for body in node.bodies_mut() {
        let mut kept = keep.iter();
        body.output.retain(|_| kept.next().copied().unwrap_or(true));
    }
}
