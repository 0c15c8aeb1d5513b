//! The metrics of each task, from statistics of single samples.

mod answers;
mod boxes;
mod classify;
mod entities;
mod generate;
mod regions;
mod speech;
mod vectors;

use bevel::Answer;
use bevel_manifest::ErrorKind;
use bevel_prep::score::Tally;
use serde::Serialize;

use super::truth::Truth;
use crate::failure::fail;

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Higher,
    Lower,
}

/// What a figure is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub name: String,
    pub better: Better,
}

/// Figures of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFigures {
    pub label: String,
    pub index: usize,
    /// How many of it there are: samples, things, pixels or entities.
    pub truths: u64,
    /// Names and values, in the same order for every class.
    #[serde(serialize_with = "as_object")]
    pub values: Vec<(&'static str, f64)>,
}

/// Which class was taken for which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// The classes that are in the truth or in the answers.
    pub labels: Vec<String>,
    /// A row a true class, a column an answered one.
    pub counts: Vec<Vec<u64>>,
}

/// Statistics of all samples.
pub trait Metric {
    /// What its figures are called, the task's main one first.
    fn names(&self) -> Vec<Name>;

    /// Its figures, in that order, where each sample counts `times`; not a number where there is none.
    fn values(&self, times: &[u32]) -> Vec<f64>;

    /// Figures of single classes.
    fn per_class(&self) -> Vec<ClassFigures> {
        Vec::new()
    }

    /// Which class was taken for which.
    fn confusion(&self) -> Option<Confusion> {
        None
    }

    /// The main figure of the sample it is worst for.
    fn worst(&self) -> Option<f64> {
        None
    }

    /// How many resamples an interval is made of.
    fn resamples(&self) -> usize {
        1000
    }
}

/// What was said about a sample.
pub enum Said<'a> {
    One(&'a Answer),
    /// About the two texts of a pair.
    Pair(&'a Answer, &'a Answer),
    /// How likely a text is.
    Likelihood(bevel::Likelihood),
}

/// Takes samples in, one after the other.
pub trait Collect {
    /// # Errors
    /// Where what was said is not of the kind of the samples before.
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()>;

    /// # Errors
    /// Where the samples cannot be evaluated together.
    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>>;
}

/// What takes in samples like the first one.
///
/// # Errors
/// Where an answer of this kind cannot be held against such a truth.
pub fn collector(said: &Said<'_>, truth: &Truth) -> anyhow::Result<Box<dyn Collect>> {
    Ok(match (said, truth) {
        (Said::One(Answer::Classify(_)), Truth::Class(_)) => Box::<classify::Classes>::default(),
        (Said::One(Answer::Regions(_)), Truth::Map(_) | Truth::Regions(_)) => {
            Box::<regions::Pixels>::default()
        }
        (Said::One(answer), Truth::Things(_)) => Box::new(boxes::Things::of(answer)?),
        (Said::One(Answer::Embed(_)), Truth::Vector(_)) => Box::<vectors::Cosines>::default(),
        (Said::Pair(..), Truth::Similarity(_)) => Box::<vectors::Pairs>::default(),
        (Said::One(Answer::Transcribe(_)), Truth::Speech(_)) => Box::<speech::Errors>::default(),
        (Said::One(Answer::Generate(_)), Truth::Tokens(_)) => Box::<generate::Shares>::default(),
        (Said::One(Answer::Tag(_)), Truth::Entities(_)) => Box::<entities::Entities>::default(),
        (Said::One(Answer::Answer(_)), Truth::Answers(_)) => Box::<answers::Answers>::default(),
        (Said::Likelihood(_), Truth::Itself) => Box::<generate::Perplexity>::default(),
        _ => return Err(strange(truth)),
    })
}

/// The error for an answer of another kind than the truth.
fn strange(truth: &Truth) -> anyhow::Error {
    let what = match truth {
        Truth::Unknown => {
            "nothing says what the answers should be; give labels, or another bundle with --compare \
             to measure how far the two agree"
                .to_string()
        }
        truth => format!("the truth is {}, which this model does not answer", truth.noun()),
    };
    fail(ErrorKind::Input, what)
}

fn higher(name: impl Into<String>) -> Name {
    Name {
        name: name.into(),
        better: Better::Higher,
    }
}

fn lower(name: impl Into<String>) -> Name {
    Name {
        name: name.into(),
        better: Better::Lower,
    }
}

/// The sum of figures of samples, each `times`, by the number of samples.
fn mean(values: &[f64], times: &[u32]) -> f64 {
    let counted = values.iter().zip(times);
    let (sum, count) = counted.fold((0.0, 0.0), |(sum, count), (value, times)| {
        let times = f64::from(*times);
        (sum + value * times, count + times)
    });
    sum / count
}

/// Precision, recall and F1 of a class.
fn tally_values(tally: &Tally) -> Vec<(&'static str, f64)> {
    vec![
        ("precision", tally.precision()),
        ("recall", tally.recall()),
        ("f1", tally.f1()),
    ]
}

fn as_object<S: serde::Serializer>(
    values: &[(&'static str, f64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().copied())
}
