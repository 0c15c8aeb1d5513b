//! How well a model answers: samples with what their answers should have been, the figures of a task,
//! and how sure they are.
//!
//! [`score`] runs a pipeline over a [`Dataset`]; [`answers`] and [`scores_of`] compare it with what
//! another model answers. All figures of [`Scores`] come from statistics of single samples, so that any
//! resample of them has figures, too.

mod command;
mod dataset;
mod metric;
mod report;
mod truth;

use std::cell::OnceCell;
use std::collections::BTreeMap;

use anyhow::Context;
use bevel::{Answer, AnyPipeline, TaskName};
use bevel_manifest::ErrorKind;
use bevel_prep::score::{Resamples, interval};
use serde::Serialize;

pub use command::{eval, measuring};
pub use dataset::{Columns, Dataset};
pub use metric::{Better, ClassFigures, Confusion, Metric};
pub use truth::Truth;

use crate::failure::fail;
use crate::inputs::Item;
use metric::{Collect, Said};

/// The share of resamples whose figures lie in an interval.
const LEVEL: f64 = 0.95;

/// Texts go to the pipeline in groups of so many, which it makes batches of like length of.
const TEXTS: usize = 256;

/// One figure of all samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The metric's name, as `--gate` has it.
    pub name: String,
    /// Its value; `None` where the samples do not have one.
    pub value: Option<f64>,
    /// Where 95 % of resamples begin.
    pub low: Option<f64>,
    /// Where they end.
    pub high: Option<f64>,
    /// How many samples it is of.
    pub samples: usize,
    /// Which way is better.
    pub better: Better,
}

/// The main figure of a part of the samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupFigure {
    pub group: String,
    #[serde(flatten)]
    pub figure: Figure,
}

/// The parts of the samples, and how far the best is from the worst.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Groups {
    pub groups: Vec<GroupFigure>,
    /// Best minus worst, never below 0; `None` with fewer than two values.
    pub gap: Option<f64>,
}

/// How a model did, sample by sample.
pub struct Scores {
    metric: Box<dyn Metric>,
    groups: Vec<Option<String>>,
    figures: OnceCell<Vec<Figure>>,
}

