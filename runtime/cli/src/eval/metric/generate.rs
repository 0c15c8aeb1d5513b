//! Texts that go on.

use bevel::Answer;

use super::{Collect, Metric, Name, Said, higher, lower, mean, strange};
use crate::eval::truth::Truth;

/// How much a model expects the texts.
#[derive(Default)]
pub struct Perplexity {
    /// The sum of log-probabilities, and of how many tokens.
    texts: Vec<(f64, u64)>,
}

impl Collect for Perplexity {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::Likelihood(found), Truth::Itself) = (said, truth) else {
            return Err(strange(truth));
        };
        self.texts
            .push((found.log_probability, found.tokens as u64));
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Metric for Perplexity {
    fn names(&self) -> Vec<Name> {
        vec![lower("perplexity")]
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        let (mut sum, mut tokens) = (0.0, 0.0);
        for ((log, count), times) in self.texts.iter().zip(times) {
            sum += log * f64::from(*times);
            tokens += (count * u64::from(*times)) as f64;
        }
        vec![(-sum / tokens).exp()]
    }

    fn worst(&self) -> Option<f64> {
        let texts = self.texts.iter().filter(|(_, count)| *count > 0);
        texts
            .map(|(log, count)| (-log / *count as f64).exp())
            .reduce(f64::max)
    }
}

/// How many tokens two models go on with alike.
#[derive(Default)]
pub struct Shares {
    shares: Vec<f64>,
}

impl Collect for Shares {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::One(Answer::Generate(found)), Truth::Tokens(ids)) = (said, truth) else {
            return Err(strange(truth));
        };
        let longer = found.ids.len().max(ids.len()).max(1);
        let alike = found.ids.iter().zip(ids).filter(|(a, b)| a == b).count();
        // Neither says anything: they agree.
        let nothing = found.ids.is_empty() && ids.is_empty();
        self.shares.push(if nothing {
            1.0
        } else {
            alike as f64 / longer as f64
        });
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Metric for Shares {
    fn names(&self) -> Vec<Name> {
        vec![higher("token")]
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        vec![mean(&self.shares, times)]
    }

    fn worst(&self) -> Option<f64> {
        self.shares.iter().copied().reduce(f64::min)
    }
}
