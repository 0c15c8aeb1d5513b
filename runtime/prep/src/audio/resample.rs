use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

/// Sample rates that are taken for sound.
pub const SAMPLE_RATES_HZ: std::ops::RangeInclusive<u32> = 1_000..=384_000;

/// The shortest block of the filter at the output's rate: longer is sharper.
const MIN_BLOCK: usize = 1024;

/// A rate outside [`SAMPLE_RATES_HZ`], or a resampler that cannot be had for a pair of rates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot resample from {from_hz} Hz to {to_hz} Hz: {why}")]
pub struct RateError {
    /// Rate of the sound.
    pub from_hz: u32,
    /// Rate that was asked for.
    pub to_hz: u32,
    /// What is wrong.
    pub why: String,
}

/// One channel of sound from one rate to another, in blocks of any size.
///
/// The whole output is `ceil(samples · to / from)` long and not delayed: sample `k` is the sound at
/// `k / to` seconds. Cutting the input into other blocks changes nothing, to the bit. Frequencies
/// above the lower of the two Nyquist limits are removed (rubato 5 `Fft`, squared Blackman-Harris
/// window of at least 1024 samples at the output's rate).
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    /// `None` where the rates are equal.
    fft: Option<Fft<f32>>,
    /// Input that does not fill a block yet.
    input: Vec<f32>,
    output: Vec<f32>,
    /// Samples of the filter's delay that are still to be dropped.
    skip: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// At the start of a stream.
    ///
    /// # Errors
    /// [`RateError`] for rates outside [`SAMPLE_RATES_HZ`].
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, RateError> {
        let error = |why: String| RateError {
            from_hz,
            to_hz,
            why,
        };
        if !SAMPLE_RATES_HZ.contains(&from_hz) || !SAMPLE_RATES_HZ.contains(&to_hz) {
            let (low, high) = SAMPLE_RATES_HZ.into_inner();
            return Err(error(format!("rates are {low} to {high} Hz")));
        }
        let fft = match from_hz == to_hz {
            true => None,
            false => Some(new_fft(from_hz as usize, to_hz as usize).map_err(error)?),
        };
        let (block_in, block_out) = fft
            .as_ref()
            .map_or((0, 0), |f| (f.input_frames_max(), f.output_frames_max()));
        Ok(Self {
            from_hz,
            to_hz,
            input: Vec::with_capacity(block_in),
            output: vec![0.0; block_out],
            skip: fft.as_ref().map_or(0, |f| f.output_delay()),
            fft,
            taken: 0,
            given: 0,
        })
    }

    /// Takes samples and appends what can be had already: up to one block, plus half a filter,
    /// stays behind.
    ///
    /// # Errors
    /// [`RateError`] when the filter fails, which would be a defect of it.
    pub fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) -> Result<(), RateError> {
        self.taken += samples.len() as u64;
        let Some(block) = self.fft.as_ref().map(|f| f.input_frames_next()) else {
            self.given += samples.len() as u64;
            out.extend_from_slice(samples);
            return Ok(());
        };
        while !samples.is_empty() {
            let count = samples.len().min(block - self.input.len());
            self.input.extend_from_slice(&samples[..count]);
            samples = &samples[count..];
            if self.input.len() == block {
                self.block(u64::MAX, out)?;
            }
        }
        Ok(())
    }

    /// Ends the stream: appends what stayed behind, and is ready for the next.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), RateError> {
        let total = u128::from(self.taken) * u128::from(self.to_hz);
        let total = total.div_ceil(u128::from(self.from_hz)) as u64;
        while self.given < total {
            self.block(total, out)?;
        }
        if let Some(fft) = &mut self.fft {
            fft.reset();
            self.skip = fft.output_delay();
        }
        self.input.clear();
        (self.taken, self.given) = (0, 0);
        Ok(())
    }

    /// Filters one block, filled up with silence, and appends it up to sample `total`.
    fn block(&mut self, total: u64, out: &mut Vec<f32>) -> Result<(), RateError> {
        let Some(fft) = &mut self.fft else {
            return Ok(());
        };
        let (from_hz, to_hz) = (self.from_hz, self.to_hz);
        let error = |why: String| RateError {
            from_hz,
            to_hz,
            why,
        };
        self.input.resize(fft.input_frames_next(), 0.0);
        let (taken, given) = (self.input.len(), self.output.len());
        let input =
            InterleavedSlice::new(&self.input, 1, taken).map_err(|e| error(e.to_string()))?;
        let mut output = InterleavedSlice::new_mut(&mut self.output, 1, given)
            .map_err(|e| error(e.to_string()))?;
        let (_, given) = fft
            .process_into_buffer(&input, &mut output, Some(&Indexing::new()))
            .map_err(|e| error(e.to_string()))?;
        self.input.clear();
        let skip = self.skip.min(given);
        self.skip -= skip;
        let room = usize::try_from(total - self.given).unwrap_or(usize::MAX);
        let samples = &self.output[skip..given];
        let samples = &samples[..samples.len().min(room)];
        self.given += samples.len() as u64;
        out.extend_from_slice(samples);
        Ok(())
    }
}

fn new_fft(from: usize, to: usize) -> Result<Fft<f32>, String> {
    let divisor = gcd(from, to);
    // An even number of the smallest blocks: the filter's delay is half a block and must be whole.
    let blocks = MIN_BLOCK.div_ceil(to / divisor).next_multiple_of(2);
    Fft::new(from, to, blocks * (from / divisor), 1, FixedSync::Both).map_err(|e| e.to_string())
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
