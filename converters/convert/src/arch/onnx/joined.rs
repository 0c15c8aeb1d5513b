//! One decoder out of two: the one that starts and the one that goes on with its past.
//!
//! | `use_cache_branch` | runs | answers |
//! |---|---|---|
//! | false | `decoder_model` | `logits`, and all of `present.*` |
//! | true | `decoder_with_past_model` | `logits`, `present.*.decoder.*`; the encoder's half, which stays, empty |
//!
//! Constants that both have are there once.

use std::collections::{HashMap, HashSet};

use bevel_onnx::{Attribute, DType, Dim, Graph, Tensor, Value};
use bytes::Bytes;

const BRANCH: &str = "use_cache_branch";

/// Type, shape and bytes of a constant.
type Content = (DType, Vec<usize>, Bytes);

/// What constants of a content are called: as many as one of the two has.
type Constants = HashMap<Content, Vec<String>>;

/// # Errors
/// Says what the two do not agree on.
pub(super) fn decoder(first: &Graph, later: &Graph) -> Result<Graph, String> {
    if first.opsets != later.opsets {
        return Err("they are of different operator sets".into());
    }
    let answered: HashSet<&str> = first.outputs.iter().map(|o| o.name.as_str()).collect();
    if let Some(odd) = later
        .outputs
        .iter()
        .find(|o| !answered.contains(o.name.as_str()))
    {
        return Err(format!("only one of them answers `{}`", odd.name));
    }
    let mut graph = Graph::new("decoder");
    graph.opsets.clone_from(&first.opsets);
    for input in first.inputs.iter().chain(&later.inputs) {
        match graph.inputs.iter().find(|known| known.name == input.name) {
            Some(known) if known.dtype != input.dtype => {
                return Err(format!("`{}` is of two types", input.name));
            }
            Some(_) => {}
            None => {
                let dims = input.dims.clone().unwrap_or_default();
                graph.input(&input.name, input.dtype, dims);
            }
        }
    }
    graph.input(BRANCH, DType::Bool, [Dim::Fixed(1)]);

    let mut constants = Constants::new();
    let branches = [("then_branch", later), ("else_branch", first)];
    let branches = branches.map(|(name, part)| {
        let body = body(&mut graph, name, part, &first.outputs, &mut constants);
        (name, body)
    });
    let results = graph.node_many("", "If", &[BRANCH], branches, first.outputs.len());
    for (result, output) in results.iter().zip(&first.outputs) {
        let dims = output.dims.clone().unwrap_or_default();
        graph.output(result, &output.name, output.dtype, dims);
    }
    Ok(graph)
}

/// A graph as the body of a branch that answers `outputs`, empty where it does not know one.
fn body(
    graph: &mut Graph,
    name: &str,
    part: &Graph,
    outputs: &[Value],
    constants: &mut Constants,
) -> Attribute {
    let mut part = part.clone();
    // Values of bodies are told apart from those of the graph around them.
    let mut met: HashMap<Content, usize> = HashMap::new();
    for constant in std::mem::take(&mut part.initializers) {
        let Tensor {
            dtype, dims, data, ..
        } = constant.clone();
        let content = (dtype, dims, data);
        let place = met.entry(content.clone()).or_default();
        let known = constants.entry(content).or_default();
        if known.len() == *place {
            let name = format!("shared/{}", constant.name);
            let shared = Tensor {
                name,
                ..constant.clone()
            };
            known.push(graph.initializer(shared));
        }
        part.rename(&constant.name, &known[*place]);
        *place += 1;
    }
    let results: Vec<String> = part
        .nodes
        .iter()
        .flat_map(|node| node.output.iter().cloned())
        .filter(|result| !result.is_empty())
        .collect();
    for result in results {
        part.rename(&result, &format!("{name}/{result}"));
    }
    for node in &mut part.nodes {
        node.name = node.name.take().map(|own| format!("{name}/{own}"));
    }
    let mut body = graph.body(name);
    body.nodes = part.nodes;
    body.stated = part.stated;
    for output in outputs {
        let inside = format!("{name}/{}", output.name);
        let known = part.outputs.iter().find(|known| known.name == inside);
        match known {
            Some(known) => body.outputs.push(known.clone()),
            None => {
                let empty = empty(&mut body, output);
                let dims = output.dims.clone().unwrap_or_default();
                body.output(&empty, &inside, output.dtype, dims);
            }
        }
    }
    graph.adopt(body)
}

/// A value of no elements, whatever sizes the file gives.
fn empty(body: &mut Graph, output: &Value) -> String {
    let dims = output.dims.iter().flatten().enumerate();
    let dims: Vec<i64> = dims
        .map(|(axis, dim)| match dim {
            Dim::Fixed(size) if axis > 0 => *size as i64,
            _ => 0,
        })
        .collect();
    let dims = Tensor::i64s("dims", &dims);
    let dims = body.initializer(dims);
    body.node("ConstantOfShape", &[&dims], [])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `y` is `x` by constants of these values; `past` is read where there is one, `present` is answered.
    fn part(values: &[f32], past: bool) -> Graph {
        let dims = || [Dim::named("n"), Dim::Fixed(2)];
        let mut graph = Graph::new("part");
        let mut y = graph.input("x", DType::F32, dims());
        if past {
            let past = graph.input("past", DType::F32, dims());
            y = graph.node("Add", &[&y, &past], []);
        }
        for value in values {
            let constant = graph.initializer(Tensor::f32("c", &[1], vec![*value]));
            y = graph.node("Mul", &[&y, &constant], []);
        }
        graph.output(&y, "y", DType::F32, dims());
        if !past {
            let present = graph.node("Neg", &["x"], []);
            graph.output(&present, "present", DType::F32, dims());
        }
        graph
    }

    #[test]
    fn constants_are_there_once_and_both_answer_the_same() {
        struct Case {
            name: &'static str,
            first: &'static [f32],
            later: &'static [f32],
            constants: usize,
        }
        let cases = [
            Case {
                name: "the same",
                first: &[2.0, 3.0],
                later: &[3.0, 2.0],
                constants: 2,
            },
            Case {
                name: "one more",
                first: &[2.0],
                later: &[2.0, 4.0],
                constants: 2,
            },
            Case {
                name: "one of them twice",
                first: &[2.0, 2.0],
                later: &[2.0],
                constants: 2,
            },
        ];
        for case in cases {
            let (first, later) = (part(case.first, false), part(case.later, true));
            let graph = decoder(&first, &later).unwrap();
            graph.check().unwrap();
            assert_eq!(graph.initializers.len(), case.constants, "{}", case.name);
            let names = |values: &[Value]| -> Vec<String> {
                values.iter().map(|value| value.name.clone()).collect()
            };
            assert_eq!(names(&graph.inputs), ["x", "past", BRANCH], "{}", case.name);
            assert_eq!(names(&graph.outputs), ["y", "present"], "{}", case.name);
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let (first, later) = (part(&[2.0], false), part(&[2.0], true));
        let error = decoder(&later, &first).unwrap_err();
        assert!(error.contains("`present`"), "{error}");
        let mut older = later.clone();
        older.opsets.insert(String::new(), 11);
        let error = decoder(&first, &older).unwrap_err();
        assert!(error.contains("operator sets"), "{error}");
        let mut other = later;
        other.inputs[0].dtype = DType::I64;
        let error = decoder(&first, &other).unwrap_err();
        assert!(error.contains("`x`"), "{error}");
    }
}
