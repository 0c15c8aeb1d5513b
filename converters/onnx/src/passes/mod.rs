//! Rewriting a graph so that it answers the same with less.
//!
//! A [`Pass`] is a rule over one node, in a file of its own that opens with what it finds and what it
//! makes of it. The node is the last one of a pattern; the rule looks back from it through
//! [`View::producer`] and answers a [`Rewrite`]. It removes nothing: what is no longer read goes by
//! itself. [`simplify`](Graph::simplify) tries all rules at each node, in their order, sweep after
//! sweep until none finds anything; between the sweeps types and shapes are inferred anew, equal nodes
//! become one, `If`s of a known condition are replaced by their branch, and what nobody reads is
//! dropped.
//!
//! A new rule is a row of [`PASSES`], or of [`FUSED`] where it makes operators that are not ONNX's own:
//! those are for [`fuse`](Graph::fuse). It must hold for every input of the shapes that are known, in
//! bodies as in the main graph; a value keeps its name and its meaning.

mod affine;
mod attention;
mod branches;
mod chains;
mod constants;
mod dead;
mod dense;
mod fold;
mod gelu;
mod layer_norm;
mod nothing;
mod paddings;
mod reshaped;
mod shapes;
mod skip;
mod softmax;
mod sweep;
mod twins;

use std::collections::BTreeMap;

use crate::proto::NodeProto;
use crate::{Dim, Graph, Tensor};

pub(crate) use sweep::View;

/// A rule over one node.
pub(crate) struct Pass {
    /// What it is called in reports.
    pub name: &'static str,
    pub rule: fn(&NodeProto, &View<'_>) -> Option<Rewrite>,
}

/// What a rule makes of a node.
pub(crate) enum Rewrite {
    /// Who reads the first result reads this value instead.
    Forward(String),
    /// These nodes answer the same results. Names that are new are given out by [`View::fresh`].
    Replace(Vec<NodeProto>, Vec<Tensor>),
    /// The results are these constants.
    Constants(Vec<Tensor>),
}

impl Rewrite {
    fn node(node: NodeProto) -> Option<Self> {
        Some(Self::Replace(vec![node], Vec::new()))
    }
}

/// In the order in which they are tried at a node.
static PASSES: &[Pass] = &[
    Pass {
        name: "fold constants",
        rule: fold::rule,
    },
    Pass {
        name: "drop what does nothing",
        rule: nothing::rule,
    },
    Pass {
        name: "join chains",
        rule: chains::rule,
    },
    Pass {
        name: "state shapes",
        rule: shapes::rule,
    },
    Pass {
        name: "calculate in the shape that is wanted",
        rule: reshaped::rule,
    },
    Pass {
        name: "pad inside",
        rule: paddings::rule,
    },
    Pass {
        name: "softmax along the last axis",
        rule: softmax::rule,
    },
    Pass {
        name: "fold scale and shift",
        rule: affine::rule,
    },
    Pass {
        name: "product and sum",
        rule: dense::rule,
    },
    Pass {
        name: "layer norm of its parts",
        rule: layer_norm::rule,
    },
    Pass {
        name: "gelu of its parts",
        rule: gelu::rule,
    },
];

/// Those that make operators of [`CONTRIB`](crate::CONTRIB).
static FUSED: &[Pass] = &[Pass {
    name: "attention",
    rule: attention::rule,
}];

/// A pass over the whole graph: what it is called, and what answers how often it found something.
type WholePass = (&'static str, fn(&mut Graph) -> usize);

/// More sweeps than any model needs; each one shortens the graph or ends the work.
const MAX_SWEEPS: usize = 64;

/// What simplification did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Simplified {
    /// Nodes before, those of bodies too.
    pub before: usize,
    /// Nodes after.
    pub after: usize,
    /// How often each pass found something.
    pub found: BTreeMap<&'static str, usize>,
}

impl Graph {
    /// Rewrites the graph so that it answers the same with fewer nodes. Inputs and outputs keep their
    /// names, order and types.
    pub fn simplify(&mut self) -> Simplified {
        let passes: [WholePass; 2] = [
            ("take the known branch", branches::inline),
            ("join equal nodes", twins::join),
        ];
        let mut done = self.rewrite(PASSES, &passes);
        let joined = constants::join(self);
        if joined > 0 {
            done.found.insert("join equal constants", joined);
        }
        done
    }

    /// Joins nodes to operators of ONNX Runtime's own, [`CONTRIB`](crate::CONTRIB), where that makes
    /// the graph faster. It is the last thing to do to a graph: quantisers and other tools know the
    /// nodes that it joins. Inputs and outputs keep their names, order and types.
    pub fn fuse(&mut self) -> Simplified {
        // Constants are not joined: ONNX Runtime 1.28 refuses a graph whose operators share a zero
        // point where it makes their weights u8.
        let passes: [WholePass; 2] = [
            ("sum and layer norm", skip::join),
            ("join equal nodes", twins::join_equal),
        ];
        let done = self.rewrite(FUSED, &passes);
        if self
            .nodes
            .iter()
            .any(|node| node.domain() == crate::CONTRIB)
        {
            self.opsets.entry(crate::CONTRIB.to_owned()).or_insert(1);
        }
        done
    }

    /// Applies rules, and passes over the whole graph behind them, until none finds anything.
    fn rewrite(&mut self, rules: &[Pass], passes: &[WholePass]) -> Simplified {
        let before = self.node_count();
        let mut found = BTreeMap::new();
        let mut note = |name: &'static str, count: usize| {
            if count > 0 {
                *found.entry(name).or_insert(0) += count;
            }
            count
        };
        self.hoist();
        dead::drop_unread(self);
        // What new constants may add, so that a small file stays one.
        let mut budget = fold::budget(self);
        for _ in 0..MAX_SWEEPS {
            let mut changes = 0;
            for (pass, count) in rules.iter().zip(sweep::sweep(self, rules, &mut budget)) {
                changes += note(pass.name, count);
            }
            for (name, pass) in passes {
                changes += note(name, pass(self));
            }
            changes += note("drop unread nodes", dead::drop_unread(self));
            if changes == 0 {
                break;
            }
        }
        self.state_outputs();
        self.learn_names();
        Simplified {
            before,
            after: self.node_count(),
            found,
        }
    }
}

impl Graph {
    /// Writes down the dimensions of outputs that are known and were not said.
    fn state_outputs(&mut self) {
        let facts = self.infer();
        for output in &mut self.outputs {
            let Some(known) = facts.dims(&output.name) else {
                continue;
            };
            let dims = output.dims.get_or_insert_with(|| known.to_vec());
            for (dim, known) in dims.iter_mut().zip(known) {
                if *dim == Dim::Unknown {
                    known.clone_into(dim);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
