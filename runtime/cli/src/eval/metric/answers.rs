//! Answers to questions.

use bevel::Answer;
use bevel_prep::score::{answer_f1, exact_match};

use super::{Collect, Metric, Name, Said, higher, mean, strange};
use crate::eval::truth::Truth;

/// How close each answer is to a right one, as SQuAD 2.0 counts it.
#[derive(Default)]
pub struct Answers {
    exact: Vec<f64>,
    f1: Vec<f64>,
}

impl Collect for Answers {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::One(Answer::Answer(found)), Truth::Answers(right)) = (said, truth) else {
            return Err(strange(truth));
        };
        self.exact
            .push(f64::from(u8::from(exact_match(&found.answer, right))));
        self.f1.push(answer_f1(&found.answer, right));
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Metric for Answers {
    fn names(&self) -> Vec<Name> {
        ["f1", "exact_match"].map(higher).into()
    }

    fn values(&self, times: &[u32]) -> Vec<f64> {
        vec![mean(&self.f1, times), mean(&self.exact, times)]
    }

    fn worst(&self) -> Option<f64> {
        self.f1.iter().copied().reduce(f64::min)
    }
}
