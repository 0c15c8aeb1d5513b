//! What the values of a graph were while it ran on calibration data.

use std::collections::HashMap;

use bevel_onnx::{DType, Graph, Value};

/// More channels than this are not told apart: it is the vocabulary, or a picture in one row.
const MAX_CHANNELS: usize = 1 << 16;

/// Values by name.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    values: HashMap<String, Observed>,
}

/// One value over all runs.
#[derive(Debug)]
pub(crate) struct Observed {
    pub min: f32,
    pub max: f32,
    /// How many elements are not finite; such a value is not quantised.
    pub not_finite: u64,
    /// How large the elements are.
    pub histogram: Histogram,
    /// By index of the second axis: the channels of pictures and sound. `None` when their number
    /// changed.
    pub channels: Option<Channels>,
    /// By index of the last axis: the features that a `MatMul` reads.
    pub features: Option<Channels>,
}

/// Figures by index of one axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Channels {
    /// Largest magnitude.
    pub largest: Vec<f32>,
    /// Mean.
    pub mean: Vec<f64>,
    /// Elements of each.
    count: u64,
}

/// Counts of elements in [`Histogram::BINS`] bins of equal width over −reach .. reach. The reach is a
/// power of two, and doubles when an element lies outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram {
    pub reach: f32,
    pub counts: Vec<u64>,
}

impl Seen {
    /// Takes note of a value in one run.
    pub fn note(&mut self, name: &str, dims: &[usize], elements: &[f32]) {
        if elements.is_empty() {
            return;
        }
        let known = self.values.get_mut(name);
        let first = known.is_none();
        let observed = match known {
            Some(observed) => observed,
            None => self
                .values
                .entry(name.to_owned())
                .or_insert_with(Observed::nothing),
        };
        observed.note(elements);
        let axis = |at: Option<usize>| at.and_then(|at| Channels::of(dims, at, elements));
        let last = dims.len().checked_sub(1);
        join(
            &mut observed.channels,
            axis((dims.len() > 1).then_some(1)),
            first,
        );
        join(&mut observed.features, axis(last), first);
    }

    pub fn get(&self, name: &str) -> Option<&Observed> {
        self.values.get(name)
    }
}

/// The graph with these values among its outputs, so that whoever runs it sees them.
pub(crate) fn tapped<'v>(graph: &Graph, values: impl IntoIterator<Item = &'v str>) -> Graph {
    let mut tapped = graph.clone();
    for name in values {
        if tapped.outputs.iter().all(|output| output.name != name) {
            tapped.outputs.push(Value {
                name: name.to_owned(),
                dtype: DType::F32,
                dims: None,
            });
        }
    }
    tapped
}

fn join(known: &mut Option<Channels>, new: Option<Channels>, first: bool) {
    match (known.as_mut(), new) {
        (Some(known), Some(new)) if known.largest.len() == new.largest.len() => known.add(&new),
        (None, new) if first => *known = new,
        _ => *known = None,
    }
}

impl Observed {
    fn nothing() -> Self {
        Self {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            not_finite: 0,
            histogram: Histogram::new(),
            channels: None,
            features: None,
        }
    }

    fn note(&mut self, elements: &[f32]) {
        let (mut min, mut max, mut finite) = (self.min, self.max, 0u64);
        for x in elements.iter().filter(|x| x.is_finite()) {
            min = min.min(*x);
            max = max.max(*x);
            finite += 1;
        }
        (self.min, self.max) = (min, max);
        self.not_finite += elements.len() as u64 - finite;
        self.histogram.add(elements);
    }
}

impl Channels {
    fn of(dims: &[usize], axis: usize, elements: &[f32]) -> Option<Self> {
        let count = *dims.get(axis)?;
        if count == 0 || count > MAX_CHANNELS {
            return None;
        }
        let inner: usize = dims[axis + 1..].iter().product();
        let mut largest = vec![0.0f32; count];
        let mut sum = vec![0.0f64; count];
        if inner == 1 {
            for row in elements.chunks_exact(count) {
                for ((largest, sum), x) in largest.iter_mut().zip(&mut sum).zip(row) {
                    *largest = largest.max(x.abs());
                    *sum += f64::from(*x);
                }
            }
        } else {
            for (i, run) in elements.chunks_exact(inner.max(1)).enumerate() {
                let channel = i % count;
                let most = run.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                largest[channel] = largest[channel].max(most);
                sum[channel] += run.iter().map(|x| f64::from(*x)).sum::<f64>();
            }
        }
        let each = (elements.len() / count).max(1) as u64;
        Some(Self {
            largest,
            mean: sum.into_iter().map(|sum| sum / each as f64).collect(),
            count: each,
        })
    }

