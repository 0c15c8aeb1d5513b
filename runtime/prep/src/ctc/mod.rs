//! Frames of connectionist temporal classification (Graves et al. 2006) to tokens.
//!
//! | value | shape | dtype | meaning |
//! |---|---|---|---|
//! | log probabilities | T×V | f32 | natural, one row a frame; beyond −34.5 ..= 0 they are cut, NaN is −34.5 |
//! | [`Token`] | | | one a run of frames; blanks are none |
//!
//! [`greedy`] takes the likeliest token of each frame. [`Beams`] sums the paths of each text and asks
//! an n-gram model ([`NGrams`]) and hot words as it goes.
//!
//! ```
//! use bevel_prep::ctc::{Alphabet, Beams, Search, greedy};
//!
//! // Two frames of (blank, a): the likeliest path is blank, the likeliest text is `a`.
//! let frames = [0.6_f32, 0.4, 0.6, 0.4].map(f32::ln);
//! assert!(greedy(&frames, 2, 0).is_empty());
//! let alphabet = Alphabet { tokens: vec!["".into(), "a".into()], blank: 0, delimiter: None };
//! let best = Beams::new(&alphabet, Search::default(), &[], None).decode(&frames);
//! assert_eq!(best.tokens.len(), 1);
//! assert!((best.log_prob - 0.64_f64.ln()).abs() < 1e-6);
//! ```

mod align;
mod arpa;
mod beam;
mod ngram;
mod prefix;
mod words;

pub use arpa::ArpaError;
pub use beam::{Beams, Hypothesis, Search};
pub use ngram::NGrams;

/// Below this a probability is taken for this: 1e-15, as pyctcdecode 0.5 has it.
const FLOOR: f32 = -34.538_776;

/// What the classes of a model stand for.
#[derive(Debug, Clone, Default)]
pub struct Alphabet {
    /// Text of each class, V of them.
    pub tokens: Vec<String>,
    /// The class that stands for nothing.
    pub blank: u32,
    /// The class between words. Several in a row, with blanks between them, are one; before the first
    /// word and behind the last they are none.
    pub delimiter: Option<u32>,
}

/// A token and where it was heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// Its class.
    pub id: u32,
    /// First frame.
    pub start: u32,
    /// The frame behind the last.
    pub end: u32,
    /// Mean probability of the class over these frames, in 0 ..= 1.
    pub probability: f32,
}

/// The likeliest path: runs of the likeliest class of each frame, without blanks. Equal values are the
/// lower class; rows that are no whole one are left out.
pub fn greedy(log_probs: &[f32], classes: usize, blank: u32) -> Vec<Token> {
    let Some(frames) = rows(log_probs, classes) else {
        return Vec::new();
    };
    runs(frames.map(|frame| {
        let mut best = (0, f32::NEG_INFINITY);
        for (id, value) in frame.iter().enumerate() {
            let value = bounded(*value);
            if value > best.1 {
                best = (id as u32, value);
            }
        }
        (Some(best.0).filter(|id| *id != blank), best.0, best.1)
    }))
}

/// Tokens of frames that say which token they belong to (`None` between tokens; changes part runs),
/// its class and its log probability.
fn runs<K: PartialEq + Copy>(frames: impl Iterator<Item = (Option<K>, u32, f32)>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut last = None;
    for (at, (key, id, log_prob)) in frames.enumerate() {
        let end = at as u32 + 1;
        if key.is_some() {
            if key != last {
                tokens.push(Token {
                    id,
                    start: at as u32,
                    end,
                    probability: 0.0,
                });
            }
            if let Some(token) = tokens.last_mut() {
                token.end = end;
                token.probability += log_prob.exp();
            }
        }
        last = key;
    }
    for token in &mut tokens {
        token.probability /= (token.end - token.start) as f32;
    }
    tokens
}

/// The frames; `None` where there are no classes.
fn rows(log_probs: &[f32], classes: usize) -> Option<std::slice::ChunksExact<'_, f32>> {
    (classes > 0).then(|| log_probs.chunks_exact(classes))
}

fn bounded(log_prob: f32) -> f32 {
    match log_prob.is_nan() {
        true => FLOOR,
        false => log_prob.clamp(FLOOR, 0.0),
    }
}

/// `ln(e^a + e^b)`.
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + (low - high).exp().ln_1p()
}

#[cfg(test)]
mod tests;
