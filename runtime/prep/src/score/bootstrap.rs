//! How sure a figure of a sample is: the same figure of many samples drawn from it.

/// Draws of as many items as there are, with putting back (Efron 1979), always the same ones.
///
/// The generator is SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number
/// generators*, 2014).
///
/// ```
/// # use bevel_prep::score::Resamples;
/// let mut resamples = Resamples::new(10);
/// let times = resamples.draw();
/// assert_eq!(times.len(), 10);
/// assert_eq!(times.iter().sum::<u32>(), 10);
/// ```
#[derive(Debug, Clone)]
pub struct Resamples {
    state: u64,
    times: Vec<u32>,
}

impl Resamples {
    /// Of a number of items.
    pub fn new(items: usize) -> Self {
        Self {
            state: 0,
            times: vec![0; items],
        }
    }

    /// How many times each item is in the next draw.
    pub fn draw(&mut self) -> &[u32] {
        self.times.fill(0);
        let items = self.times.len();
        for _ in 0..items {
            // The high half of a product spreads evenly over the items.
            let at = (u128::from(self.random()) * items as u128) >> 64;
            self.times[at as usize] += 1;
        }
        &self.times
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The values that `level` of all values lie between, with as many below as above. Not a number does
/// not count; `None` where no value is left. Reference: numpy 2.4 `percentile`, linear.
pub fn interval(values: &[f64], level: f64) -> Option<[f64; 2]> {
    let mut values: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let tail = (1.0 - level.clamp(0.0, 1.0)) / 2.0;
    Some([tail, 1.0 - tail].map(|share| {
        let place = share * last as f64;
        let below = (place.floor() as usize).min(last);
        let above = (below + 1).min(last);
        values[below] + (values[above] - values[below]) * (place - below as f64)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], [2.5, 97.5])`, and `[10, 90]` of it.
    #[test]
    fn intervals_are_those_of_numpy() {
        let values = [3.0, 1.0, f64::NAN, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        let close = |found: Option<[f64; 2]>, expected: [f64; 2]| {
            let found = found.unwrap();
            let far = found
                .iter()
                .zip(expected)
                .any(|(a, b)| (a - b).abs() > 1e-12);
            assert!(!far, "{found:?}, expected {expected:?}");
        };
        close(interval(&values, 0.95), [1.0, 8.475]);
        close(interval(&values, 0.8), [1.0, 6.9]);
        close(interval(&[7.0], 0.95), [7.0, 7.0]);
        assert_eq!(interval(&[f64::NAN], 0.95), None);
    }

    /// The standard error of a mean is that of its items by the root of their number.
    #[test]
    fn draws_spread_as_a_mean_does() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let mut resamples = Resamples::new(values.len());
        let means: Vec<f64> = (0..2000)
            .map(|_| {
                let times = resamples.draw();
                let sum: f64 = times
                    .iter()
                    .zip(&values)
                    .map(|(n, v)| f64::from(*n) * v)
                    .sum();
                sum / 100.0
            })
            .collect();
        // 1.96 · sqrt((100² − 1) / 12 / 100) = 5.66 to either side of 49.5.
        let [low, high] = interval(&means, 0.95).unwrap();
        assert!(
            (low - 43.84).abs() < 0.5 && (high - 55.16).abs() < 0.5,
            "{low} {high}"
        );
    }

    #[test]
    fn draws_are_the_same_every_time() {
        let draw = || Resamples::new(5).draw().to_vec();
        assert_eq!(draw(), draw());
        assert!(Resamples::new(0).draw().is_empty());
    }
}
