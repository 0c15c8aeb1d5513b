//! Graph to quantised graph. Each scheme is one file; [`int8`] holds the arithmetic they share,
//! [`seen`] what calibration saw.
//!
//! A scheme works on one graph and says which nodes it took. What it may not take stays in float: so
//! the layers that hurt are found, and kept.

pub(crate) mod bias;
pub(crate) mod dynamic;
pub(crate) mod equalize;
mod int8;
pub(crate) mod packed;
#[cfg(test)]
mod play;
pub(crate) mod qdq;
pub(crate) mod range;
pub(crate) mod seen;

use bevel_onnx::Graph;
use bevel_onnx::proto::NodeProto;

pub(crate) use seen::Seen;

/// What a scheme is asked to do.
pub(crate) struct Request<'a> {
    /// The graph in fp32.
    pub graph: &'a Graph,
    /// What calibration saw of its values; empty where there was none.
    pub seen: &'a Seen,
    /// Whether a node may be quantised. Nodes are told apart by their first result.
    pub may: &'a dyn Fn(&NodeProto) -> bool,
}

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
