//! What every target does with its input.

use std::path::Path;

use bevel_weights::Checkpoint;
use bevel_weights::pickle::Value;
use bytes::Bytes;

/// No file can stand beside this one, so an index of shards finds none.
const PATH: &str = "/dev/null/checkpoint";

/// How many values of an object are looked at: it may contain itself.
const VALUES: usize = 10_000;

/// Opens a checkpoint and reads every tensor; a graph is converted as well. Errors are fine; panics, leaks, hangs and memory that
/// grows beyond the input are not.
pub fn read(data: &[u8]) {
    let Ok(checkpoint) = Checkpoint::from_bytes(Path::new(PATH), Bytes::copy_from_slice(data))
    else {
        return;
    };
    for name in checkpoint.names() {
        let _ = checkpoint.bytes(name);
        let _ = checkpoint.f32(name);
    }
    if let Some(graph) = checkpoint.graph() {
        let mut graph = graph.clone();
        if graph.upgrade().is_ok() {
            graph.simplify();
            let _ = graph.check();
        }
    }
    let mut values: Vec<Value<'_>> = checkpoint.object().into_iter().collect();
    for _ in 0..VALUES {
        let Some(value) = values.pop() else { break };
        let _ = (value.get("names"), value.attribute("stride"));
        values.extend(value.list().into_iter().flat_map(|l| l.iter()).take(VALUES));
        let entries = value.dict().into_iter().flat_map(|d| d.iter());
        values.extend(entries.map(|(_, value)| value).take(VALUES));
        if let Some(record) = value.record() {
            values.extend(record.args().iter().take(VALUES));
            values.extend([record.state(), record.kwargs()]);
        }
    }
}
