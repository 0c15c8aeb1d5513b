//! Labels of texts and pictures.

use std::collections::BTreeMap;

use bevel::Answer;
use bevel_prep::score::{Tally, class_mean};

use super::{ClassFigures, Collect, Confusion, Metric, Name, Said, higher, strange, tally_values};
use crate::eval::truth::Truth;

/// Labels that are looked at for the second figure.
const TOP: usize = 5;

/// True and answered classes.
#[derive(Default)]
pub struct Classes {
    labels: BTreeMap<usize, String>,
    samples: Vec<Sample>,
}

struct Sample {
    truth: usize,
    given: usize,
    /// The true class is among the best [`TOP`].
    near: bool,
}

impl Collect for Classes {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::One(Answer::Classify(found)), Truth::Class(class)) = (said, truth) else {
            return Err(strange(truth));
        };
        for label in &found.labels {
            self.labels
                .entry(label.index)
                .or_insert_with(|| label.label.clone());
        }
        let label = self.labels.entry(class.index);
        label.or_insert_with(|| class.label.clone());
        let best: Vec<usize> = found.labels.iter().map(|label| label.index).collect();
        let given = best.first().copied().ok_or_else(|| strange(truth))?;
        self.samples.push(Sample {
            truth: class.index,
            given,
            near: best.iter().take(TOP).any(|index| *index == class.index),
        });
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Classes {
    /// By place of the class in `labels`.
    fn tallies(&self, times: &[u32]) -> Vec<Tally> {
        let size = self.labels.keys().last().map_or(0, |last| last + 1);
        let mut tallies = vec![Tally::default(); size];
        for (sample, times) in self.samples.iter().zip(times) {
            let times = u64::from(*times);
            tallies[sample.truth].truth += times;
            tallies[sample.given].given += times;
            if sample.truth == sample.given {
                tallies[sample.truth].right += times;
            }
        }
        tallies
    }

    /// The share of samples for which something holds.
    fn share(&self, times: &[u32], holds: impl Fn(&Sample) -> bool) -> f64 {
        let values: Vec<f64> = self
            .samples
            .iter()
            .map(|s| f64::from(u8::from(holds(s))))
            .collect();
        super::mean(&values, times)
    }
}

impl Metric for Classes {
    fn names(&self) -> Vec<Name> {
        ["top1", "top5", "precision", "recall", "f1"]
            .map(higher)
            .into()
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        let tallies = self.tallies(times);
        let mean = |of: fn(&Tally) -> f64| class_mean(&tallies, of).unwrap_or(f64::NAN);
        vec![
            self.share(times, |sample| sample.truth == sample.given),
            self.share(times, |sample| sample.near),
            mean(Tally::precision),
            mean(Tally::recall),
            mean(Tally::f1),
        ]
    }

    fn per_class(&self) -> Vec<ClassFigures> {
        let tallies = self.tallies(&vec![1; self.samples.len()]);
        let seen = self
            .labels
            .iter()
            .filter(|(index, _)| tallies[**index].seen());
        seen.map(|(&index, label)| ClassFigures {
            label: label.clone(),
            index,
            truths: tallies[index].truth,
            values: tally_values(&tallies[index]),
        })
        .collect()
    }

    fn confusion(&self) -> Option<Confusion> {
        let classes = self.per_class();
        let places: BTreeMap<usize, usize> = classes
            .iter()
            .enumerate()
            .map(|(place, class)| (class.index, place))
            .collect();
        let mut counts = vec![vec![0; classes.len()]; classes.len()];
        for sample in &self.samples {
            counts[places[&sample.truth]][places[&sample.given]] += 1;
        }
        Some(Confusion {
            labels: classes.into_iter().map(|class| class.label).collect(),
            counts,
        })
    }
}
