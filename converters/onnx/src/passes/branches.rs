//! An `If` whose condition is known becomes the branch it takes.

use crate::proto::{GraphProto, NodeProto};
use crate::shape::Facts;
use crate::{Graph, Tensor};

/// Replaces what can be replaced, in bodies too. Answers how many there were.
pub(super) fn inline(graph: &mut Graph) -> usize {
    let mut any = false;
    graph.visit(&mut |node| any |= node.is("If"));
    if !any {
        return 0;
    }
    let facts = graph.infer();
    let mut nodes = std::mem::take(&mut graph.nodes);
    let mut constants = Vec::new();
    let count = inline_nodes(&mut nodes, &facts, &mut constants);
    graph.nodes = nodes;
    graph.initializers.extend(constants);
    count
}

fn inline_nodes(nodes: &mut Vec<NodeProto>, facts: &Facts, constants: &mut Vec<Tensor>) -> usize {
    let mut count = 0;
    let mut kept = Vec::with_capacity(nodes.len());
    for mut node in std::mem::take(nodes) {
        for body in node.bodies_mut() {
            count += inline_nodes(&mut body.node, facts, constants);
        }
        match taken(&node, facts) {
            Some(branch) => {
                count += 1;
                let answers = branch.output.iter().map(|o| o.name().to_owned());
                let results: Vec<_> = answers.zip(node.output.clone()).collect();
                let own = branch.initializer.iter().map(Tensor::inside);
                constants.extend(own.filter_map(Result::ok));
                kept.extend(branch.node.iter().cloned());
                // Names stay apart; what this copies is passed by in the next sweep.
                kept.extend(
                    results.iter().filter(|(_, result)| !result.is_empty()).map(
                        |(answer, result)| NodeProto::new("Identity", &[answer], &[result], []),
                    ),
                );
            }
            None => kept.push(node),
        }
    }
    *nodes = kept;
    count
}

fn taken<'n>(node: &'n NodeProto, facts: &Facts) -> Option<&'n GraphProto> {
    if !node.is("If") {
        return None;
    }
    let condition = *facts.get(node.input_at(0)?)?.ints()?.first()?;
    let branch = if condition != 0 {
        "then_branch"
    } else {
        "else_branch"
    };
    let body = node.attribute_of(branch)?.g.as_ref()?;
    let readable = body.initializer.iter().all(|t| Tensor::inside(t).is_ok());
    readable.then_some(body)
}
