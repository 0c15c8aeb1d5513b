//! How two measurements of the same things go together.

/// Pearson's correlation of two measurements, in −1 ..= 1, each pair counted `times`. Not a number where
/// one of them is always the same. Reference: scipy 1.17 `pearsonr`.
pub fn pearson(a: &[f64], b: &[f64], times: &[u32]) -> f64 {
    let weights = || times.iter().map(|times| f64::from(*times));
    let total: f64 = weights().sum();
    let mean = |values: &[f64]| weights().zip(values).map(|(w, v)| w * v).sum::<f64>() / total;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for ((weight, a), b) in weights().zip(a).zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += weight * a * b;
        of_a += weight * a * a;
        of_b += weight * b * b;
    }
    // Rounding must not lead out of the range.
    (both / (of_a * of_b).sqrt()).clamp(-1.0, 1.0)
}

/// Spearman's correlation: [`pearson`] of the ranks, equal values sharing the mean of theirs.
/// Reference: scipy 1.17 `spearmanr`.
pub fn spearman(a: &[f64], b: &[f64], times: &[u32]) -> f64 {
    pearson(&ranks(a, times), &ranks(b, times), times)
}

/// The place of each value among all of them, from 1, where each is there `times`.
fn ranks(values: &[f64], times: &[u32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len().min(times.len())).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0.0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let count: f64 = equal.iter().map(|&i| f64::from(times[i])).sum();
        let rank = before + (count + 1.0) / 2.0;
        equal.iter().for_each(|&i| ranks[i] = rank);
        before += count;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 8] = [4.0, 2.5, 2.5, 0.0, 5.0, 3.0, 1.0, 2.5];
    const B: [f64; 8] = [0.9, 0.55, 0.6, 0.1, 0.7, 0.6, 0.3, -0.2];
    /// `scipy.stats.spearmanr(A, B)` and `pearsonr` of scipy 1.17.1; with repeats of lists in which each
    /// value stands so many times.
    #[test]
    fn figures_are_those_of_scipy() {
        let once = [1; 8];
        let repeats = [2, 0, 1, 1, 3, 1, 0, 2];
        for (times, expected) in [
            (once, [0.8099531445617965, 0.6340371302617874]),
            (repeats, [0.7388684911352426, 0.6537884194957512]),
        ] {
            let found = [spearman(&A, &B, &times), pearson(&A, &B, &times)];
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{found}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn what_never_changes_goes_with_nothing() {
        assert!(pearson(&[1.0, 1.0], &[1.0, 2.0], &[1, 1]).is_nan());
        assert!(spearman(&[], &[], &[]).is_nan());
    }
}
