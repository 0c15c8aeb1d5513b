//! Whether a model can run here, and how fast.

use std::path::Path;
use std::time::Instant;

use bevel::{AnyPipeline, Bundle, Options};
use bevel_manifest::ErrorKind;
use serde::Serialize;

use super::findings::{Findings, Root};
use super::memory;
use crate::inputs::Kind;
use crate::sample::BuiltIn;
use crate::{failure, info, open};

#[derive(Serialize)]
struct Timed {
    name: String,
    variant: String,
    load_ms: f64,
    first_ms: f64,
    again_ms: f64,
}

/// Opens the model and answers once, where ONNX Runtime is `usable`.
pub fn look(root: &Root, path: &Path, usable: bool, found: &mut Findings) {
    if let Err(error) = try_look(root, path, usable, found) {
        let kind = failure::kind(&error);
        found.problem("model", kind, failure::chain(&error));
        if kind == ErrorKind::Unsupported {
            found.advise("this build or version does not run such models; use another build");
        }
    }
}

fn try_look(root: &Root, path: &Path, usable: bool, found: &mut Findings) -> anyhow::Result<()> {
    let bundle = open::bundle(path, None)?;
    let manifest = bundle.manifest();
    let (name, task, variant) = (&manifest.name, manifest.task, &manifest.variant);
    found.ok("model", format!("{name}: {task}, {variant}"));
    memory::fits(weights(&bundle)?, root, found);
    if !usable {
        return Ok(());
    }
    let start = Instant::now();
    let mut pipeline = bevel::open(&bundle, &Options::default())?;
    let load_ms = ms(start);
    found.ok("  opens", format!("{load_ms:.0} ms"));
    let kind = Kind::of(&bundle)?;
    let Some(input) = BuiltIn::of(kind)? else {
        found.ok("  answers", "not tried: no built-in input is of its kind");
        return Ok(());
    };
    let first_ms = answer(pipeline.as_mut(), &input)?;
    let again_ms = answer(pipeline.as_mut(), &input)?;
    let what = input.name();
    found.ok(
        "  answers",
        format!("{again_ms:.1} ms for {what}, the first {first_ms:.1} ms"),
    );
    found.fact(
        "model",
        Timed {
            name: name.clone(),
            variant: variant.clone(),
            load_ms,
            first_ms,
            again_ms,
        },
    );
    Ok(())
}

/// Milliseconds that an answer takes.
fn answer(pipeline: &mut dyn AnyPipeline, input: &BuiltIn) -> anyhow::Result<f64> {
    let start = Instant::now();
    pipeline.run(&[input.sample()?])?;
    Ok(ms(start))
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Bytes of the graphs that run, with the weights in files of their own.
fn weights(bundle: &Bundle) -> anyhow::Result<u64> {
    let graphs = bundle.graphs(None)?;
    graphs.values().map(|graph| info::size_bytes(graph)).sum()
}
