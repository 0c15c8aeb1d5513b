//! What a model answers here, for its self-test on the board: tensors as `bevel verify --io` takes them.

use bevel::tensors::{Named, to_safetensors};
use bevel::{Bundle, Options, RecordingLimits, Sample, Session};
use bevel_manifest::ErrorKind;

use crate::failure::fail;
use crate::inputs::{self, Kind};
use crate::sample::BuiltIn;

/// One run of each graph is enough.
const LIMITS: RecordingLimits = RecordingLimits {
    runs: 1,
    bytes: 1 << 28,
};

/// A recording, and of what.
pub struct Recorded {
    pub safetensors: Vec<u8>,
    pub input: String,
}

/// Runs the bundle's chosen variant on the given input, or one that comes with the program, and keeps
/// what goes into each graph and comes out of it.
///
/// # Errors
/// Of kind `Input` where no input is given and none is built in, or none of it reaches the model; those
/// of the pipeline.
pub fn record(bundle: &Bundle, given: Option<&str>) -> anyhow::Result<Recorded> {
    let kind = Kind::of(bundle)?;
    let (tensors, input) = match given {
        Some(given) => {
            let (name, item) = inputs::first(kind, given)?;
            (of(bundle, item.sample()?)?, name)
        }
        None => {
            let built_in = BuiltIn::of(kind)?.ok_or_else(|| {
                let what = "no built-in input is of the model's kind; give one with --sample FILE";
                fail(ErrorKind::Input, what)
            })?;
            (of(bundle, built_in.sample()?)?, built_in.name().to_owned())
        }
    };
    if tensors.is_empty() {
        let what = format!("{input} does not reach the model; give another input with --sample");
        return Err(fail(ErrorKind::Input, what));
    }
    Ok(Recorded {
        safetensors: to_safetensors(&tensors)?,
        input,
    })
}

fn of(bundle: &Bundle, sample: Sample<'_>) -> anyhow::Result<Named> {
    let mut pipeline = bevel::open(bundle, &Options::default())?;
    let (answer, recording) = bevel::record(LIMITS, || pipeline.run(&[sample]));
    answer?;
    drop(pipeline);
    let graphs = bundle.graphs(None)?;
    let several = graphs.len() > 1;
    let mut tensors = Named::new();
    for (role, graph) in graphs {
        let Some(inputs) = recording.runs(graph.path()).first() else {
            continue;
        };
        let outputs = Session::load(graph, &Options::default())?.run_tensors(inputs)?;
        // Graphs of one model call different things alike.
        let name = |side: &str, name: &str| match several {
            true => format!("{side}.{role}_{name}"),
            false => format!("{side}.{name}"),
        };
        for (input, tensor) in inputs {
            tensors.insert(name("input", input), tensor.clone());
        }
        for (output, tensor) in outputs {
            tensors.insert(name("output", &output), tensor);
        }
    }
    Ok(tensors)
}
