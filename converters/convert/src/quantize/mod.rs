//! Graph to quantised graph. Each scheme is one file; [`int8`] holds the arithmetic they share,
//! [`seen`] what calibration saw.
//!
//! A scheme works on one graph and says which nodes it took. What it may not take stays in float: so
//! the layers that hurt are found, and kept.

mod bias;
mod blocks;
mod dynamic;
mod equalize;
mod half;
mod int8;
mod packed;
#[cfg(test)]
mod play;
mod product;
mod qdq;
mod range;
pub(crate) mod seen;
mod smooth;
mod stored;
#[cfg(test)]
mod trial;
mod way;

use std::collections::HashMap;

use bevel_onnx::Graph;
use bevel_onnx::proto::NodeProto;

pub(crate) use seen::Seen;
pub(crate) use way::{Prepared, Way};

/// What a scheme is asked to do.
pub(crate) struct Request<'a> {
    /// The graph in fp32.
    pub graph: &'a Graph,
    /// What calibration saw of its values; empty where there was none.
    pub seen: &'a Seen,
    /// Whether a node may be quantised. Nodes are told apart by their first result.
    pub may: &'a dyn Fn(&NodeProto) -> bool,
}

#[cfg(test)]
impl<'a> Request<'a> {
    /// All nodes, without calibration.
    pub fn all(graph: &'a Graph, seen: &'a Seen) -> Self {
        Self {
            graph,
            seen,
            may: &|_| true,
        }
    }
}

/// What came of it.
pub(crate) struct Quantized {
    pub graph: Graph,
    /// The first results of the nodes that were quantised, in their order.
    pub nodes: Vec<String>,
    /// The share of the weight bytes that is quantised, in 0 ..= 1.
    pub covered: f64,
}

/// Bytes of the weights that are quantised, by name.
type Covered<'a> = HashMap<&'a str, usize>;

impl Quantized {
    /// The graph with the nodes that may be taken as `write` writes them: it adds new ones at the end,
    /// the last with the node's results, or answers `None` before it adds any.
    fn of<'a>(
        request: &Request<'a>,
        mut write: impl FnMut(&mut Graph, &'a NodeProto, &mut Covered<'a>) -> Option<()>,
    ) -> Self {
        let mut graph = request.graph.clone();
        let mut covered = Covered::new();
        let mut nodes = Vec::new();
        graph.nodes.clear();
        for node in &request.graph.nodes {
            let taken = (request.may)(node) && write(&mut graph, node, &mut covered).is_some();
            match graph.nodes.last_mut().filter(|_| taken) {
                Some(last) => {
                    last.output.clone_from(&node.output);
                    nodes.push(node.result().to_owned());
                }
                None => graph.nodes.push(node.clone()),
            }
        }
        Self::new(request, graph, nodes, &covered)
    }

    fn new(
        request: &Request<'_>,
        mut graph: Graph,
        nodes: Vec<String>,
        covered: &Covered<'_>,
    ) -> Self {
        graph.drop_unused_initializers();
        let covered: usize = covered.values().sum();
        Self {
            graph,
            nodes,
            covered: covered as f64 / request.graph.weight_bytes().max(1) as f64,
        }
    }
}
