//! How far the outputs of a rewritten graph are from those of the graph it came from.

use std::collections::BTreeMap;

/// A last axis up to here holds figures of different kinds, such as coordinates beside scores, each
/// measured by its own spread. A longer one holds one kind, such as the logits of a vocabulary.
const MAX_COLUMNS: usize = 256;

/// Fewer rows tell nothing about the spread of a column.
const MIN_ROWS: usize = 64;

/// Outputs that carry a state to the next step; what they do shows in the others.
const STATE: &str = "present";

/// What a graph answered on recorded runs: run and output to elements.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<(usize, String), Answer>);

#[derive(Debug)]
struct Answer {
    columns: usize,
    elements: Vec<f32>,
}

impl Answers {
    pub fn note(&mut self, run: usize, output: &str, dims: &[usize], elements: &[f32]) {
        if output.starts_with(STATE) {
            return;
        }
        let columns = dims.last().copied().unwrap_or(1).max(1);
        let rows = elements.len() / columns;
        let answer = Answer {
            columns: match columns <= MAX_COLUMNS && rows >= MIN_ROWS {
                true => columns,
                false => 1,
            },
            elements: elements.to_vec(),
        };
        self.0.insert((run, output.to_owned()), answer);
    }

    /// The mean over runs, outputs and columns of the squared error as a share of the variance; 0 is
    /// equal, 1 is as good as always answering the mean. `None` without answers in common. Answers
    /// that are missing, of another size or not finite count as infinitely wrong.
    pub fn error_of(&self, other: &Self) -> Option<f64> {
        let shares = self.0.iter().map(|(key, answer)| match other.0.get(key) {
            Some(other) => answer.error_of(other),
            None => f64::INFINITY,
        });
        let shares: Vec<f64> = shares.collect();
        let count = shares.len();
        (count > 0).then(|| shares.into_iter().sum::<f64>() / count as f64)
    }
}

impl Answer {
    fn error_of(&self, other: &Self) -> f64 {
        if self.elements.len() != other.elements.len() {
            return f64::INFINITY;
        }
        let columns = self.columns;
        let mut sums = vec![[0.0f64; 3]; columns];
        for (i, (a, b)) in self.elements.iter().zip(&other.elements).enumerate() {
            let [sum, squares, error] = &mut sums[i % columns];
            let (a, b) = (f64::from(*a), f64::from(*b));
            // What both cannot say is no difference, such as −inf of a mask.
            if a == b || a.is_nan() && b.is_nan() {
                if a.is_finite() {
                    *sum += a;
                    *squares += a * a;
                }
                continue;
            }
            *sum += a;
            *squares += a * a;
            *error += (a - b) * (a - b);
        }
        let rows = (self.elements.len() / columns).max(1) as f64;
        let share = |[sum, squares, error]: &[f64; 3]| {
            let variance = (squares - sum * sum / rows).max(0.0);
            match (*error == 0.0, variance > 0.0) {
                (true, _) => 0.0,
                (false, true) => error / variance,
                (false, false) => 1.0,
            }
        };
        let total: f64 = sums.iter().map(share).sum();
        match total.is_nan() {
            true => f64::INFINITY,
            false => total / columns as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(elements: &[f32], dims: &[usize]) -> Answers {
        let mut answers = Answers::default();
        answers.note(0, "y", dims, elements);
        answers.note(0, "present.0.key", &[1], &[elements[0]]);
        answers
    }

    #[test]
    fn error_is_a_share_of_the_variance() {
        let y = [1.0, 2.0, 3.0, 4.0];
        let truth = answers(&y, &[4]);
        // The variance times 4 is 5; an error of 1 in one place is a fifth of it.
        for (other, expected) in [
            (answers(&y, &[4]), 0.0),
            (answers(&[1.0, 2.0, 3.0, 5.0], &[4]), 0.2),
            (answers(&[2.5; 4], &[4]), 1.0),
            (answers(&[1.0, f32::NAN, 3.0, 4.0], &[4]), f64::INFINITY),
            (answers(&[1.0], &[1]), f64::INFINITY),
            (Answers::default(), f64::INFINITY),
        ] {
            assert_eq!(truth.error_of(&other), Some(expected));
        }
        assert_eq!(Answers::default().error_of(&truth), None);
    }

    #[test]
    fn columns_are_measured_by_their_own_spread() {
        // Coordinates in hundreds beside scores below 1.
        let rows = |noise: f32| -> Vec<f32> {
            let row = |i: usize| [100.0 * (i % 7) as f32, 0.1 * (i % 5) as f32 + noise];
            (0..64).flat_map(row).collect()
        };
        let truth = answers(&rows(0.0), &[64, 2]);
        let error = truth.error_of(&answers(&rows(0.1), &[64, 2])).unwrap();
        // 0.01 of a variance of 0.02, in one of two columns.
        assert!((error - 0.25).abs() < 0.01, "{error}");
    }
}
