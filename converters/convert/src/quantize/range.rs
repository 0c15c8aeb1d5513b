//! Which part of the numbers a scale spans: what lies outside is clipped, what lies inside is
//! rounded to steps the finer the smaller the part is.
//!
//! All methods read the histogram that calibration made, and answer a range inside of what was seen
//! that holds zero: zero has a code of its own, so that padding is exact.

use super::int8::Codes;
use super::seen::{Histogram, Observed};

/// A range of numbers that holds zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub low: f32,
    pub high: f32,
}

impl Range {
    /// The least range that holds these ends and zero.
    pub fn holding_zero(low: f32, high: f32) -> Self {
        Self {
            low: low.min(0.0),
            high: high.max(0.0),
        }
    }

    /// The least range that holds both.
    pub fn hull(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// How the range of a value is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Method {
    /// All that was seen.
    MinMax,
    /// This percentage of the elements lies under the upper end, and as much over the lower end:
    /// 99.9 … 99.999.
    Percentile(f32),
    /// The least mean squared error, clipping and rounding taken together.
    Mse,
    /// The least Kullback–Leibler divergence of the codes' histogram from the elements', after
    /// Migacz, "8-bit inference with TensorRT" (2017), for each end by itself.
    Entropy,
}

/// Parts of an end that are tried: 1/32 … 32/32 of it.
const STEPS: usize = 32;

impl Method {
    pub fn range(self, seen: &Observed) -> Range {
        let all = Range::holding_zero(seen.min, seen.max);
        let histogram = &seen.histogram;
        match self {
            Self::MinMax => all,
            Self::Percentile(percent) => percentile(histogram, percent, all),
            Self::Mse => narrowed(all, |range| squared_error(histogram, range)),
            Self::Entropy => narrowed(all, |range| divergence(histogram, range)),
        }
    }
}

fn percentile(histogram: &Histogram, percent: f32, all: Range) -> Range {
    let total: u64 = histogram.counts.iter().sum();
    let outside = f64::from(100.0 - percent) / 100.0 * total as f64;
    let upwards = histogram.counts.iter().enumerate();
    let downwards = histogram.counts.iter().enumerate().rev();
    // How far into its bin the share is reached.
    let low = reach(upwards, outside).map(|(bin, part)| (bin as f32, part));
    let high = reach(downwards, outside).map(|(bin, part)| (bin as f32 + 1.0, -part));
    let place = |found: Option<(f32, f32)>, otherwise: f32| {
        found.map_or(otherwise, |(edge, part)| {
            (edge + part - (Histogram::BINS / 2) as f32) * histogram.width()
        })
    };
    let (low, high) = (place(low, all.low), place(high, all.high));
    Range::holding_zero(low.max(all.low), high.min(all.high))
}

/// The bin in which the sum of the counts reaches `share`, and the part of it that is needed.
fn reach<'a>(bins: impl Iterator<Item = (usize, &'a u64)>, share: f64) -> Option<(usize, f32)> {
    let mut sum = 0.0;
    for (bin, count) in bins {
        let count = *count as f64;
        if count > 0.0 && sum + count >= share {
            return Some((bin, ((share - sum) / count) as f32));
        }
        sum += count;
    }
    None
}

/// The range with the least loss: first the upper end is moved, then the lower. Of equal ones the
/// widest.
fn narrowed(all: Range, loss: impl Fn(Range) -> f64) -> Range {
    let parts = || (1..=STEPS).rev().map(|i| i as f32 / STEPS as f32);
    let least = |ranges: &mut dyn Iterator<Item = Range>, first: Range| {
        let mut best = (first, f64::INFINITY);
        for range in ranges {
            let loss = loss(range);
            if loss < best.1 {
                best = (range, loss);
            }
        }
        best.0
    };
    let upper = |part| Range {
        high: all.high * part,
        ..all
    };
    let best = match all.high > 0.0 {
        true => least(&mut parts().map(upper), all),
        false => all,
    };
    let lower = |part| Range {
        low: all.low * part,
        ..best
    };
    match all.low < 0.0 {
        true => least(&mut parts().map(lower), best),
        false => best,
    }
}

/// Sum over the bins' middles.
fn squared_error(histogram: &Histogram, range: Range) -> f64 {
    let codes = Codes::new(range, false);
    let half = histogram.width() / 2.0;
    let bins = histogram.counts.iter().enumerate();
    bins.filter(|(_, count)| **count > 0)
        .map(|(bin, count)| {
            let x = histogram.edge(bin) + half;
            let error = f64::from(codes.value(codes.code(x)) - x);
            *count as f64 * error * error
        })
        .sum()
}

