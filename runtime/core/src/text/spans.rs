//! Logits of where an answer starts and ends to the answer.

use serde::Serialize;

use crate::text::characters::Characters;
use crate::text::windows::{Piece, Window};

/// The longest answer in tokens.
const MAX_TOKENS: usize = 30;

/// Spans of one window that are looked at: as many as transformers takes for one answer.
const CANDIDATES: usize = 12;

/// The part of a context that answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Span {
    /// The context from `start` to `end`, exactly.
    pub answer: String,
    /// Its first character in the context, counted in Unicode characters.
    pub start: usize,
    /// Behind its last character.
    pub end: usize,
    /// Probability, in 0 ..= 1.
    pub score: f32,
}

/// What a graph says of the context in one window.
#[derive(Debug)]
pub(crate) struct Logits {
    tokens: Vec<Piece>,
    /// One for each token, and last the first token of the row, where that is special: it stands for no
    /// answer.
    starts: Vec<f64>,
    ends: Vec<f64>,
}

impl Logits {
    /// Of the logits of a row, T each.
    pub fn of(window: &Window, starts: &[f32], ends: &[f32]) -> Self {
        let no_answer = window.place.start > 0;
        let chosen = |row: &[f32]| -> Vec<f64> {
            let context = row.get(window.place.clone()).unwrap_or_default();
            let first = row.iter().take(usize::from(no_answer));
            context
                .iter()
                .chain(first)
                .copied()
                .map(f64::from)
                .collect()
        };
        Self {
            starts: chosen(starts),
            ends: chosen(ends),
            tokens: window.tokens.clone(),
        }
    }

    /// The likeliest answer; `None` where the window holds nothing of the context.
    ///
    /// The probability of a span of tokens is that of its start times that of its end. The likeliest
    /// spans are widened to whole words, and those that say the same, but for case, are added up.
    pub fn best(&self, context: &Characters<'_>) -> Option<Span> {
        let (starts, ends) = (softmax(&self.starts), softmax(&self.ends));
        let mut answers: Vec<(f64, String, Span)> = Vec::new();
        for (score, first, last) in self.likeliest(&starts, &ends) {
            let (start, end) = self.words(first, last)?;
            let part = context.trim(start..end);
            if part.is_empty() {
                continue;
            }
            let same = context.slice(start..end).to_lowercase();
            match answers.iter_mut().find(|(_, known, _)| *known == same) {
                Some((sum, ..)) => *sum += score,
                None => {
                    let span = Span {
                        answer: context.slice(part.clone()).to_owned(),
                        start: part.start,
                        end: part.end,
                        score: 0.0,
                    };
                    answers.push((score, same, span));
                }
            }
        }
        let best = answers
            .into_iter()
            .reduce(|a, b| if b.0 > a.0 { b } else { a });
        best.map(|(score, _, span)| Span {
            score: score as f32,
            ..span
        })
    }

    /// Score, first and last token of the likeliest spans, best first.
    fn likeliest(&self, starts: &[f64], ends: &[f64]) -> Vec<(f64, usize, usize)> {
        let tokens = self.tokens.len();
        let mut spans = Vec::with_capacity(tokens * MAX_TOKENS.min(tokens));
        for (first, start) in starts.iter().enumerate().take(tokens) {
            let ends = ends.iter().enumerate().take(tokens);
            let ends = ends.skip(first).take(MAX_TOKENS);
            spans.extend(ends.map(|(last, end)| (start * end, first, last)));
        }
        spans.sort_by(|a, b| b.0.total_cmp(&a.0));
        spans.truncate(CANDIDATES);
        spans
    }

    /// The first character of the word that a token is in, and behind the last of another's.
    fn words(&self, first: usize, last: usize) -> Option<(usize, usize)> {
        let (start, end) = (self.tokens.get(first)?, self.tokens.get(last)?);
        let word = |token: &Piece| token.word.is_some().then_some(token.word);
        let begin = word(start).and_then(|word| self.tokens.iter().find(|t| t.word == word));
        let finish = word(end).and_then(|word| self.tokens.iter().rfind(|t| t.word == word));
        Some((begin.unwrap_or(start).start, finish.unwrap_or(end).end))
    }
}

/// Probabilities that sum to 1, in f64: the product of two is not to vanish.
fn softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<_> = logits.iter().map(|logit| (logit - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|value| value / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Pari` `s` `or` `paris` `?`, each with its word.
    const TOKENS: [(usize, usize, u32); 5] =
        [(0, 4, 0), (4, 5, 0), (6, 8, 1), (9, 14, 2), (14, 15, 3)];

    fn logits(starts: [f64; 6], ends: [f64; 6]) -> Logits {
        let piece = |(start, end, word)| Piece {
            start,
            end,
            word: Some(word),
        };
        Logits {
            tokens: TOKENS.map(piece).to_vec(),
            starts: starts.to_vec(),
            ends: ends.to_vec(),
        }
    }

    #[test]
    fn what_says_the_same_adds_up_and_words_stay_whole() {
        let text = Characters::new("Paris or paris?");
        // Of starts 1/2 on `s`, 1/4 on `paris`; of ends 1/2 on `s`, 1/4 on `paris`; the rest says none.
        let (half, quarter, no) = (2f64.ln(), 0.0, f64::NEG_INFINITY);
        let values = [no, half, no, quarter, no, quarter];
        let found = logits(values, values).best(&text).unwrap();
        // 1/2·1/2 + 1/4·1/4 of the two words; from the first to the second only 1/2·1/4.
        assert!((found.score - 0.3125).abs() < 1e-6, "{found:?}");
        let place = (found.answer.as_str(), found.start, found.end);
        assert_eq!(place, ("Paris", 0, 5));
    }

    #[test]
    fn an_answer_does_not_end_before_it_starts() {
        let text = Characters::new("Paris or paris?");
        let (sure, no) = (100.0, -100.0);
        let starts = [no, no, no, sure, no, no];
        let ends = [sure, no, no, no, no, no];
        let found = logits(starts, ends).best(&text).unwrap();
        assert!(found.start < found.end && found.score < 1e-6, "{found:?}");
    }

    #[test]
    fn a_window_of_nothing_has_no_answer() {
        let nothing = Logits {
            tokens: Vec::new(),
            starts: vec![1.0],
            ends: vec![1.0],
        };
        assert_eq!(nothing.best(&Characters::new("")), None);
    }
}
