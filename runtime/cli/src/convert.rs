//! `bevel convert`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_convert::{Options, Progress, Report, Stage};
use bevel_manifest::{ErrorKind, Recipe};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{ConvertArgs, LimitArgs};
use crate::failure::fail;
use crate::judge::Side;
use crate::show::{quality, table};
use crate::{catalog, open, targets};

/// Converts, measures the variants on this machine, and says what came of it.
pub fn convert(args: &ConvertArgs) -> anyhow::Result<()> {
    let from = source(args)?;
    let mut options = Options::default();
    options.task = args.task;
    options.arch = args.arch.clone();
    options.quantize = args
        .quantize
        .parse()
        .map_err(|e: String| fail(ErrorKind::Input, e))?;
    options.portable = args.portable;
    options.labels = args.labels.clone();
    for (key, value) in &args.set {
        if options.set.insert(key.clone(), value.clone()).is_some() {
            return Err(fail(
                ErrorKind::Input,
                format!("--set {key} is given twice"),
            ));
        }
    }
    for gate in &args.gate {
        options
            .gate
            .add(gate)
            .map_err(|e| fail(ErrorKind::Input, e))?;
    }
    options.keep_failed = args.keep_failed.clone();
    options.target = args.target.as_deref().map(targets::find).transpose()?;
    options.recipe_dir = from.recipe.as_ref().and_then(|(_, folder)| folder.clone());
    options.recipe = from.recipe.map(|(recipe, _)| recipe);
    // Without ONNX Runtime nothing can be measured, and an unmeasured variant is not shipped as
    // the choice: better to say so before the work than after.
    open::runtime(&LimitArgs::default())?;
    let bar = progress();
    let mut judge = Side::default();
    judge.recording = args.verify.clone();
    judge.calibrate = args.calibrate.clone();
    judge.eval = args.eval.clone();
    let report = bevel_convert::convert(
        &from.checkpoint,
        &args.output,
        &options,
        Some(&mut judge),
        &mut |at: &Progress| {
            // Quantising and measuring alternate: the bar never goes back.
            bar.set_position(bar.position().max(at.stage as u64));
            bar.set_message(match (at.what.as_str(), at.of) {
                ("", _) => at.stage.to_string(),
                (what, 0) => format!("{}: {what}", at.stage),
                (what, of) => format!("{}: {what}, {} of {of}", at.stage, at.done + 1),
            });
        },
    )?;
    bar.finish_and_clear();
    if args.json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    } else {
        print(&report)?;
    }
    Ok(())
}

/// What to convert, and the recipe with the folder of the files beside it.
struct From {
    checkpoint: PathBuf,
    recipe: Option<(Recipe, Option<PathBuf>)>,
}

fn source(args: &ConvertArgs) -> anyhow::Result<From> {
    if let Some(path) = &args.recipe {
        let text = std::fs::read_to_string(path)
            .with_context(|| fail(ErrorKind::Input, format!("cannot read {}", path.display())))?;
        let recipe = Recipe::from_toml(&text).with_context(|| path.display().to_string())?;
        let folder = path.parent().map(Path::to_path_buf);
        return Ok(From {
            checkpoint: args.checkpoint.clone(),
            recipe: Some((recipe, folder)),
        });
    }
    if !args.checkpoint.exists()
        && let Some(folder) = catalog::pulled(&args.checkpoint)?
    {
        let text = std::fs::read_to_string(folder.join(catalog::RECIPE_FILE))
            .with_context(|| format!("cannot read the recipe in {}", folder.display()))?;
        let recipe = Recipe::from_toml(&text)?;
        let Some(checkpoint) = recipe.checkpoint.as_ref().or(plain(&recipe)) else {
            return Err(fail(
                ErrorKind::Unsupported,
                format!(
                    "{0} runs as it is, there is nothing to convert: bevel run {0} INPUT",
                    recipe.name
                ),
            ));
        };
        let checkpoint = folder.join(checkpoint);
        return Ok(From {
            checkpoint,
            recipe: Some((recipe, Some(folder))),
        });
    }
    Ok(From {
        checkpoint: args.checkpoint.clone(),
        recipe: None,
    })
}

/// The one graph of a model that runs as it is, and may be converted all the same.
fn plain(recipe: &Recipe) -> Option<&String> {
    let mut graphs = recipe.graphs.values();
    let only = graphs.next().filter(|_| graphs.next().is_none());
    only.filter(|graph| graph.ends_with(".onnx"))
}

/// The stages that are done, and the one that is under way.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(Stage::COUNT);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bar:21} {pos}/{len} {msg} {elapsed}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}

fn print(report: &Report) -> anyhow::Result<()> {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} ({}, {}) from {} in {:.1} s: {}",
        report.name,
        report.family,
        report.task,
        report.checkpoint.display(),
        report.seconds,
        report.out.display()
    )?;
    let head = ["variant", "size", "quality", "time", ""]
        .map(String::from)
        .to_vec();
    let rows = report.variants.iter().map(|v| {
        let (quality, time) = match &v.measured {
            None => (String::new(), String::new()),
            Some(m) => (quality(m), format!("{:.2} × fp32", m.latency_ratio)),
        };
        let state = match (&v.dropped, v.name == report.chosen) {
            (Some(why), _) => format!("dropped: {why}"),
            (None, true) => format!("chosen: {}", report.reason),
            (None, false) => String::new(),
        };
        vec![v.name.clone(), mib(v.size_bytes), quality, time, state]
    });
    write!(
        out,
        "{}",
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
    )?;
    if !report.tensors_unused.is_empty() {
        writeln!(out, "  {}", unused(&report.tensors_unused))?;
    }
    for note in &report.notes {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}

/// The first few names; batch norms alone leave a counter each.
fn unused(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len() {
        n if n > SHOWN => format!(
            "not used: {shown} and {} more (--json lists them)",
            n - SHOWN
        ),
        _ => format!("not used: {shown}"),
    }
}
