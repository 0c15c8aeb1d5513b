use std::ops::RangeInclusive;
use std::time::Duration;

use bevel_prep::audio::SAMPLE_RATES_HZ;

use crate::error::{Error, Result};
use crate::speech::SAMPLE_RATE_HZ;

/// What a caller may choose for live speech.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LiveOptions {
    /// Rate of the samples that are pushed, 1 to 384 kHz; 16 kHz when not given.
    pub sample_rate_hz: u32,
    /// Speech starts at this probability, in 0 ..= 1; the bundle's when not given.
    pub threshold: Option<f32>,
    /// A pause of this length ends an utterance, 0.1 to 10 s; 0.5 s when not given.
    pub min_silence: Duration,
    /// After so much of a pause the text is made in advance, so that it is there when the utterance
    /// ends; 0.3 s when not given, because models hear worse with less silence behind speech. With
    /// `min_silence` or more it is made only then.
    pub advance_after: Duration,
    /// New sound between two partial texts, at least; 0.3 s when not given. `None` for no partial
    /// texts, which spares the work for them.
    pub partial_every: Option<Duration>,
    /// Sound that is kept while the model is busy, 1 s to 10 min; 20 s when not given.
    pub buffer: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            sample_rate_hz: SAMPLE_RATE_HZ,
            threshold: None,
            min_silence: Duration::from_millis(500),
            advance_after: Duration::from_millis(300),
            partial_every: Some(Duration::from_millis(300)),
            buffer: Duration::from_secs(20),
        }
    }
}

impl LiveOptions {
    /// # Errors
    /// [`Error::Input`] for what is out of range.
    pub(super) fn check(&self) -> Result<()> {
        check_rate(self.sample_rate_hz)?;
        if let Some(threshold) = self.threshold
            && !(threshold > 0.0 && threshold < 1.0)
        {
            let what = format!("threshold is {threshold}, expected more than 0 and less than 1");
            return Err(Error::Input(what));
        }
        let within = |name: &str, value: Duration, range: RangeInclusive<f64>| {
            let seconds = value.as_secs_f64();
            match range.contains(&seconds) {
                true => Ok(()),
                false => {
                    let (low, high) = range.into_inner();
                    let what = format!("{name} is {seconds} s, expected {low} to {high} s");
                    Err(Error::Input(what))
                }
            }
        };
        within("min_silence", self.min_silence, 0.1..=10.0)?;
        within("buffer", self.buffer, 1.0..=600.0)
    }
}

/// # Errors
/// [`Error::Input`] for a rate that is not one of sound.
pub(super) fn check_rate(hz: u32) -> Result<()> {
    match SAMPLE_RATES_HZ.contains(&hz) {
        true => Ok(()),
        false => {
            let (low, high) = SAMPLE_RATES_HZ.into_inner();
            let what = format!("sample rate is {hz} Hz, expected {low} to {high} Hz");
            Err(Error::Input(what))
        }
    }
}
