//! Constants of equal type, shape and bytes become one.

use std::collections::HashMap;

use crate::{DType, Graph};

/// Constants up to this size are compared in every sweep: equal nodes often differ only by them.
const SMALL_BYTES: usize = 1024;

/// Joins all of them. Answers how many are gone.
pub(super) fn join(graph: &mut Graph) -> usize {
    join_up_to(graph, usize::MAX)
}

pub(super) fn join_small(graph: &mut Graph) -> usize {
    join_up_to(graph, SMALL_BYTES)
}

fn join_up_to(graph: &mut Graph, most: usize) -> usize {
    let mut first: HashMap<(DType, Vec<usize>, bytes::Bytes), String> = HashMap::new();
    let mut same = HashMap::new();
    let outputs: Vec<&str> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
    graph.initializers.retain(|tensor| {
        if tensor.data.len() > most || outputs.contains(&tensor.name.as_str()) {
            return true;
        }
        let key = (tensor.dtype, tensor.dims.clone(), tensor.data.clone());
        match first.get(&key) {
            Some(name) => {
                same.insert(tensor.name.clone(), name.clone());
                false
            }
            None => {
                first.insert(key, tensor.name.clone());
                true
            }
        }
    });
    super::sweep::rename(&mut graph.nodes, &same);
    same.len()
}
