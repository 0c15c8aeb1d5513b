//! How well a variant answers: on labelled data, or beside fp32.

use bevel::tensors::Named;
use bevel::text::Tokenize;
use bevel::{Answer, AnyPipeline, Bundle, Options, Session, Slots, TaskName, Tensor, TensorData};
use bevel_convert::{AGREEMENT, Quality};
use bevel_manifest::ErrorKind;

use super::data::Samples;
use crate::eval::{self, Dataset, Figure, Scores, Truth};

/// Sentence vectors are compared, not counted.
const COSINE: &str = "cosine";

/// Tokens behind a prompt that are compared.
const TOKENS: usize = 24;

/// A variant whose figures are wanted.
fn open(bundle: &Bundle, variant: &str) -> bevel::Result<Box<dyn AnyPipeline>> {
    open_with(bundle, eval::measuring(super::options(variant), bundle))
}

fn open_with(bundle: &Bundle, mut options: Options) -> bevel::Result<Box<dyn AnyPipeline>> {
    if options.max_tokens.is_none() && bundle.manifest().task == TaskName::Generate {
        options.max_tokens = Some(TOKENS);
    }
    bevel::open(bundle, &options)
}

/// Labelled data, and what fp32 makes of it.
pub struct Labelled {
    pub dataset: Dataset,
    /// fp32's scores.
    scores: Scores,
    /// fp32's answers, where they are labels.
    labels: Option<Vec<Truth>>,
}

impl Labelled {
    /// Scores fp32.
    pub fn new(bundle: &Bundle, variant: &str, dataset: Dataset) -> anyhow::Result<Self> {
        let (scores, answers) = score(bundle, variant, &dataset)?;
        let labels = answers.map(|answers| answers.iter().filter_map(Truth::of).collect());
        Ok(Self {
            dataset,
            scores,
            labels,
        })
    }

    /// What a variant scores beside it.
    pub fn quality(&self, bundle: &Bundle, variant: &str) -> anyhow::Result<Quality> {
        let (scores, answers) = score(bundle, variant, &self.dataset)?;
        let reference = self.scores.main().value.unwrap_or(f64::NAN);
        let figure = scores.main();
        let mut quality = quality(figure.name.clone(), &figure, reference, scores.worst());
        if let (Some(answers), Some(labels)) = (answers, &self.labels) {
            quality.agreement = eval::scores_of(&answers, labels)?.main().value;
        }
        Ok(quality)
    }
}

/// What a variant scores, and where answers are labels the answers.
fn score(
    bundle: &Bundle,
    variant: &str,
    dataset: &Dataset,
) -> anyhow::Result<(Scores, Option<Vec<Answer>>)> {
    let mut pipeline = open(bundle, variant)?;
    if bundle.manifest().task != TaskName::Classify {
        return Ok((
            eval::score(pipeline.as_mut(), dataset, &mut |_, _| {})?,
            None,
        ));
    }
    let answers = eval::answers(pipeline.as_mut(), dataset, &mut |_, _| {})?;
    Ok((eval::scores_of(&answers, &dataset.truths())?, Some(answers)))
}

fn quality(metric: String, figure: &Figure, reference: f64, worst: Option<f64>) -> Quality {
    let number = |x: Option<f64>| x.unwrap_or(f64::NAN);
    Quality {
        metric,
        value: number(figure.value),
        interval: [number(figure.low), number(figure.high)],
        reference,
        worst,
        agreement: None,
        samples: figure.samples,
    }
}

/// What fp32 answers to the samples; those that it cannot answer, such as a text without a known word,
/// are dropped. `None` where no pipeline serves the task yet.
pub fn answers(bundle: &Bundle, samples: &mut Samples) -> anyhow::Result<Option<Vec<Answer>>> {
    let variant = bundle.manifest().variant.clone();
    // As it runs later: what it would not show is no truth.
    let mut pipeline = match open_with(bundle, super::options(&variant)) {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
        opened => opened?,
    };
    let mut answers = Vec::new();
    let mut good = Vec::new();
    for item in std::mem::take(&mut samples.items) {
        match pipeline.run(&[item.sample()?]) {
            Ok(mut answer) => {
                answers.append(&mut answer);
                good.push(item);
            }
            Err(error) if error.kind() == ErrorKind::Input => {}
            Err(error) => return Err(error.into()),
        }
    }
    samples.items = good;
    Ok(Some(answers))
}

/// What a variant answers beside what fp32 answered.
pub fn agreement(
    bundle: &Bundle,
    variant: &str,
    samples: &Samples,
    reference: &[Answer],
) -> anyhow::Result<Option<Quality>> {
    let mut pipeline = open(bundle, variant)?;
    let (mut answers, mut truths) = (Vec::new(), Vec::new());
    for (item, reference) in samples.items.iter().zip(reference) {
        let Some(truth) = Truth::of(reference) else {
            continue;
        };
        answers.extend(pipeline.run(&[item.sample()?])?);
        truths.push(truth);
    }
    if answers.is_empty() {
        return Ok(None);
    }
    let scores = eval::scores_of(&answers, &truths)?;
    let figure = scores.main();
    let perfect = match figure.better {
        eval::Better::Higher => 1.0,
        eval::Better::Lower => 0.0,
    };
    let name = match figure.name.as_str() {
        COSINE => COSINE.into(),
        name => format!("{name}{AGREEMENT}"),
    };
    Ok(Some(quality(name, &figure, perfect, scores.worst())))
}

/// The samples as the graph of a text model takes them.
pub fn tokens(bundle: &Bundle, samples: &Samples) -> anyhow::Result<Vec<Named>> {
    let variant = bundle.manifest().variant.clone();
    let options = super::options(&variant);
    let session = Session::load(bundle.graph(None, "model")?, &options)?;
    let mut tokenize = Tokenize::load(bundle, &options)?;
    tokenize.set_type_ids(session.has_input("token_type_ids"));
    let mut runs = Vec::new();
    for item in &samples.items {
        let crate::inputs::Item::Text(text) = item else {
            continue;
        };
        let mut slots = Slots::default();
        let shape = tokenize.write(&[text], &mut slots)?;
        let mut run = Named::new();
        for input in session.inputs() {
            if let Some(values) = slots.view_i64(&input.name) {
                let data = TensorData::I64(values.to_vec());
                run.insert(input.name.clone(), Tensor::new(shape.to_vec(), data)?);
            }
        }
        runs.push(run);
    }
    Ok(runs)
}