/// Σ p·ln(p/q): p are the elements with those outside moved to the ends; q is what the codes leave
/// of those inside, each code's elements spread evenly over its bins that have any.
fn divergence(histogram: &Histogram, range: Range) -> f64 {
    // With a bin for each code nothing is told apart.
    if range.high - range.low < 256.0 * histogram.width() {
        return f64::INFINITY;
    }
    let codes = Codes::new(range, false);
    let half = histogram.width() / 2.0;
    let middle = |bin: usize| histogram.edge(bin) + half;
    // The peak at zero that `Relu` and padding leave has a code of its own and no part in this: its
    // bin counts as much as the next.
    let zero = Histogram::BINS / 2;
    let counted = |bin: usize| histogram.counts[if bin == zero { bin + 1 } else { bin }];
    let filled: Vec<(usize, f64)> = (0..Histogram::BINS)
        .map(|bin| (bin, counted(bin) as f64))
        .filter(|(_, count)| *count > 0.0)
        .collect();
    let inside = |bin: usize| (range.low..=range.high).contains(&middle(bin));
    let (Some(first), Some(last)) = (
        filled.iter().position(|(bin, _)| inside(*bin)),
        filled.iter().rposition(|(bin, _)| inside(*bin)),
    ) else {
        return f64::INFINITY;
    };
    let (mut sums, mut bins) = ([0.0f64; 256], [0.0f64; 256]);
    let code = |bin: usize| {
        usize::try_from(codes.code(middle(bin)))
            .unwrap_or(0)
            .min(255)
    };
    for (bin, count) in &filled[first..=last] {
        sums[code(*bin)] += count;
        bins[code(*bin)] += 1.0;
    }
    let total: f64 = filled.iter().map(|(_, count)| count).sum();
    let left: f64 = filled[first..=last].iter().map(|(_, count)| count).sum();
    let before: f64 = filled[..first].iter().map(|(_, count)| count).sum();
    let after: f64 = filled[last + 1..].iter().map(|(_, count)| count).sum();
    let mut sum = 0.0;
    for (at, (bin, count)) in filled.iter().enumerate().take(last + 1).skip(first) {
        let moved = [(at == first, before), (at == last, after)];
        let moved: f64 = moved.iter().filter(|(here, _)| *here).map(|(_, n)| n).sum();
        let p = (count + moved) / total;
        let q = sums[code(*bin)] / bins[code(*bin)] / left;
        sum += p * (p / q).ln();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::Seen;
    use super::super::play::Noise;
    use super::*;

    /// As `tests/peers/ranges.py` makes them.
    fn elements(relu: bool) -> Vec<f32> {
        let mut noise = Noise(1);
        let elements = (0..20_000).map(|_| {
            let x = (0..4).map(|_| (noise.next() + 1.0) / 2.0).sum::<f32>() - 2.0;
            if relu { (x + 0.25).max(0.0) } else { x * x * x }
        });
        elements.collect()
    }

    #[test]
    fn ranges_are_those_of_numpy() {
        struct Case {
            name: &'static str,
            relu: bool,
            method: Method,
            /// Printed by `tests/peers/ranges.py`.
            expected: [f32; 2],
        }
        let case = |name, relu, method, expected| Case {
            name,
            relu,
            method,
            expected,
        };
        let cases = [
            case(
                "tailed, min-max",
                false,
                Method::MinMax,
                [-6.110015, 5.602302],
            ),
            case(
                "tailed, 99",
                false,
                Method::Percentile(99.0),
                [-2.115149, 2.224038],
            ),
            case(
                "tailed, 99.9",
                false,
                Method::Percentile(99.9),
                [-4.181097, 4.182988],
            ),
            case("tailed, mse", false, Method::Mse, [-5.919077, 5.427_23]),
            case(
                "tailed, entropy",
                false,
                Method::Entropy,
                [-4.582511, 4.376799],
            ),
            case("relu, min-max", true, Method::MinMax, [0.0, 2.026051]),
            case("relu, 99", true, Method::Percentile(99.0), [0.0, 1.555311]),
            case(
                "relu, 99.9",
                true,
                Method::Percentile(99.9),
                [0.0, 1.861247],
            ),
            case("relu, mse", true, Method::Mse, [0.0, 2.026051]),
            case("relu, entropy", true, Method::Entropy, [0.0, 2.026051]),
        ];
        for case in cases {
            let mut seen = Seen::default();
            seen.note("x", &[1, 20_000], &elements(case.relu));
            let seen = seen.get("x").unwrap();
            let range = case.method.range(seen);
            // A percentile is known to a bin; the others end where numpy's do.
            let near = match case.method {
                Method::Percentile(_) => seen.histogram.width(),
                _ => 1e-5,
            };
            for (found, expected) in [range.low, range.high].into_iter().zip(case.expected) {
                assert!((found - expected).abs() <= near, "{}: {range:?}", case.name);
            }
        }
    }

    #[test]
    fn ranges_hold_zero_and_no_more_than_was_seen() {
        let cases: [(&str, &[f32]); 6] = [
            ("zeros", &[0.0; 4]),
            ("one", &[3.0]),
            ("positive", &[5.0, 6.0, 7.0]),
            ("negative", &[-5.0, -6.0]),
            ("tiny", &[1e-40, -1e-42]),
            ("huge", &[3e38, -3e38]),
        ];
        for (name, elements) in cases {
            let mut seen = Seen::default();
            seen.note("x", &[1, elements.len()], elements);
            let seen = seen.get("x").unwrap();
            for method in [
                Method::MinMax,
                Method::Percentile(99.9),
                Method::Mse,
                Method::Entropy,
            ] {
                let range = method.range(seen);
                let inside = range.low >= seen.min.min(0.0) && range.high <= seen.max.max(0.0);
                assert!(
                    range.low <= 0.0 && range.high >= 0.0 && inside,
                    "{name}: {range:?}"
                );
                let codes = Codes::new(range, false);
                assert!(codes.scale.is_normal(), "{name}: {codes:?}");
            }
        }
    }
}