    fn add(&mut self, other: &Self) {
        let all = (self.count + other.count).max(1) as f64;
        let (own, new) = (self.count as f64 / all, other.count as f64 / all);
        for (mean, more) in self.mean.iter_mut().zip(&other.mean) {
            *mean = *mean * own + more * new;
        }
        for (largest, more) in self.largest.iter_mut().zip(&other.largest) {
            *largest = largest.max(*more);
        }
        self.count += other.count;
    }
}

impl Histogram {
    /// Bins; zero is the edge between the two in the middle.
    pub const BINS: usize = 4096;

    fn new() -> Self {
        Self {
            reach: 0.0,
            counts: vec![0; Self::BINS],
        }
    }

    fn add(&mut self, elements: &[f32]) {
        let finite = || elements.iter().filter(|x| x.is_finite());
        let most = finite().fold(0.0f32, |m, x| m.max(x.abs()));
        self.widen(most);
        let half = (Self::BINS / 2) as f32;
        // All are zero.
        let per_unit = if self.reach > 0.0 {
            half / self.reach
        } else {
            0.0
        };
        for x in finite() {
            let bin = (x * per_unit + half) as usize;
            self.counts[bin.min(Self::BINS - 1)] += 1;
        }
    }

    /// Reaches as far as `most`.
    fn widen(&mut self, most: f32) {
        if self.reach == 0.0 && most > 0.0 {
            // What was counted until now was zero and stays in the middle.
            self.reach = most.max(f32::MIN_POSITIVE).log2().ceil().exp2();
        }
        while self.reach < most && self.reach.is_finite() {
            self.reach *= 2.0;
            let quarter = Self::BINS / 4;
            let mut wider = vec![0; Self::BINS];
            for (i, pair) in self.counts.chunks_exact(2).enumerate() {
                wider[quarter + i] = pair[0] + pair[1];
            }
            self.counts = wider;
        }
    }

    /// Width of a bin.
    pub fn width(&self) -> f32 {
        2.0 * self.reach / Self::BINS as f32
    }

    /// The lower edge of a bin.
    pub fn edge(&self, bin: usize) -> f32 {
        (bin as f32 - (Self::BINS / 2) as f32) * self.width()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_add_up() {
        let mut seen = Seen::default();
        seen.note("x", &[1, 2, 2], &[1.0, -2.0, 3.0, 4.0]);
        seen.note("x", &[2, 2, 1], &[0.0, 5.0, f32::INFINITY, -7.0]);
        let x = seen.get("x").unwrap();
        assert_eq!((x.min, x.max, x.not_finite), (-7.0, 5.0, 1));
        assert_eq!(x.histogram.counts.iter().sum::<u64>(), 7);
        assert_eq!(x.histogram.reach, 8.0);
        let channels = x.channels.as_ref().unwrap();
        assert_eq!(channels.largest, [f32::INFINITY, 7.0]);
        // (3 + 4 + 5 − 7) / 4
        assert_eq!(channels.mean[1], 1.25);
        // The last axis was 2 wide, then 1.
        assert_eq!(x.features, None);
    }

    #[test]
    fn a_histogram_keeps_its_counts_when_it_widens() {
        let mut histogram = Histogram::new();
        histogram.add(&[0.0; 3]);
        histogram.add(&[0.5, -0.5, 0.25]);
        let before = histogram.clone();
        histogram.add(&[3.9, -100.0]);
        assert_eq!((before.reach, histogram.reach), (0.5, 128.0));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 8);
        for (x, expected) in [(-100.0, 1), (3.9, 1), (0.0, 3), (0.25, 1)] {
            let at = (0..Histogram::BINS)
                .rfind(|bin| histogram.edge(*bin) <= x)
                .unwrap();
            assert_eq!(histogram.counts[at], expected, "{x}");
        }
    }
}
