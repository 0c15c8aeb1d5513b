//! Entities in texts.

use std::collections::BTreeMap;

use bevel::Answer;
use bevel_prep::score::Tally;

use super::{ClassFigures, Collect, Metric, Name, Said, higher, strange, tally_values};
use crate::eval::truth::{Truth, entities};

/// True, found and rightly found entities of each label, by text. One is right where its label and both
/// of its ends are: seqeval's strict sense.
#[derive(Default)]
pub struct Entities {
    /// Place of each label in the tallies.
    labels: BTreeMap<String, usize>,
    texts: Vec<Vec<(usize, Tally)>>,
}

impl Collect for Entities {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::One(Answer::Tag(found)), Truth::Entities(wanted)) = (said, truth) else {
            return Err(strange(truth));
        };
        let found = entities(found);
        let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
        for entity in wanted {
            self.tally(&mut tallies, &entity.label).truth += 1;
        }
        for entity in &found {
            let tally = self.tally(&mut tallies, &entity.label);
            tally.given += 1;
            tally.right += u64::from(wanted.contains(entity));
        }
        self.texts.push(tallies.into_iter().collect());
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Entities {
    fn tally<'t>(&mut self, tallies: &'t mut BTreeMap<usize, Tally>, label: &str) -> &'t mut Tally {
        let next = self.labels.len();
        let place = match self.labels.get(label) {
            Some(place) => *place,
            None => *self.labels.entry(label.to_string()).or_insert(next),
        };
        tallies.entry(place).or_default()
    }

    /// By place of the label.
    fn tallies(&self, times: &[u32]) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); self.labels.len()];
        for (text, times) in self.texts.iter().zip(times) {
            for (place, tally) in text {
                tallies[*place].add(*tally, u64::from(*times));
            }
        }
        tallies
    }
}

impl Metric for Entities {
    fn names(&self) -> Vec<Name> {
        ["f1", "precision", "recall"].map(higher).into()
    }

    /// All labels together: seqeval's micro average.
    fn values(&self, times: &[u32]) -> Vec<f64> {
        let mut sum = Tally::default();
        self.tallies(times)
            .into_iter()
            .for_each(|tally| sum.add(tally, 1));
        if !sum.seen() {
            return vec![f64::NAN; 3];
        }
        vec![sum.f1(), sum.precision(), sum.recall()]
    }

    fn per_class(&self) -> Vec<ClassFigures> {
        let tallies = self.tallies(&vec![1; self.texts.len()]);
        let labels = self.labels.iter().enumerate();
        labels
            .map(|(index, (label, place))| ClassFigures {
                label: label.clone(),
                index,
                truths: tallies[*place].truth,
                values: tally_values(&tallies[*place]),
            })
            .collect()
    }
}
