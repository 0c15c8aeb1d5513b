//! What goes into graphs while they run, kept so that other graphs can be run on it again: quantisers
//! are calibrated so, and variants compared.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ort::session::SessionInputValue;

use crate::error::{Result, internal};
use crate::tensors::{Named, Tensor};

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// Inputs of the runs of each graph.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    graphs: BTreeMap<PathBuf, Graph>,
}

impl Recording {
    /// What went into the graph of this file, in order; empty when it did not run.
    pub fn runs(&self, graph: &Path) -> &[Named] {
        self.graphs.get(graph).map_or(&[], |g| g.kept.as_slice())
    }

    /// How often the graph ran, whether its inputs were kept or not.
    pub fn count(&self, graph: &Path) -> usize {
        self.graphs.get(graph).map_or(0, |g| g.seen)
    }
}

/// How much is kept of each graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingLimits {
    /// Runs. When there are more, every second one goes, and from then on every second one is kept.
    pub runs: usize,
    /// Bytes of all kept runs, in the same way; one run is kept in any case.
    pub bytes: usize,
}

/// Does `work` and keeps what goes into the graphs that this thread runs meanwhile. Values of types
/// that [`TensorData`](crate::TensorData) lacks are left out.
pub fn record<T>(limits: RecordingLimits, work: impl FnOnce() -> T) -> (T, Recording) {
    /// Stops recording even when `work` panics.
    struct Guard(Option<Recorder>);
    impl Drop for Guard {
        fn drop(&mut self) {
            RECORDER.set(self.0.take());
        }
    }
    let recorder = Recorder {
        limits,
        graphs: BTreeMap::new(),
    };
    let before = Guard(RECORDER.replace(Some(recorder)));
    let result = work();
    let graphs = RECORDER.take().map(|recorder| recorder.graphs);
    drop(before);
    let graphs = graphs.unwrap_or_default();
    (result, Recording { graphs })
}

/// Takes note of a run, if somebody records.
pub(crate) fn note(graph: &Path, inputs: &[(&str, SessionInputValue<'_>)]) -> Result<()> {
    RECORDER.with_borrow_mut(|recorder| match recorder {
        Some(recorder) => recorder.note(graph, inputs),
        None => Ok(()),
    })
}

#[derive(Debug)]
struct Recorder {
    limits: RecordingLimits,
    graphs: BTreeMap<PathBuf, Graph>,
}

#[derive(Debug, Clone)]
struct Graph {
    kept: Vec<Named>,
    bytes: usize,
    /// Runs so far.
    seen: usize,
    /// Every so many runs one is kept.
    step: usize,
}

impl Recorder {
    fn note(&mut self, path: &Path, inputs: &[(&str, SessionInputValue<'_>)]) -> Result<()> {
        let graph = self.graphs.entry(path.to_owned()).or_insert(Graph {
            kept: Vec::new(),
            bytes: 0,
            seen: 0,
            step: 1,
        });
        graph.seen += 1;
        if !(graph.seen - 1).is_multiple_of(graph.step) {
            return Ok(());
        }
        let mut run = Named::new();
        for (name, value) in inputs {
            if let Some(tensor) = Tensor::from_value(value).map_err(internal)? {
                run.insert((*name).to_owned(), tensor);
            }
        }
        graph.bytes += size(&run);
        graph.kept.push(run);
        let full = |graph: &Graph| {
            graph.kept.len() > self.limits.runs.max(1) || graph.bytes > self.limits.bytes
        };
        while full(graph) && graph.kept.len() > 1 {
            graph.step *= 2;
            let mut place = 0;
            graph.kept.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            graph.bytes = graph.kept.iter().map(size).sum();
        }
        Ok(())
    }
}

fn size(run: &Named) -> usize {
    run.values().map(|tensor| tensor.data.size_bytes()).sum()
}

#[cfg(test)]
mod tests {
    use ort::value::TensorRef;

    use super::*;
    use crate::TensorData;

    /// Records runs 0, 1, 2 … of one f32 each and answers which were kept.
    fn kept(limits: RecordingLimits, count: usize) -> Vec<f32> {
        let path = Path::new("g.onnx");
        let ((), recording) = record(limits, || {
            for i in 0..count {
                let value = [i as f32];
                let tensor = TensorRef::from_array_view(([1], value.as_slice())).unwrap();
                note(path, &[("x", tensor.into())]).unwrap();
            }
        });
        let runs = recording.runs(path).iter().map(|run| &run["x"].data);
        runs.map(|data| match data {
            TensorData::F32(values) => values[0],
            other => panic!("{other:?}"),
        })
        .collect()
    }

    #[test]
    fn runs_are_thinned_evenly() {
        crate::Runtime::get().unwrap();
        let limits = |runs, bytes| RecordingLimits { runs, bytes };
        assert_eq!(kept(limits(4, 1 << 20), 3), [0.0, 1.0, 2.0]);
        assert_eq!(kept(limits(4, 1 << 20), 9), [0.0, 4.0, 8.0]);
        assert_eq!(kept(limits(100, 8), 4), [0.0, 2.0]);
        assert_eq!(kept(limits(0, 0), 4), [0.0]);
        // Nobody records now.
        note(Path::new("g.onnx"), &[]).unwrap();
    }
}
