//! What every graph must satisfy before it is written or rewritten.

use std::collections::HashSet;

use crate::proto::{GraphProto, NodeProto};
use crate::{Error, Graph, Tensor};

impl Graph {
    /// Checks that each value is defined once and before it is used, that names are unique, that
    /// outputs exist and that the bytes of every constant fill its dimensions.
    ///
    /// # Errors
    /// The first breach, by name.
    pub fn check(&self) -> Result<(), Error> {
        let mut values = Values::default();
        for input in &self.inputs {
            values.define(&input.name, || "a graph input".into())?;
        }
        for tensor in &self.initializers {
            check_size(tensor)?;
            values.define(&tensor.name, || "an initializer".into())?;
        }
        check_nodes(&self.nodes, &mut values)?;
        match self.outputs.iter().find(|o| !values.defined(&o.name)) {
            Some(output) => Err(Error::Output {
                value: output.name.clone(),
            }),
            None => Ok(()),
        }
    }
}

pub(crate) fn check_size(tensor: &Tensor) -> Result<(), Error> {
    let expected = size_bytes(tensor);
    if expected == Some(tensor.data.len()) {
        return Ok(());
    }
    Err(Error::Size {
        tensor: tensor.name.clone(),
        dims: tensor.dims.clone(),
        expected: expected.map_or(u64::MAX, |n| n as u64),
        got: tensor.data.len() as u64,
    })
}

fn size_bytes(tensor: &Tensor) -> Option<usize> {
    tensor
        .dims
        .iter()
        .try_fold(tensor.dtype.size_bytes(), |n, d| n.checked_mul(*d))
}

#[derive(Default)]
struct Values<'a> {
    defined: HashSet<&'a str>,
    nodes: HashSet<&'a str>,
}

impl<'a> Values<'a> {
    fn defined(&self, value: &str) -> bool {
        self.defined.contains(value)
    }

    fn define(&mut self, value: &'a str, by: impl Fn() -> String) -> Result<(), Error> {
        if self.defined.insert(value) {
            return Ok(());
        }
        Err(Error::Redefined {
            value: value.into(),
            by: by(),
        })
    }
}

/// An empty name stands for an optional input or result that is left out.
fn check_nodes<'a>(nodes: &'a [NodeProto], values: &mut Values<'a>) -> Result<(), Error> {
    for node in nodes {
        let name = node.name();
        if !name.is_empty() && !values.nodes.insert(name) {
            return Err(Error::NodeName { node: name.into() });
        }
        for value in node.input.iter().filter(|v| !v.is_empty()) {
            if !values.defined(value) {
                return Err(Error::Undefined {
                    node: name.into(),
                    op: node.op_type().into(),
                    value: value.clone(),
                });
            }
        }
        for body in node.bodies() {
            check_body(body, values)?;
        }
        for value in node.output.iter().filter(|v| !v.is_empty()) {
            values.define(value, || format!("node `{name}` ({})", node.op_type()))?;
        }
    }
    Ok(())
}

/// The body of an `If`, `Loop` or `Scan`, which sees the values around it and keeps its own.
fn check_body<'a>(body: &'a GraphProto, values: &mut Values<'a>) -> Result<(), Error> {
    let outside = values.defined.clone();
    for input in &body.input {
        values.define(input.name(), || "an input of a subgraph".into())?;
    }
    for tensor in &body.initializer {
        // Before IR 4 initializers repeat as inputs.
        values.defined.insert(tensor.name());
    }
    check_nodes(&body.node, values)?;
    if let Some(output) = body.output.iter().find(|o| !values.defined(o.name())) {
        return Err(Error::Output {
            value: output.name().into(),
        });
    }
    values.defined = outside;
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{DType, Dim};

    fn graph() -> Graph {
        let mut graph = Graph::new("g");
        let x = graph.input("x", DType::F32, [Dim::named("n")]);
        let w = graph.initializer(Tensor::f32("w", &[1], vec![1.0]));
        let a = graph.node("Add", &[&x, &w], []);
        let b = graph.node("Relu", &[&a], []);
        graph.output(&b, "y", DType::F32, [Dim::named("n")]);
        graph
    }

    #[test]
    fn what_is_built_is_sound() {
        graph().check().unwrap();
    }

    #[test]
    fn each_breach_is_named() {
        struct Case {
            name: &'static str,
            breach: fn(&mut Graph),
            says: &'static [&'static str],
        }
        let cases = [
            Case {
                name: "use before definition",
                breach: |g| g.nodes.reverse(),
                says: &["`Relu`", "`Add`"],
            },
            Case {
                name: "undefined input",
                breach: |g| g.nodes[0].input[1] = "v".into(),
                says: &["`Add` (Add)", "`v`"],
            },
            Case {
                name: "value defined twice",
                breach: |g| g.nodes[0].output[0] = "w".into(),
                says: &["`w`", "`Add`"],
            },
            Case {
                name: "initializer shadows input",
                breach: |g| g.initializers[0].name = "x".into(),
                says: &["`x`", "initializer"],
            },
            Case {
                name: "nodes of one name",
                breach: |g| g.nodes[1].name = Some("Add".into()),
                says: &["two nodes", "`Add`"],
            },
            Case {
                name: "output that is not made",
                breach: |g| g.outputs[0].name = "z".into(),
                says: &["`z`"],
            },
            Case {
                name: "too few bytes",
                breach: |g| g.initializers[0].data = Bytes::from_static(&[0; 3]),
                says: &["`w`", "4 bytes", "got 3"],
            },
            Case {
                name: "dimensions overflow",
                breach: |g| g.initializers[0].dims = vec![usize::MAX, 2],
                says: &["`w`"],
            },
        ];
        for case in cases {
            let mut broken = graph();
            (case.breach)(&mut broken);
            let error = broken.check().unwrap_err().to_string();
            for says in case.says {
                assert!(error.contains(says), "{}: {error}", case.name);
            }
        }
    }
}
