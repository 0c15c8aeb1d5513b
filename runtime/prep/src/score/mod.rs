//! Logits to scores, boxes to fewer boxes, masks to pixels, texts to error rates.

mod bootstrap;
mod correlation;
mod mask;
mod nms;
mod oriented;
mod precision;
mod span;
mod squad;
mod tally;
mod wer;

pub use bootstrap::{Resamples, interval};
pub use correlation::{pearson, spearman};
pub use mask::{Paste, Rle};
pub use nms::{Box2d, Nms};
pub use oriented::{OrientedBox, suppress_oriented};
pub use precision::{Curve, Match, Matches};
pub use span::{Span, spans};
pub use squad::{answer_f1, exact_match, normalize_answer};
pub use tally::{Tally, class_mean};
pub use wer::{Edits, char_errors, normalize_words, word_errors};

/// Makes logits scores that sum to 1, in place. The largest is subtracted first, so large logits do
/// not overflow.
pub fn softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - max).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|v| *v /= sum);
}

/// Makes logits the natural logarithms of scores that sum to 1, in place. A row that is not finite stays
/// without meaning, but no panic comes of it.
pub fn log_softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|v| (*v - max).exp()).sum();
    let log_sum = sum.ln();
    logits.iter_mut().for_each(|v| *v = *v - max - log_sum);
}

/// `1 / (1 + e^-x)`.
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// `ln(p / (1 - p))`, the logit whose [`sigmoid`] is `p`: infinite for 0 and 1.
pub fn logit(p: f32) -> f32 {
    (p / (1.0 - p)).ln()
}

/// Indices of the `k` largest values, largest first; equal values in order of index. NaN is last.
pub fn top_k(values: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let rank = |i: &usize| {
        if values[*i].is_nan() {
            f32::NEG_INFINITY
        } else {
            values[*i]
        }
    };
    order.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    order.truncate(k);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_large_logits_is_finite() {
        let mut scores = [1000.0, 1000.0];
        softmax(&mut scores);
        assert_eq!(scores, [0.5, 0.5]);
    }

    #[test]
    fn log_softmax_is_the_logarithm_of_softmax() {
        let mut logs = [1000.0, 999.0, 0.0];
        log_softmax(&mut logs);
        let mut scores = [1000.0, 999.0, 0.0];
        softmax(&mut scores);
        assert!((logs[2] + 1000.31326).abs() < 1e-3, "{}", logs[2]);
        assert!(
            logs.iter()
                .zip(scores)
                .all(|(l, s)| (l.exp() - s).abs() < 1e-5)
        );
    }

    #[test]
    fn sigmoid_is_symmetric() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert!((sigmoid(2.0) + sigmoid(-2.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn logit_undoes_sigmoid() {
        for p in [0.1, 0.5, 0.9] {
            assert!((sigmoid(logit(p)) - p).abs() < 1e-6, "{p}");
        }
        assert_eq!(logit(0.5), 0.0);
        assert_eq!([0.0, 1.0].map(logit), [f32::NEG_INFINITY, f32::INFINITY]);
    }

    #[test]
    fn top_k_is_stable_and_puts_nan_last() {
        assert_eq!(top_k(&[0.5, f32::NAN, 0.9, 0.5], 3), [2, 0, 3]);
        assert_eq!(top_k(&[0.1], 5), [0]);
    }
}
