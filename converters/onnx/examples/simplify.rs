//! Upgrades and simplifies an ONNX file: `simplify IN.onnx OUT.onnx`.

use std::path::Path;

use bevel_onnx::Graph;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = paths.as_slice() else {
        return Err("usage: simplify IN.onnx OUT.onnx".into());
    };
    let mut graph = Graph::load(Path::new(from))?;
    let version = graph.upgrade()?;
    let done = graph.simplify();
    graph.save(Path::new(to))?;
    eprintln!("operator set {version}: {done:?}");
    Ok(())
}
