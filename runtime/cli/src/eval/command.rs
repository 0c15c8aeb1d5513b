//! `bevel eval`.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use bevel::{AnyPipeline, Bundle, Options};
use bevel_manifest::ErrorKind;
use indicatif::{ProgressBar, ProgressStyle};

use super::report::{Compared, Report};
use super::{Columns, Dataset, Scores, Truth, answers, score, scores_of};
use crate::args::EvalArgs;
use crate::failure::fail;
use crate::open;

/// Boxes at or above this score count: a curve of precision over recall needs the weak ones, too.
const MIN_SCORE: f32 = 0.001;

/// IoU of the non-maximum suppression, for models that suppress more: a neighbour that is not shown to
/// people may still be a find. As the makers of YOLOX measure.
const IOU: f32 = 0.65;

/// Boxes a picture, as COCO has it.
const MAX_BOXES: usize = 100;

/// Labels a sample, for the share of samples whose class is among them.
const TOP_K: usize = 5;

/// Runs the samples through the model, and through the other one where there is one.
pub fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    let columns = Columns::new(&args.column, args.group.clone())?;
    let ours = Model::of(args)?;
    let dataset = ours.dataset(args, &columns)?;
    open::runtime(&args.model.limits)?;
    let bar = progress();
    let other = args.compare.as_deref().map(|path| Model::other(args, path));
    let other = other.transpose()?;
    let evaluated = match &other {
        None => (run(&ours, &dataset, &bar)?, None),
        Some(other) if dataset.is_unlabelled() => (agreement(&ours, other, &dataset, &bar)?, None),
        Some(other) => {
            let reference = run(other, &other.dataset(args, &columns)?, &bar)?;
            (run(&ours, &dataset, &bar)?, Some(reference))
        }
    };
    bar.finish_and_clear();
    let (scores, reference) = evaluated;
    let mut report = Report::of(&ours.bundle, &ours.variant(), args, &scores);
    if let Some(other) = other {
        report.compared = Some(Compared::of(&other.name, &scores, reference.as_ref())?);
    }
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        false => write!(out, "{}", report.text())?,
    }
    Ok(())
}

/// How a model is opened whose figures are wanted, where the user has not said otherwise.
pub fn measuring(mut options: Options, bundle: &Bundle) -> Options {
    let boxes = bundle.manifest().decode.detect();
    if boxes.is_some_and(|boxes| boxes.iou < IOU) {
        options.iou = options.iou.or(Some(IOU));
    }
    options.min_score = options.min_score.or(Some(MIN_SCORE));
    options.max_boxes = options.max_boxes.or(Some(MAX_BOXES));
    options.top_k = options.top_k.or(Some(TOP_K));
    options
}

/// A bundle, and how it is opened.
struct Model {
    name: String,
    bundle: Bundle,
    options: Options,
}

impl Model {
    fn of(args: &EvalArgs) -> anyhow::Result<Self> {
        let bundle = open::bundle(&args.model.bundle, args.model.recipe.as_deref())?;
        let options = measuring(open::options(&args.model), &bundle);
        Ok(Self {
            name: args.model.bundle.display().to_string(),
            bundle,
            options,
        })
    }

    /// What the first one is compared with: a bundle, or a variant of the same.
    fn other(args: &EvalArgs, path: &Path) -> anyhow::Result<Self> {
        let mut model = Self::of(args)?;
        model.name = path.display().to_string();
        let variants = &model.bundle.manifest().variants;
        if !path.exists() && variants.iter().any(|variant| variant.name == model.name) {
            model.options.variant = Some(model.name.clone());
            return Ok(model);
        }
        // A plain model comes with the recipe of the first one.
        let recipe = args.model.recipe.as_deref().filter(|_| path.is_file());
        model.bundle = open::bundle(path, recipe)?;
        model.options.variant = None;
        let (ours, theirs) = (
            open::bundle(&args.model.bundle, args.model.recipe.as_deref())?,
            &model,
        );
        if ours.manifest().task != theirs.bundle.manifest().task {
            let what = format!(
                "{} is a model for `{}`, the other one for `{}`: these cannot be compared",
                model.name,
                theirs.bundle.manifest().task,
                ours.manifest().task
            );
            return Err(fail(ErrorKind::Input, what));
        }
        Ok(model)
    }

    fn variant(&self) -> String {
        let chosen = &self.bundle.manifest().variant;
        self.options
            .variant
            .clone()
            .unwrap_or_else(|| chosen.clone())
    }

    fn dataset(&self, args: &EvalArgs, columns: &Columns) -> anyhow::Result<Dataset> {
        let mut dataset = Dataset::open(&args.dataset, &self.bundle, columns)?;
        dataset.truncate(args.limit.map_or(usize::MAX, |limit| limit as usize));
        if dataset.is_unlabelled() && args.compare.is_none() {
            let what = format!(
                "{} does not say what the answers should be (docs/eval.md tells how it can); or give \
                 another bundle with --compare to measure how far the two agree",
                args.dataset.display()
            );
            return Err(fail(ErrorKind::Input, what));
        }
        Ok(dataset)
    }

    fn pipeline(&self) -> anyhow::Result<Box<dyn AnyPipeline>> {
        Ok(bevel::open(&self.bundle, &self.options)?)
    }
}

fn run(model: &Model, dataset: &Dataset, bar: &ProgressBar) -> anyhow::Result<Scores> {
    let mut pipeline = model.pipeline()?;
    score(&mut *pipeline, dataset, &mut |done, of| {
        show(bar, model, done, of)
    })
}

/// What the other model answers is the truth.
fn agreement(
    ours: &Model,
    other: &Model,
    dataset: &Dataset,
    bar: &ProgressBar,
) -> anyhow::Result<Scores> {
    let all = |model: &Model| {
        let mut pipeline = model.pipeline()?;
        answers(&mut *pipeline, dataset, &mut |done, of| {
            show(bar, model, done, of)
        })
    };
    let truths = all(other)?;
    let truths = truths.iter().map(Truth::of).collect::<Option<Vec<_>>>();
    let truths = truths.with_context(|| {
        let task = ours.bundle.manifest().task;
        fail(
            ErrorKind::Unsupported,
            format!("agreement of `{task}` has no metric"),
        )
    })?;
    scores_of(&all(ours)?, &truths)
}

/// A bar for a person who waits.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, model: &Model, done: usize, of: usize) {
    bar.set_message(model.name.clone());
    bar.set_length(of as u64);
    bar.set_position(done as u64);
}
