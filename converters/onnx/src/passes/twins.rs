//! Nodes that calculate the same of the same become one.

use std::collections::{HashMap, HashSet};

use prost::Message;

use crate::Graph;
use crate::proto::NodeProto;

/// Operators that answer otherwise each time.
const RANDOM: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// Joins them, in bodies too, and the small constants by which they may differ. Answers how many are
/// gone.
pub(super) fn join(graph: &mut Graph) -> usize {
    super::constants::join_small(graph) + join_equal(graph)
}

/// Joins them alone.
pub(super) fn join_equal(graph: &mut Graph) -> usize {
    let outputs: HashSet<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
    let mut nodes = std::mem::take(&mut graph.nodes);
    let mut same = HashMap::new();
    let count = join_nodes(&mut nodes, &outputs, &mut same);
    super::sweep::rename(&mut nodes, &same);
    graph.nodes = nodes;
    count
}

type Key = (String, Vec<String>, Vec<Vec<u8>>, usize);

fn join_nodes(
    nodes: &mut Vec<NodeProto>,
    outputs: &HashSet<String>,
    same: &mut HashMap<String, String>,
) -> usize {
    let mut seen: HashMap<Key, Vec<String>> = HashMap::new();
    let before = nodes.len();
    let mut inner = 0;
    nodes.retain_mut(|node| {
        for value in &mut node.input {
            super::sweep::settle(value, same);
        }
        for body in node.bodies_mut() {
            let names = body.output.iter().map(|o| o.name().to_owned()).collect();
            inner += join_nodes(&mut body.node, &names, same);
        }
        let Some(key) = key(node) else { return true };
        let Some(first) = seen.get(&key) else {
            seen.insert(key, node.output.clone());
            return true;
        };
        let pairs = node.output.iter().zip(first);
        let replaces = pairs
            .clone()
            .all(|(own, first)| own.is_empty() || !first.is_empty() && !outputs.contains(own));
        if replaces {
            same.extend(
                pairs
                    .filter(|(own, _)| !own.is_empty())
                    .map(|(a, b)| (a.clone(), b.clone())),
            );
        }
        !replaces
    });
    before - nodes.len() + inner
}

fn key(node: &NodeProto) -> Option<Key> {
    let plain = node.is_standard() && node.bodies().next().is_none();
    if !plain || RANDOM.contains(&node.op_type()) {
        return None;
    }
    let mut attributes: Vec<Vec<u8>> = node.attribute.iter().map(Message::encode_to_vec).collect();
    attributes.sort();
    let op = node.op_type().to_owned();
    Some((op, node.input.clone(), attributes, node.output.len()))
}
