/// Triangular filters over the bins of a power spectrum, their peaks evenly apart on Slaney's mel
/// scale.
///
/// Reference: Slaney, Auditory Toolbox 2 (1998), as librosa and transformers build it with
/// `norm="slaney"`: each filter's area in Hz is the same.
#[derive(Debug, Clone)]
pub(super) struct MelFilters {
    /// First bin of each filter, and where its weights begin in `weights`.
    rows: Vec<(usize, usize)>,
    weights: Vec<f32>,
}

/// Up to here the scale is linear, above it logarithmic.
const LINEAR_HZ: f64 = 1000.0;
const HZ_PER_MEL: f64 = 200.0 / 3.0;
/// Mels by which the frequency grows 6.4 times.
const LOG_MELS: f64 = 27.0;
const LOG_FACTOR: f64 = 6.4;

impl MelFilters {
    /// `count` filters from 0 Hz to half of `sample_rate_hz`, for the spectrum of a transform over
    /// `window` samples: `window / 2 + 1` bins.
    pub(super) fn new(count: usize, window: usize, sample_rate_hz: f64) -> Self {
        let top = mel(sample_rate_hz / 2.0);
        let edge = |i: usize| hz(top * i as f64 / (count + 1) as f64);
        let mut filters = Self {
            rows: Vec::with_capacity(count),
            weights: Vec::new(),
        };
        for i in 0..count {
            let (low, peak, high) = (edge(i), edge(i + 1), edge(i + 2));
            let height = 2.0 / (high - low);
            let mut first = 0;
            let begin = filters.weights.len();
            for bin in 0..=window / 2 {
                let at = sample_rate_hz * bin as f64 / window as f64;
                let weight = ((at - low) / (peak - low)).min((high - at) / (high - peak));
                if weight <= 0.0 {
                    continue;
                }
                if filters.weights.len() == begin {
                    first = bin;
                }
                filters.weights.push((weight * height) as f32);
            }
            filters.rows.push((first, begin));
        }
        filters
    }

    /// Energy of each filter: weighted sums over `power`, one value a bin of the spectrum.
    pub(super) fn energies<'a>(&'a self, power: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let ends = self.rows.iter().skip(1).map(|(_, begin)| *begin);
        let ends = ends.chain(std::iter::once(self.weights.len()));
        self.rows.iter().zip(ends).map(|(&(first, begin), end)| {
            let weights = self.weights[begin..end].iter();
            weights.zip(&power[first..]).map(|(w, p)| w * p).sum()
        })
    }
}

fn mel(hz: f64) -> f64 {
    match hz < LINEAR_HZ {
        true => hz / HZ_PER_MEL,
        false => LINEAR_HZ / HZ_PER_MEL + (hz / LINEAR_HZ).ln() * LOG_MELS / LOG_FACTOR.ln(),
    }
}

fn hz(mel: f64) -> f64 {
    let linear = LINEAR_HZ / HZ_PER_MEL;
    match mel < linear {
        true => mel * HZ_PER_MEL,
        false => LINEAR_HZ * ((mel - linear) * LOG_FACTOR.ln() / LOG_MELS).exp(),
    }
}
