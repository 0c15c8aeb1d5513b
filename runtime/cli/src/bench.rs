//! `bevel bench`.

use std::time::{Duration, Instant};

use bevel::{Runtime, Sample};
use bevel_manifest::ErrorKind;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::args::BenchArgs;
use crate::choose::choose;
use crate::failure::fail;
use crate::inputs::{self, Item, Kind};
use crate::open;
use crate::sample::BuiltIn;
use crate::show::table;

#[derive(Serialize)]
struct Report {
    model: String,
    task: &'static str,
    variant: String,
    threads: usize,
    input: String,
    batch: usize,
    runs: u32,
    /// From the start of opening to ready, ONNX Runtime's own loading included.
    load_ms: f64,
    /// The first run after it.
    first_answer_ms: f64,
    prepare: Percentiles,
    run: Percentiles,
    decode: Percentiles,
    /// Items per second over the measured runs.
    items_per_s: f64,
    peak_memory_mib: Option<f64>,
    machine: String,
}

/// Milliseconds of one run of `batch` items.
#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// Loads, answers once, warms up, then measures each stage.
pub fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    if args.choose {
        let bundle = open::bundle(&args.model.bundle, args.model.recipe.as_deref())?;
        open::runtime(&args.model.limits)?;
        let input = Input::of(Kind::of(&bundle)?, args.input.as_deref())?;
        return choose(args, &bundle, &open::options(&args.model), input.sample()?);
    }
    let start = Instant::now();
    let (bundle, mut pipeline) = open::pipeline(&args.model)?;
    let load = start.elapsed();
    let input = Input::of(Kind::of(&bundle)?, args.input.as_deref())?;
    let samples = vec![input.sample()?; usize::from(args.batch)];
    let start = Instant::now();
    pipeline.run(&samples)?;
    let first = start.elapsed();
    for _ in 0..args.repeat.div_ceil(10) {
        pipeline.run(&samples)?;
    }
    let mut stages = [(); 3].map(|()| Vec::with_capacity(args.repeat as usize));
    let start = Instant::now();
    for _ in 0..args.repeat {
        pipeline.run(&samples)?;
        let timing = pipeline.timing();
        for (stage, time) in stages
            .iter_mut()
            .zip([timing.prepare, timing.run, timing.decode])
        {
            stage.push(time);
        }
    }
    let items = f64::from(args.repeat) * samples.len() as f64;
    let items_per_s = items / start.elapsed().as_secs_f64();
    let [prepare, run, decode] = stages.map(|stage| percentiles(&stage));
    let manifest = bundle.manifest();
    let report = Report {
        model: manifest.name.clone(),
        task: manifest.task.name(),
        variant: args
            .model
            .variant
            .clone()
            .unwrap_or_else(|| manifest.variant.clone()),
        threads: Runtime::get()?.threads(),
        input: input.name().to_owned(),
        batch: samples.len(),
        runs: args.repeat,
        load_ms: ms(load),
        first_answer_ms: ms(first),
        prepare: prepare?,
        run: run?,
        decode: decode?,
        items_per_s,
        peak_memory_mib: bevel::cpu::peak_memory_mib(),
        machine: bevel::cpu::model_name(),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle one; not a number of none.
pub fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn percentiles(times: &[Duration]) -> anyhow::Result<Percentiles> {
    let mut histogram = Histogram::<u32>::new(3)?;
    for time in times {
        histogram.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))?;
    }
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e6;
    Ok(Percentiles {
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
    })
}

/// What to measure with.
enum Input {
    BuiltIn(BuiltIn),
    Given(String, Item),
}

impl Input {
    /// What the argument names, or what comes with the program.
    fn of(kind: Kind, given: Option<&str>) -> anyhow::Result<Self> {
        let Some(given) = given else {
            let built_in = BuiltIn::of(kind)?.map(Self::BuiltIn);
            return built_in.ok_or_else(|| fail(ErrorKind::Input, "give tensors to measure with"));
        };
        let (name, item) = inputs::first(kind, given)?;
        Ok(Self::Given(name, item))
    }

    fn name(&self) -> &str {
        match self {
            Self::BuiltIn(input) => input.name(),
            Self::Given(name, _) => name,
        }
    }

    fn sample(&self) -> anyhow::Result<Sample<'_>> {
        match self {
            Self::BuiltIn(input) => input.sample(),
            Self::Given(_, item) => item.sample(),
        }
    }
}

fn print(report: &Report) {
    println!(
        "{} {} ({}, {} threads, {} × {}) on {}",
        report.task,
        report.model,
        report.variant,
        report.threads,
        report.batch,
        report.input,
        report.machine
    );
    let number = |v: f64| format!("{v:.2}");
    let stage = |name: &str, p: &Percentiles| {
        vec![
            name.to_string(),
            number(p.p50),
            number(p.p95),
            number(p.p99),
        ]
    };
    let head = ["ms", "p50", "p95", "p99"].map(String::from).to_vec();
    print!(
        "{}",
        table(&[
            head,
            stage("prepare", &report.prepare),
            stage("run", &report.run),
            stage("decode", &report.decode),
        ])
    );
    let memory = report
        .peak_memory_mib
        .map_or("unknown".into(), |m| format!("{m:.0} MiB"));
    println!(
        "  load {:.1} ms, first answer {:.1} ms, {:.1} items/s over {} runs, peak memory {memory}",
        report.load_ms, report.first_answer_ms, report.items_per_s, report.runs
    );
}