/// Runs a pipeline over a dataset. `progress` learns how many samples are done, and of how many.
///
/// # Errors
/// Those of the pipeline, with the place of the sample; for a dataset without truth.
pub fn score(
    pipeline: &mut dyn AnyPipeline,
    dataset: &Dataset,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Scores> {
    let mut collector = None;
    let samples = dataset.samples();
    if pipeline.task() == TaskName::Generate {
        for (done, sample) in samples.iter().enumerate() {
            let said = sample.likelihood(pipeline)?;
            add(&mut collector, &Said::Likelihood(said), &sample.truth)
                .with_context(|| sample.place.clone())?;
            progress(done + 1, samples.len());
        }
    } else {
        each(pipeline, dataset, progress, &mut |at, answers| {
            let sample = &samples[at];
            let said = match answers {
                [one] => Said::One(one),
                [one, other] => Said::Pair(one, other),
                _ => anyhow::bail!("a sample was answered {} times", answers.len()),
            };
            add(&mut collector, &said, &sample.truth).with_context(|| sample.place.clone())
        })?;
    }
    let groups = samples.iter().map(|sample| sample.group.clone()).collect();
    Scores::new(collector, groups)
}

/// A pipeline's answers to all samples, in order: those of both texts where samples are pairs.
///
/// # Errors
/// Those of the pipeline, with the place of the sample.
pub fn answers(
    pipeline: &mut dyn AnyPipeline,
    dataset: &Dataset,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Vec<Answer>> {
    let mut all = Vec::with_capacity(dataset.len());
    each(pipeline, dataset, progress, &mut |_, answers| {
        all.extend_from_slice(answers);
        Ok(())
    })?;
    Ok(all)
}

/// Answers beside what they should have been, one by one.
///
/// # Errors
/// Where there are not as many of both, or answers and truths are of different kinds.
pub fn scores_of(answers: &[Answer], truths: &[Truth]) -> anyhow::Result<Scores> {
    if answers.len() != truths.len() {
        let what = format!("{} answers for {} samples", answers.len(), truths.len());
        return Err(fail(ErrorKind::Internal, what));
    }
    let mut collector = None;
    for (at, (answer, truth)) in answers.iter().zip(truths).enumerate() {
        add(&mut collector, &Said::One(answer), truth)
            .with_context(|| format!("sample {}", at + 1))?;
    }
    Scores::new(collector, vec![None; answers.len()])
}

fn add(
    collector: &mut Option<Box<dyn Collect>>,
    said: &Said<'_>,
    truth: &Truth,
) -> anyhow::Result<()> {
    if collector.is_none() {
        *collector = Some(metric::collector(said, truth)?);
    }
    match collector {
        Some(collector) => collector.add(said, truth),
        None => Ok(()),
    }
}

/// Reads the samples and answers them, group by group.
fn each(
    pipeline: &mut dyn AnyPipeline,
    dataset: &Dataset,
    progress: &mut dyn FnMut(usize, usize),
    then: &mut dyn FnMut(usize, &[Answer]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let samples = dataset.samples();
    let mut begin = 0;
    while begin < samples.len() {
        let texts = samples[begin..]
            .iter()
            .take_while(|sample| sample.is_text());
        let end = begin + texts.take(TEXTS).count().max(1);
        let group = &samples[begin..end];
        let read = |items: &[dataset::Sample]| -> anyhow::Result<Vec<Vec<Item>>> {
            items.iter().map(dataset::Sample::read).collect()
        };
        let items = read(group)?;
        match answer(pipeline, &items) {
            Ok(answers) => {
                for (at, answers) in answers.iter().enumerate() {
                    then(begin + at, answers)?;
                }
            }
            // The one that is to blame is named.
            Err(_) if group.len() > 1 => {
                for (at, (sample, items)) in group.iter().zip(&items).enumerate() {
                    let answers = answer(pipeline, std::slice::from_ref(items))
                        .with_context(|| sample.place.clone())?;
                    then(begin + at, &answers.concat())?;
                }
            }
            Err(error) => return Err(error.context(group[0].place.clone())),
        }
        begin = end;
        progress(begin, samples.len());
    }
    Ok(())
}

/// The answers of each sample.
fn answer(pipeline: &mut dyn AnyPipeline, items: &[Vec<Item>]) -> anyhow::Result<Vec<Vec<Answer>>> {
    let samples = items.iter().flatten().map(Item::sample);
    let samples = samples.collect::<anyhow::Result<Vec<_>>>()?;
    let mut answers = pipeline.run(&samples)?.into_iter();
    Ok(items
        .iter()
        .map(|items| answers.by_ref().take(items.len()).collect())
        .collect())
}

impl Scores {
    fn new(
        collector: Option<Box<dyn Collect>>,
        groups: Vec<Option<String>>,
    ) -> anyhow::Result<Self> {
        let collector =
            collector.ok_or_else(|| fail(ErrorKind::Input, "there is nothing to evaluate"))?;
        Ok(Self {
            metric: collector.finish()?,
            groups,
            figures: OnceCell::new(),
        })
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.groups.len()
    }

    /// The task's metric.
    pub fn main(&self) -> Figure {
        self.figures()[0].clone()
    }

    /// All metrics of the task, the main one first, with percentile intervals of the bootstrap.
    pub fn figures(&self) -> &[Figure] {
        self.figures
            .get_or_init(|| self.figures_of(&vec![1; self.samples()], usize::MAX))
    }

    /// The first `limit` figures of the samples that count once.
    fn figures_of(&self, members: &[u32], limit: usize) -> Vec<Figure> {
        let names = self.metric.names();
        let whole = self.metric.values(members);
        let drawn = self.resampled(members, |times| self.metric.values(times));
        let number = members.iter().filter(|times| **times > 0).count();
        let figures = names.into_iter().zip(whole).enumerate().take(limit);
        figures
            .map(|(i, (name, value))| {
                let values: Vec<f64> = drawn.iter().map(|values| values[i]).collect();
                figure(name, value, &values, number)
            })
            .collect()
    }

    /// What `of` says about resamples of the samples that count once.
    fn resampled<T>(&self, members: &[u32], mut of: impl FnMut(&[u32]) -> T) -> Vec<T> {
        let members = members.iter().enumerate().filter(|(_, times)| **times > 0);
        let members: Vec<usize> = members.map(|(at, _)| at).collect();
        let mut resamples = Resamples::new(members.len());
        let mut times = vec![0; self.samples()];
        (0..self.metric.resamples())
            .map(|_| {
                for (&at, &drawn) in members.iter().zip(resamples.draw()) {
                    times[at] = drawn;
                }
                of(&times)
            })
            .collect()
    }

    /// Figures of single classes, where the metric has some.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        self.metric.per_class()
    }

    /// Which class was taken for which, where the metric knows.
    pub fn confusion(&self) -> Option<Confusion> {
        self.metric.confusion()
    }

    /// The main metric of each group of samples, and the gap; `None` where samples have no groups.
    pub fn groups(&self) -> Option<Groups> {
        let mut members: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            if let Some(group) = group {
                let members = members.entry(group);
                members.or_insert_with(|| vec![0; self.samples()])[at] = 1;
            }
        }
        if members.is_empty() {
            return None;
        }
        let groups: Vec<GroupFigure> = members
            .into_iter()
            .filter_map(|(group, members)| {
                let figure = self.figures_of(&members, 1).pop()?;
                Some(GroupFigure {
                    group: group.to_string(),
                    figure,
                })
            })
            .collect();
        let values = || groups.iter().filter_map(|group| group.figure.value);
        let best = values().fold(f64::NEG_INFINITY, f64::max);
        let worst = values().fold(f64::INFINITY, f64::min);
        let gap = (values().count() > 1).then_some(best - worst);
        Some(Groups { groups, gap })
    }

    /// The main metric of the sample that it is worst for, where a single sample has a value.
    pub fn worst(&self) -> Option<f64> {
        self.metric.worst()
    }

    /// The main metric minus that of `reference`, which answered the same samples; both are resampled
    /// alike, so that what is hard for both does not blur the difference.
    ///
    /// # Errors
    /// Where samples or metrics are not the same.
    pub fn change(&self, reference: &Self) -> anyhow::Result<Figure> {
        let (ours, theirs) = (self.metric.names(), reference.metric.names());
        let (Some(name), Some(other)) = (ours.into_iter().next(), theirs.into_iter().next()) else {
            return Err(fail(ErrorKind::Internal, "a metric without figures"));
        };
        if name != other || self.samples() != reference.samples() {
            let what = format!(
                "{} of {} samples beside {} of {} samples: these cannot be compared",
                name.name,
                self.samples(),
                other.name,
                reference.samples()
            );
            return Err(fail(ErrorKind::Input, what));
        }
        let difference = |times: &[u32]| {
            let [ours, theirs] = [self, reference].map(|scores| scores.metric.values(times)[0]);
            ours - theirs
        };
        let all = vec![1; self.samples()];
        let drawn = self.resampled(&all, difference);
        Ok(figure(name, difference(&all), &drawn, self.samples()))
    }
}

fn figure(name: metric::Name, value: f64, drawn: &[f64], samples: usize) -> Figure {
    let interval = interval(drawn, LEVEL);
    Figure {
        name: name.name,
        value: Some(value).filter(|value| value.is_finite()),
        low: interval.map(|[low, _]| low),
        high: interval.map(|[_, high]| high),
        samples,
        better: name.better,
    }
}

#[cfg(test)]
mod tests;
