//! `bevel bench --choose`: the fastest variant of a bundle on this machine, stored in the bundle.

use anyhow::Context;
use bevel::{AnyPipeline, Bundle, Options, Sample};
use bevel_manifest::{ErrorKind, FILE_NAME, Manifest};
use serde::Serialize;

use crate::args::BenchArgs;
use crate::bench::median_ms;
use crate::failure::fail;
use crate::show::table;
use crate::whole;

/// The variants, timed in turn on one input.
#[derive(Serialize)]
struct Choice {
    model: String,
    machine: String,
    variants: Vec<Timed>,
    chosen: String,
    before: String,
}

#[derive(Serialize)]
struct Timed {
    name: String,
    /// Median time inside ONNX Runtime.
    run_ms: f64,
}

/// Times all variants and rewrites `bundle.toml`. Every variant in a bundle has passed its gate, so only
/// time decides.
pub fn choose(
    args: &BenchArgs,
    bundle: &Bundle,
    options: &Options,
    sample: Sample<'_>,
) -> anyhow::Result<()> {
    let mut manifest = bundle.manifest().clone();
    if !bundle.root().join(FILE_NAME).is_file() {
        let what = "only in the directory of a bundle can a choice be stored; this is a plain model or a packed bundle";
        return Err(fail(ErrorKind::Input, what));
    }
    let samples = vec![sample; usize::from(args.batch)];
    let mut pipelines = Vec::new();
    for variant in &manifest.variants {
        let mut options = options.clone();
        options.variant = Some(variant.name.clone());
        pipelines.push(bevel::open(bundle, &options)?);
    }
    let mut times = vec![Vec::new(); pipelines.len()];
    let warm_up = args.repeat.div_ceil(10);
    for round in 0..warm_up + args.repeat {
        for (pipeline, times) in pipelines.iter_mut().zip(&mut times) {
            let pipeline: &mut dyn AnyPipeline = pipeline.as_mut();
            pipeline.run(&samples)?;
            if round >= warm_up {
                times.push(pipeline.timing().run);
            }
        }
    }
    let medians: Vec<f64> = times.into_iter().map(median_ms).collect();
    let before = manifest.variant.clone();
    note(&mut manifest, &medians);
    write(bundle, &manifest)?;
    let choice = Choice {
        model: manifest.name.clone(),
        machine: bevel::cpu::model_name(),
        variants: manifest
            .variants
            .iter()
            .zip(&medians)
            .map(|(variant, run_ms)| Timed {
                name: variant.name.clone(),
                run_ms: *run_ms,
            })
            .collect(),
        chosen: manifest.variant,
        before,
    };
    match args.json {
        true => println!("{}", serde_json::to_string(&choice)?),
        false => print(&choice),
    }
    Ok(())
}

/// The fastest variant runs from now on, and times of another machine give way to those of this one.
fn note(manifest: &mut Manifest, medians: &[f64]) {
    let timed = manifest.variants.iter().zip(medians);
    let fastest = timed.min_by(|a, b| a.1.total_cmp(b.1));
    if let Some((variant, _)) = fastest {
        manifest.variant = variant.name.clone();
    }
    let mut timed = manifest.variants.iter().zip(medians);
    let fp32 = timed.find(|(variant, _)| variant.name == "fp32");
    let Some(fp32_ms) = fp32.map(|(_, ms)| *ms) else {
        return;
    };
    for (variant, ms) in manifest.variants.iter_mut().zip(medians) {
        if let Some(measured) = &mut variant.measured {
            measured.latency_ms = *ms;
            measured.latency_ratio = ms / fp32_ms;
            measured.machine = bevel::cpu::model_name();
            measured.graphs.clear();
        }
    }
}

fn write(bundle: &Bundle, manifest: &Manifest) -> anyhow::Result<()> {
    let path = bundle.root().join(FILE_NAME);
    let failed = || {
        let what = format!("cannot write {}; is the bundle read-only?", path.display());
        fail(ErrorKind::Input, what)
    };
    whole::write(&path, manifest.to_toml()?.as_bytes()).with_context(failed)
}

fn print(choice: &Choice) {
    println!("{} on {}", choice.model, choice.machine);
    let fp32 = choice.variants.iter().find(|v| v.name == "fp32");
    let row = |timed: &Timed| {
        let ratio = fp32.map(|fp32| format!("{:.2} × fp32", timed.run_ms / fp32.run_ms));
        let chosen = if timed.name == choice.chosen {
            "chosen"
        } else {
            ""
        };
        vec![
            timed.name.clone(),
            format!("{:.2} ms", timed.run_ms),
            ratio.unwrap_or_default(),
            chosen.into(),
        ]
    };
    print!(
        "{}",
        table(&choice.variants.iter().map(row).collect::<Vec<_>>())
    );
    if choice.before != choice.chosen {
        println!(
            "  bundle.toml: {} runs from now on instead of {}",
            choice.chosen, choice.before
        );
    }
}
