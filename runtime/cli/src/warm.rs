//! `bevel warm`: builds what a device needs before its first answer, such as TensorRT's engines, and waits for it.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::Context;
use bevel::device::Engines;
use bevel_manifest::ErrorKind;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::WarmArgs;
use crate::failure::fail;
use crate::inputs::{self, Kind};
use crate::open;
use crate::sample::BuiltIn;

#[derive(Serialize)]
struct Report {
    /// What the model runs on.
    device: String,
    /// Until it was loaded, and one input answered where there was one.
    seconds: f64,
    /// Whether an input was answered.
    answered: bool,
    engines: Vec<Built>,
}

#[derive(Serialize)]
struct Built {
    folder: PathBuf,
    engines: usize,
    size_bytes: u64,
}

pub fn warm(args: &WarmArgs) -> anyhow::Result<()> {
    if args.model.warm {
        let what = "`bevel warm` waits until all is ready; leave --warm out";
        return Err(fail(ErrorKind::Input, what));
    }
    let bundle = open::bundle(&args.model.bundle, args.model.recipe.as_deref())?;
    open::runtime(&args.model.limits)?;
    let options = open::options(&args.model);
    let manifest = bundle.manifest();
    let wanted = options.variant.as_deref().unwrap_or(&manifest.variant);
    let variant = manifest.variants.iter().find(|v| v.name == wanted);
    let mut engines = Vec::new();
    for role in variant.iter().flat_map(|variant| variant.graphs.keys()) {
        let graph = bundle.graph(options.variant.as_deref(), role)?;
        engines.extend(Engines::of(graph, &options)?);
    }
    // Where shapes are dynamic, engines come with the first input.
    let kind = Kind::of(&bundle)?;
    let given = args
        .input
        .as_deref()
        .map(|input| inputs::first(kind, input));
    let given = given.transpose()?;
    let built_in = match given {
        Some(_) => None,
        None => BuiltIn::of(kind)?,
    };
    let sample = match (&given, &built_in) {
        (Some((_, item)), _) => Some(item.sample()?),
        (None, Some(built_in)) => Some(built_in.sample()?),
        (None, None) => None,
    };
    let start = Instant::now();
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}")?);
    let (done, built) = channel();
    let (device, seconds) = std::thread::scope(|scope| {
        let (bundle, options) = (&bundle, &options);
        scope.spawn(move || {
            let build = || -> anyhow::Result<_> {
                let mut pipeline = bevel::open(bundle, options)?;
                if let Some(sample) = sample {
                    pipeline.run(&[sample])?;
                }
                Ok((pipeline.device().to_string(), start.elapsed().as_secs_f64()))
            };
            // Nobody is gone who could not listen: the scope waits.
            let _ = done.send(build());
        });
        loop {
            match built.recv_timeout(Duration::from_millis(100)) {
                Ok(built) => return built,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    bar.set_message(progress(start, &engines));
                    bar.tick();
                }
                Err(e) => return Err(e).context("building panicked"),
            }
        }
    })?;
    bar.finish_and_clear();
    let built = engines.iter().map(|engines| {
        let (count, size_bytes) = engines.count();
        Built {
            folder: engines.folder().to_path_buf(),
            engines: count,
            size_bytes,
        }
    });
    let report = Report {
        device,
        seconds,
        answered: sample.is_some(),
        engines: built.collect(),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let did = if report.answered {
        "loaded and answered"
    } else {
        "loaded"
    };
    println!(
        "{} is ready: {did} in {:.1} s",
        report.device, report.seconds
    );
    for built in &report.engines {
        let mib = built.size_bytes as f64 / f64::from(1 << 20);
        println!(
            "  {} engines, {mib:.1} MiB in {}",
            built.engines,
            built.folder.display()
        );
    }
    Ok(())
}

/// How long it has taken, and how many engines there are.
fn progress(start: Instant, engines: &[Engines]) -> String {
    let elapsed = start.elapsed().as_secs();
    if engines.is_empty() {
        return format!("loading, {elapsed} s");
    }
    let count: usize = engines.iter().map(|engines| engines.count().0).sum();
    format!("building, {elapsed} s, engines so far: {count}")
}
