//! Pictures, speech and text at once, in one process with one budget: `together DETECTOR PICTURE SPEECH
//! RECORDING ENCODER TEXT [shared|apart]`. Three models answer at the same time for five seconds, each in
//! its own thread; `shared` lets them share one pool and one memory cap, `apart` gives each its own.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use bevel::vision::{ImageView, load_image};
use bevel::{AnyPipeline, Bundle, Options, Pool, Runtime, RuntimeOptions, Sample, cpu};

const TIME: Duration = Duration::from_secs(5);
const CAP_BYTES: usize = 256 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [
        detector,
        picture,
        speech,
        recording,
        encoder,
        text,
        rest @ ..,
    ] = args.as_slice()
    else {
        return Err(
            "usage: together DETECTOR PICTURE SPEECH RECORDING ENCODER TEXT [apart]".into(),
        );
    };
    let shared = rest.iter().all(|arg| arg != "apart");
    let mut budget = RuntimeOptions::default();
    if shared {
        budget.memory_cap_bytes = Some(CAP_BYTES);
    } else {
        budget.pool = Pool::PerGraph;
    }
    let runtime = Runtime::start(&budget)?;

    let image = load_image(picture.as_ref())?;
    let view = ImageView::from_rgb(image.as_raw(), image.width(), image.height())?;
    let jobs = [
        ("pictures", detector, Sample::Image(view)),
        ("speech", speech, Sample::SoundFile(recording.as_ref())),
        ("text", encoder, Sample::Text(text)),
    ];
    // Opened before the clock starts.
    let start = Barrier::new(jobs.len());
    let (start, runs): (_, Result<Vec<_>, _>) = std::thread::scope(|scope| {
        let threads: Vec<_> = jobs
            .iter()
            .map(|(name, path, sample)| {
                let start = &start;
                scope.spawn(move || -> Result<_, String> {
                    let opened = open(path.as_ref()).map_err(|e| e.to_string());
                    start.wait();
                    let times = repeat(opened?.as_mut(), *sample).map_err(|e| e.to_string())?;
                    Ok((*name, times))
                })
            })
            .collect();
        let began = Instant::now();
        let runs = threads.into_iter().map(|thread| thread.join());
        (
            began,
            runs.map(|run| run.map_err(|_| "panicked".to_string())?)
                .collect(),
        )
    });
    let wall = start.elapsed();
    for (name, mut times) in runs? {
        times.sort();
        let at =
            |share: f64| times[(share * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
        let per_second = times.len() as f64 / TIME.as_secs_f64();
        println!(
            "{name:9} {per_second:7.1} runs/s   p50 {:7.1} ms   p95 {:7.1} ms",
            at(0.5),
            at(0.95)
        );
    }
    let peak = cpu::peak_memory_mib().unwrap_or(f64::NAN);
    println!(
        "{} threads a pool, {} threads in all, {:.2} cores busy, peak memory {peak:.0} MiB",
        runtime.threads(),
        std::fs::read_dir("/proc/self/task")?.count() + jobs.len(),
        busy()? / wall.as_secs_f64(),
    );
    Ok(())
}

fn open(path: &Path) -> bevel::Result<Box<dyn AnyPipeline>> {
    let recipe = path.join("recipe.toml");
    let bundle = match recipe.is_file() {
        true => Bundle::load_with_recipe(path, &recipe)?,
        false => Bundle::load(path)?,
    };
    bevel::open(&bundle, &Options::default())
}

/// How long each run took, the first one left out.
fn repeat(pipeline: &mut dyn AnyPipeline, sample: Sample<'_>) -> bevel::Result<Vec<Duration>> {
    pipeline.run(&[sample])?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < TIME {
        let start = Instant::now();
        pipeline.run(&[sample])?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Processor seconds of this process.
fn busy() -> std::io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2);
    Ok(ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0)
}
