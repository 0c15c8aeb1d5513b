//! Transcripts of recordings.

use bevel::Answer;
use bevel_prep::score::{Edits, char_errors, normalize_words, word_errors};

use super::{Collect, Metric, Name, Said, lower, strange};
use crate::eval::truth::Truth;

/// Edits of words and of characters, by recording.
#[derive(Default)]
pub struct Errors {
    edits: Vec<[Edits; 2]>,
}

impl Collect for Errors {
    fn add(&mut self, said: &Said<'_>, truth: &Truth) -> anyhow::Result<()> {
        let (Said::One(Answer::Transcribe(found)), Truth::Speech(text)) = (said, truth) else {
            return Err(strange(truth));
        };
        let [truth, found] = [text, &found.text].map(|text| normalize_words(text));
        self.edits
            .push([word_errors(&truth, &found), char_errors(&truth, &found)]);
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Box<dyn Metric>> {
        Ok(self)
    }
}

impl Metric for Errors {
    fn names(&self) -> Vec<Name> {
        ["wer", "cer"].map(lower).into()
    }

    /// Rates of the sums: a long recording counts more than a short one.
    fn values(&self, times: &[u32]) -> Vec<f64> {
        let mut sums = [(0, 0); 2];
        for (edits, times) in self.edits.iter().zip(times) {
            for (sum, edits) in sums.iter_mut().zip(edits) {
                let times = *times as usize;
                sum.0 += edits.total() * times;
                sum.1 += edits.reference * times;
            }
        }
        sums.map(|(total, reference)| total as f64 / reference.max(1) as f64)
            .into()
    }

    fn worst(&self) -> Option<f64> {
        self.edits
            .iter()
            .map(|[words, _]| words.rate())
            .reduce(f64::max)
    }
}
