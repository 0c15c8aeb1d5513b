//! A model quantised in one way, all its graphs.

use std::collections::BTreeMap;

use super::NEEDS_DATA;
use crate::Scheme;
use crate::arch::Graphs;
use crate::quantize::{Prepared, Request, Seen, Way};

/// A variant that covers less of the weights than this is not worth having. Layers that are kept in
/// float later, because they hurt, may bring it below.
const MIN_COVERED: f64 = 0.5;

/// A rewritten model.
pub(super) struct Rewritten {
    pub graphs: Graphs,
    /// What was quantised.
    pub layers: Vec<(&'static str, String)>,
    pub covered: f64,
}

/// A scheme where nobody can run graphs: its first way that needs no data.
pub(crate) fn blind(scheme: Scheme, graphs: &Graphs) -> Result<(Graphs, Way), String> {
    let ways = Way::of(scheme, false, false);
    let way = ways.into_iter().next().ok_or(NEEDS_DATA)?;
    let rewritten = rewrite(graphs, &way, &BTreeMap::new(), &|_, _| true);
    worth(&rewritten)?;
    Ok((rewritten.graphs, way))
}

pub(super) fn worth(rewritten: &Rewritten) -> Result<(), String> {
    match rewritten.covered >= MIN_COVERED {
        true => Ok(()),
        false => Err(format!(
            "it reaches {:.0} % of the weights",
            rewritten.covered * 100.0
        )),
    }
}

pub(super) fn rewrite(
    graphs: &Graphs,
    way: &Way,
    seen: &BTreeMap<(Prepared, &'static str), Seen>,
    may: &dyn Fn(&'static str, &str) -> bool,
) -> Rewritten {
    let nothing = Seen::default();
    let (mut covered, mut total) = (0.0, 0.0);
    let mut layers = Vec::new();
    let mut rewritten = Graphs::new();
    for (role, graph) in graphs {
        let prepared = way.prepare(graph);
        let quantized = way.quantize(&Request {
            graph: &prepared,
            seen: seen.get(&(way.prepared(), *role)).unwrap_or(&nothing),
            may: &|node| may(role, node.result()),
        });
        let bytes = graph.weight_bytes() as f64;
        covered += quantized.covered * bytes;
        total += bytes;
        layers.extend(quantized.nodes.into_iter().map(|name| (*role, name)));
        rewritten.insert(role, quantized.graph);
    }
    Rewritten {
        graphs: rewritten,
        layers,
        covered: covered / f64::max(total, 1.0),
    }
}
