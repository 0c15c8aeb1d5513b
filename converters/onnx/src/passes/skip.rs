//! A sum and its normalisation are one operator of ONNX Runtime.
//!
//! | before | after |
//! |---|---|
//! | `s = Add(a, b)`; `LayerNormalization(s, w, c)` | `y, _, _, s = com.microsoft.SkipLayerNormalization(a, b, w, c)` |
//!
//! a and b N×T×D of the same sizes, f32; s may be read elsewhere too, as layers that normalise first do.
//! ONNX Runtime joins them by itself only where nobody else reads s. In its version 1.28 the operator
//! alone takes a sixth of the time of `LayerNormalization` (1024 × 384, 2 threads: 0.2 ms against 1.8),
//! which calculates in f64.

use std::collections::HashMap;

use crate::proto::NodeProto;
use crate::shape::Facts;
use crate::{CONTRIB, DType, Dim, Graph};

/// Joins them, in bodies too. Answers how many there were.
pub(super) fn join(graph: &mut Graph) -> usize {
    let facts = graph.infer();
    join_nodes(&mut graph.nodes, &facts)
}

fn join_nodes(nodes: &mut Vec<NodeProto>, facts: &Facts) -> usize {
    let mut count = 0;
    for body in nodes.iter_mut().flat_map(NodeProto::bodies_mut) {
        count += join_nodes(&mut body.node, facts);
    }
    let sums: HashMap<String, usize> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.is("Add"))
        .map(|(i, node)| (node.result().to_owned(), i))
        .collect();
    let mut gone = vec![false; nodes.len()];
    for i in 0..nodes.len() {
        let Some(at) = nodes[i].input_at(0).and_then(|sum| sums.get(sum)) else {
            continue;
        };
        // A sum that one normalisation has taken is no `Add` any more.
        if nodes[*at].is("Add")
            && let Some(joined) = joined(&nodes[*at], &nodes[i], facts)
        {
            // It takes the place of the sum, so that all who read that come behind it.
            nodes[*at] = joined;
            gone[i] = true;
            count += 1;
        }
    }
    let mut gone = gone.into_iter();
    nodes.retain(|_| !gone.next().unwrap_or(false));
    count
}

fn joined(sum: &NodeProto, norm: &NodeProto, facts: &Facts) -> Option<NodeProto> {
    let [a, b] = sum.input.as_slice() else {
        return None;
    };
    let dims = facts.dims(a)?;
    let [_, _, Dim::Fixed(width)] = dims else {
        return None;
    };
    let plain = norm.is("LayerNormalization")
        && norm.has_one_result()
        && matches!(norm.int("axis"), None | Some(-1 | 2))
        && matches!(norm.int("stash_type"), None | Some(1));
    let weights = norm.input.get(1..)?;
    let vectors = weights
        .iter()
        .all(|name| facts.constant(name).is_some_and(|t| t.dims == [*width]));
    let same = facts.dims(b)? == dims && !dims.contains(&Dim::Unknown);
    if !plain || !vectors || !same || facts.dtype(a) != Some(DType::F32) {
        return None;
    }
    let inputs: Vec<&str> = [a, b]
        .into_iter()
        .chain(weights)
        .map(String::as_str)
        .collect();
    let results = [norm.result(), "", "", sum.result()];
    let epsilon = norm.float("epsilon").unwrap_or(1e-5);
    Some(NodeProto {
        name: norm.name.clone(),
        domain: Some(CONTRIB.into()),
        ..NodeProto::new(
            "SkipLayerNormalization",
            &inputs,
            &results,
            [("epsilon", epsilon.into())],
        )
    })
}
