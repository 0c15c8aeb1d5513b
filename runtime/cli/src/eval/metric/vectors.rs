//! Vectors of texts and pictures.

use bevel::Answer;
use bevel_prep::score::{pearson, spearman};

use super::{Collect, Metric, Name, Said, higher, mean, strange};
use crate::eval::truth::Truth;
use crate::show::item::cosine;

/// How alike vectors of pairs are, beside how alike people found the texts.
#[derive(Default)]
pub struct Pairs {
    rated: Vec<f64>,
    cosines: Vec<f64>,
}

impl Collect for Pairs {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::Pair(Answer::Embed(a), Answer::Embed(b)), Truth::Similarity(rated)) =
            (said, truth)
        else {
            return Err(strange(truth));
        };
        self.rated.push(*rated);
        self.cosines.push(likeness(&a.embedding, &b.embedding));
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Metric for Pairs {
    fn names(&self) -> Vec<Name> {
        ["spearman", "pearson"].map(higher).into()
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        vec![
            spearman(&self.rated, &self.cosines, times),
            pearson(&self.rated, &self.cosines, times),
        ]
    }
}

/// How alike two models' vectors of the same thing are.
#[derive(Default)]
pub struct Cosines {
    cosines: Vec<f64>,
}

impl Collect for Cosines {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::One(Answer::Embed(found)), Truth::Vector(vector)) = (said, truth) else {
            return Err(strange(truth));
        };
        self.cosines.push(likeness(&found.embedding, vector));
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Metric for Cosines {
    fn names(&self) -> Vec<Name> {
        vec![higher("cosine")]
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        vec![mean(&self.cosines, times)]
    }

    fn worst(&self) -> Option<f64> {
        self.cosines.iter().copied().reduce(f64::min)
    }
}

/// The cosine; 0 where one vector has no direction or the model has gone astray, so that it counts
/// against it.
fn likeness(a: &[f32], b: &[f32]) -> f64 {
    match cosine(a, b) {
        cosine if cosine.is_nan() => 0.0,
        cosine => cosine,
    }
}
