use bevel_manifest::Interpolation;

/// One axis of a separable filter: for each output position where its taps start and their weights.
///
/// Weights sum to 1. All positions have the same number of taps; those at the border are moved
/// inside and padded with zero weights, so that the loops over them need no cases.
///
/// Reference: `Bilinear` is OpenCV 4 `INTER_LINEAR` (two taps, half-pixel centres, border
/// replicated); the antialiased filters are Pillow's, whose support widens by the factor of the
/// reduction.
#[derive(Debug, Default)]
pub(super) struct Axis {
    pub taps: usize,
    pub start: Vec<u32>,
    pub weights: Vec<f32>,
}

impl Axis {
    /// Recomputes the table for output positions `offset .. offset + count` of `source` pixels
    /// scaled to `target`; allocates only when it grows.
    pub fn plan(
        &mut self,
        filter: Interpolation,
        source: u32,
        target: u32,
        offset: u32,
        count: u32,
    ) {
        let ratio = f64::from(source) / f64::from(target);
        let (radius, widen) = match filter {
            Interpolation::Bilinear => (1.0, 1.0),
            Interpolation::BilinearAntialias => (1.0, ratio.max(1.0)),
            Interpolation::BicubicAntialias => (2.0, ratio.max(1.0)),
            Interpolation::Nearest => (0.5, 1.0),
        };
        let support = radius * widen;
        let widest = match filter {
            Interpolation::Bilinear => 2,
            Interpolation::Nearest => 1,
            _ => 2 * support.ceil() as usize + 1,
        };
        self.taps = widest.min(source as usize);
        self.start.clear();
        self.weights.clear();
        // Pillow steps from pixel to pixel for its nearest one, and where a centre lies between two the
        // rounding of these sums decides.
        let mut stepped = (0..offset).fold(0.5 * ratio, |sum, _| sum + ratio);
        for position in offset..offset + count {
            let center = match filter {
                Interpolation::Nearest => stepped,
                _ => (f64::from(position) + 0.5) * ratio,
            };
            stepped += ratio;
            let first = self.first_tap(filter, center, support, source);
            let at = self.weights.len();
            self.start.push(first);
            for tap in 0..self.taps {
                let distance = f64::from(first) + tap as f64 + 0.5 - center;
                self.weights.push(kernel(filter, distance / widen) as f32);
            }
            if filter == Interpolation::Bilinear {
                // Beyond the outermost centres OpenCV repeats the border pixel.
                clamp_border(&mut self.weights[at..], center, source);
            }
            let sum: f32 = self.weights[at..].iter().sum();
            self.weights[at..].iter_mut().for_each(|w| *w /= sum);
        }
    }

    /// Start and weights of the taps for an output position.
    pub fn at(&self, position: usize) -> (u32, &[f32]) {
        (
            self.start[position],
            &self.weights[position * self.taps..][..self.taps],
        )
    }

    /// The first source position that any tap reads.
    pub fn first(&self) -> u32 {
        self.start.first().copied().unwrap_or(0)
    }

    fn first_tap(&self, filter: Interpolation, center: f64, support: f64, source: u32) -> u32 {
        let first = match filter {
            Interpolation::Bilinear => (center - 0.5).floor(),
            Interpolation::Nearest => center.floor(),
            _ => (center - support + 0.5).floor(),
        };
        (first.max(0.0) as u32).min(source - self.taps as u32)
    }
}

fn clamp_border(weights: &mut [f32], center: f64, source: u32) {
    if weights.len() < 2 {
        weights.fill(1.0);
    } else if center <= 0.5 {
        weights.copy_from_slice(&[1.0, 0.0]);
    } else if center >= f64::from(source) - 0.5 {
        weights.copy_from_slice(&[0.0, 1.0]);
    }
}

fn kernel(filter: Interpolation, x: f64) -> f64 {
    let x = x.abs();
    match filter {
        Interpolation::Bilinear | Interpolation::BilinearAntialias => (1.0 - x).max(0.0),
        // Keys 1981 with a = -0.5.
        Interpolation::BicubicAntialias if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        Interpolation::BicubicAntialias if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        Interpolation::BicubicAntialias => 0.0,
        Interpolation::Nearest => 1.0,
    }
}

/// A sum of weighted levels as a whole level in 0 ..= 255, not a number as 0.
///
/// Written for four values at once on any processor: the comparisons are one `max` and one `min`,
/// which `clamp` is not, and since numbers around 2²³ have no fraction, adding and taking away 2²³
/// rounds to the nearest, which `round` does by a function call on x86-64 without SSE4.1.
pub(super) fn level(sum: f32) -> f32 {
    const NO_FRACTION: f32 = 8_388_608.0;
    let sum = if sum > 0.0 { sum } else { 0.0 };
    let sum = if sum < 255.0 { sum } else { 255.0 };
    (sum + NO_FRACTION) - NO_FRACTION
}

/// The rows that `y` reads, at the width that `x` gives them, in whole levels.
pub(super) fn squeeze(pixels: &[u8], width: u32, x: &Axis, y: &Axis, out: &mut Vec<u8>) {
    let last = y.start.last().map_or(0, |start| *start as usize + y.taps);
    let rows = pixels
        .chunks_exact(width as usize * 3)
        .take(last)
        .skip(y.first() as usize);
    let out_len = x.start.len() * 3;
    out.resize(rows.len() * out_len, 0);
    for (row, out) in rows.zip(out.chunks_exact_mut(out_len)) {
        for (position, pixel) in out.chunks_exact_mut(3).enumerate() {
            let (start, weights) = x.at(position);
            let taps = row[start as usize * 3..].chunks_exact(3);
            let mut sum = [0.0f32; 3];
            for (tap, weight) in taps.zip(weights) {
                sum[0] += weight * f32::from(tap[0]);
                sum[1] += weight * f32::from(tap[1]);
                sum[2] += weight * f32::from(tap[2]);
            }
            pixel.copy_from_slice(&sum.map(|s| level(s) as u8));
        }
    }
}

/// `out = Σ weights[k] · rows[k]` over whole interleaved rows: the vertical half of the filter.
pub(super) fn blend_rows(
    pixels: &[u8],
    row_len: usize,
    first: u32,
    weights: &[f32],
    out: &mut [f32],
) {
    let rows = pixels[first as usize * row_len..].chunks_exact(row_len);
    let out = &mut out[..row_len];
    if let [w0, w1] = *weights {
        let mut rows = rows;
        if let (Some(a), Some(b)) = (rows.next(), rows.next()) {
            for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                *o = w0 * f32::from(*a) + w1 * f32::from(*b);
            }
        }
        return;
    }
    out.fill(0.0);
    for (row, weight) in rows.zip(weights) {
        for (o, p) in out.iter_mut().zip(row) {
            *o += weight * f32::from(*p);
        }
    }
}
