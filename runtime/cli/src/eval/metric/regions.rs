//! Classes of pixels.

use std::collections::BTreeMap;

use bevel::Answer;
use bevel::vision::Regions;
use bevel_manifest::ErrorKind;
use bevel_prep::score::{Tally, class_mean};

use super::{ClassFigures, Collect, Metric, Name, Said, higher, strange};
use crate::eval::dataset::masks::{self, Pixel};
use crate::eval::truth::Truth;
use crate::failure::fail;

/// Pixels of every class, by picture.
#[derive(Default)]
pub struct Pixels {
    labels: BTreeMap<usize, String>,
    pictures: Vec<Vec<(usize, Tally)>>,
}

impl Collect for Pixels {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let Said::One(Answer::Regions(found)) = said else {
            return Err(strange(truth));
        };
        let picture = match truth {
            Truth::Map(path) => {
                let map = masks::read(path, !found.one_is_right)?;
                let size = [map.height, map.width];
                if size != [found.height, found.width] {
                    let what = format!(
                        "{}: {} × {} pixels, the picture has {} × {}",
                        path.display(),
                        map.width,
                        map.height,
                        found.width,
                        found.height
                    );
                    return Err(fail(ErrorKind::Input, what));
                }
                tally(found, &map.pixels)
            }
            Truth::Regions(truth) => agreed(found, truth),
            _ => return Err(strange(truth)),
        };
        for region in &found.classes {
            let label = self.labels.entry(region.index);
            label.or_insert_with(|| region.label.clone());
        }
        self.pictures.push(picture.into_iter().collect());
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

/// Pixels of each class against a map of them, row by row.
fn tally(found: &Regions, map: &[Pixel]) -> BTreeMap<usize, Tally> {
    let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
    for pixel in map {
        if let Pixel::Class(class) = pixel {
            tallies.entry(usize::from(*class)).or_default().truth += 1;
        }
    }
    let [height, width] = [found.height, found.width].map(u64::from);
    for region in &found.classes {
        let tally = tallies.entry(region.index).or_default();
        for (begin, count) in region.mask.runs() {
            for at in begin..begin + count {
                // Runs go down the columns.
                let place = (at % height) * width + at / height;
                match map.get(place as usize) {
                    None | Some(Pixel::Ignored) => {}
                    Some(Pixel::Nothing) => tally.given += 1,
                    Some(Pixel::Class(class)) => {
                        tally.given += 1;
                        tally.right += u64::from(usize::from(*class) == region.index);
                    }
                }
            }
        }
    }
    tallies
}

/// Pixels of each class against those of another model.
fn agreed(found: &Regions, truth: &Regions) -> BTreeMap<usize, Tally> {
    let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
    for region in &truth.classes {
        tallies.entry(region.index).or_default().truth += region.mask.area();
    }
    for region in &found.classes {
        let tally = tallies.entry(region.index).or_default();
        tally.given += region.mask.area();
        let same = truth
            .classes
            .iter()
            .filter(|other| other.index == region.index);
        tally.right += same
            .map(|other| shared(region.mask.runs(), other.mask.runs()))
            .sum::<u64>();
    }
    tallies
}

/// How long two lists of runs overlap.
fn shared(mut a: impl Iterator<Item = (u64, u64)>, mut b: impl Iterator<Item = (u64, u64)>) -> u64 {
    let mut sum = 0;
    let (mut next_a, mut next_b) = (a.next(), b.next());
    while let (Some((from_a, long_a)), Some((from_b, long_b))) = (next_a, next_b) {
        let (end_a, end_b) = (from_a + long_a, from_b + long_b);
        sum += end_a.min(end_b).saturating_sub(from_a.max(from_b));
        match end_a < end_b {
            true => next_a = a.next(),
            false => next_b = b.next(),
        }
    }
    sum
}

impl Pixels {
    /// By index of the class.
    fn tallies(&self, times: &[u32]) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = Vec::new();
        for (picture, times) in self.pictures.iter().zip(times) {
            for (index, tally) in picture {
                if tallies.len() <= *index {
                    tallies.resize(index + 1, Tally::default());
                }
                tallies[*index].add(*tally, u64::from(*times));
            }
        }
        tallies
    }
}

impl Metric for Pixels {
    fn names(&self) -> Vec<Name> {
        ["mIoU", "pixel accuracy"].map(higher).into()
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        let tallies = self.tallies(times);
        let (right, truth) = tallies.iter().fold((0, 0), |sum, tally| {
            (sum.0 + tally.right, sum.1 + tally.truth)
        });
        vec![
            class_mean(&tallies, Tally::iou).unwrap_or(f64::NAN),
            right as f64 / truth as f64,
        ]
    }

    fn per_class(&self) -> Vec<ClassFigures> {
        let tallies = self.tallies(&vec![1; self.pictures.len()]);
        let seen = tallies.iter().enumerate().filter(|(_, tally)| tally.seen());
        seen.map(|(index, tally)| ClassFigures {
            label: self
                .labels
                .get(&index)
                .cloned()
                .unwrap_or_else(|| index.to_string()),
            index,
            truths: tally.truth,
            values: vec![
                ("iou", tally.iou()),
                ("precision", tally.precision()),
                ("recall", tally.recall()),
            ],
        })
        .collect()
    }
}
