/// How often a class was there, was answered, and both at once. What is counted is up to the caller:
/// texts, pixels, entities.
///
/// ```
/// # use bevel_prep::score::Tally;
/// let tally = Tally { truth: 4, given: 5, right: 3 };
/// assert_eq!((tally.precision(), tally.recall(), tally.iou()), (0.6, 0.75, 0.5));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// In the truth.
    pub truth: u64,
    /// In the answer.
    pub given: u64,
    /// In both.
    pub right: u64,
}

impl Tally {
    /// Of what was answered the share that is right, in 0 ..= 1; 0 where nothing was answered.
    pub fn precision(&self) -> f64 {
        share(self.right, self.given)
    }

    /// Of what was there the share that was answered, in 0 ..= 1; 0 where nothing was there.
    pub fn recall(&self) -> f64 {
        share(self.right, self.truth)
    }

    /// Harmonic mean of precision and recall, in 0 ..= 1; 0 where both are.
    pub fn f1(&self) -> f64 {
        share(2 * self.right, self.truth + self.given)
    }

    /// Intersection over union, in 0 ..= 1; 0 for a class that is nowhere.
    pub fn iou(&self) -> f64 {
        share(self.right, self.truth + self.given - self.right)
    }

    /// Whether the class is in the truth or in the answer.
    pub fn seen(&self) -> bool {
        self.truth + self.given > 0
    }

    /// Counts `times` of something more.
    pub fn add(&mut self, other: Self, times: u64) {
        self.truth += other.truth * times;
        self.given += other.given * times;
        self.right += other.right * times;
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The mean of a figure over the classes that are in the truth or in the answer, each counted the same;
/// `None` where no class is. Reference: scikit-learn 1.9 `average="macro", zero_division=0`; for
/// [`Tally::iou`] `jaccard_score`.
pub fn class_mean(tallies: &[Tally], figure: impl Fn(&Tally) -> f64) -> Option<f64> {
    let seen = tallies.iter().filter(|tally| tally.seen());
    let (sum, count) = seen.fold((0.0, 0_u32), |(sum, count), t| (sum + figure(t), count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies(truth: &[usize], given: &[usize]) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); 5];
        for (&truth, &given) in truth.iter().zip(given) {
            tallies[truth].truth += 1;
            tallies[given].given += 1;
            tallies[truth].right += u64::from(truth == given);
        }
        tallies
    }
    /// `precision_recall_fscore_support(t, g, average="macro", zero_division=0)` and `jaccard_score` of
    /// scikit-learn 1.9.1; class 4 is nowhere.
    #[test]
    fn means_over_classes_are_those_of_scikit_learn() {
        let truth = [0, 0, 0, 0, 1, 1, 2, 2, 2, 3];
        let given = [0, 0, 1, 2, 1, 0, 2, 2, 2, 2];
        let tallies = tallies(&truth, &given);
        type Figure = fn(&Tally) -> f64;
        let cases: [(&str, Figure, f64); 4] = [
            ("precision", Tally::precision, 0.44166666666666665),
            ("recall", Tally::recall, 0.5),
            ("f1", Tally::f1, 0.45535714285714285),
            ("iou", Tally::iou, 0.33333333333333337),
        ];
        for (name, figure, expected) in cases {
            let found = class_mean(&tallies, figure).unwrap();
            assert!((found - expected).abs() < 1e-12, "{name}: {found}");
        }
        assert_eq!(class_mean(&[Tally::default()], Tally::f1), None);
    }
}
