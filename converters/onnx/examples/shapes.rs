//! Prints what is known of the values of an ONNX file after upgrading it: `shapes IN.onnx OUT.onnx` writes the
//! upgraded graph, and a line `name dim dim …` for each value, `?` for a size that is open.

use std::path::Path;

use bevel_onnx::{Dim, Graph};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = paths.as_slice() else {
        return Err("usage: shapes IN.onnx OUT.onnx".into());
    };
    let mut graph = Graph::load(Path::new(from))?;
    graph.upgrade()?;
    graph.save(Path::new(to))?;
    let facts = graph.infer();
    graph.visit(&mut |node| {
        for value in &node.output {
            let Some(dims) = facts.dims(value) else {
                continue;
            };
            let dims = dims.iter().map(|dim| match dim {
                Dim::Fixed(size) => format!(" {size}"),
                Dim::Named(name) => format!(" {name}"),
                Dim::Unknown => " ?".into(),
            });
            println!("{value}{}", dims.collect::<String>());
        }
    });
    Ok(())
}
