//! Inputs that come with the program: to measure with, and to see whether a model runs at all.

use bevel::Sample;

use crate::inputs::{Asked, Item, Kind};
use crate::picture;

const SENTENCE: &str = "The quick brown fox jumps over the lazy dog near the river bank.";

const SOUND_RATE_HZ: u32 = 16_000;
const SOUND_S: f64 = 2.5;

/// One input and what it is.
pub struct BuiltIn {
    name: &'static str,
    content: Content,
}

enum Content {
    Item(Item),
    /// One channel at [`SOUND_RATE_HZ`].
    Sound(Vec<f32>),
}

impl BuiltIn {
    /// The input of a kind; `None` for tensors, which are of no kind that one would know.
    ///
    /// # Errors
    /// Of kind `Unsupported` where the build lacks the kind.
    pub fn of(kind: Kind) -> anyhow::Result<Option<Self>> {
        let item = |name, item| {
            let content = Content::Item(item);
            Some(Self { name, content })
        };
        Ok(match kind {
            Kind::Text | Kind::TextImage => {
                item("a sentence of 14 words", Item::Text(SENTENCE.into()))
            }
            Kind::Question => {
                let asked = Asked {
                    question: "What does the fox jump over?".into(),
                    context: SENTENCE.into(),
                };
                item("a question of 6 words about 14", Item::Question(asked))
            }
            Kind::Image => item("a pattern of 640×480", Item::Image(picture::pattern()?)),
            Kind::Sound => Some(Self {
                name: "vowels of 2.5 s",
                content: Content::Sound(vowels()),
            }),
            Kind::Tensors => None,
        })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The input as a pipeline takes it.
    pub fn sample(&self) -> anyhow::Result<Sample<'_>> {
        match &self.content {
            Content::Item(item) => item.sample(),
            Content::Sound(samples) => Ok(Sample::Sound(samples, SOUND_RATE_HZ)),
        }
    }
}

/// Frequency and bandwidth in Hz of a resonance of the mouth.
type Formant = (f64, f64);

/// Formants of ɑ, i, ɛ, ʌ and u as men speak them, on average (Peterson and Barney 1952).
const VOWELS: [[f64; 3]; 5] = [
    [730.0, 1090.0, 2440.0],
    [270.0, 2290.0, 3010.0],
    [530.0, 1840.0, 2480.0],
    [640.0, 1190.0, 2390.0],
    [300.0, 870.0, 2240.0],
];

/// Four syllables a second, made of pulses and resonances: enough of a voice for voice activity
/// detectors to let it through, and nobody's.
fn vowels() -> Vec<f32> {
    const BANDWIDTHS_HZ: [f64; 3] = [80.0, 100.0, 140.0];
    let rate = f64::from(SOUND_RATE_HZ);
    let syllable = SOUND_RATE_HZ as usize / 4;
    let samples = (SOUND_S * rate) as usize;
    let mut pulses = vec![0.0; samples];
    let mut phase = 0.0f64;
    for (at, pulse) in pulses.iter_mut().enumerate() {
        let pitch_hz = 120.0 + 25.0 * (0.7 * std::f64::consts::TAU * at as f64 / rate).sin();
        let before = phase;
        phase += pitch_hz / rate;
        *pulse = f64::from(u8::from(phase.floor() > before.floor()));
    }
    for (part, vowel) in pulses.chunks_mut(syllable).zip(VOWELS.iter().cycle()) {
        for formant in vowel.iter().copied().zip(BANDWIDTHS_HZ) {
            resonate(part, formant);
        }
        let length = part.len() as f64;
        for (at, value) in part.iter_mut().enumerate() {
            *value *= (std::f64::consts::PI * at as f64 / length).sin().sqrt();
        }
        let loudest = part.iter().fold(f64::EPSILON, |most, v| most.max(v.abs()));
        part.iter_mut().for_each(|value| *value *= 0.5 / loudest);
    }
    pulses.into_iter().map(|value| value as f32).collect()
}

/// A filter with two poles: `y[t] = (1 − r)·x[t] + 2·r·cos(ω)·y[t−1] − r²·y[t−2]`.
fn resonate(sound: &mut [f64], (frequency_hz, bandwidth_hz): Formant) {
    let rate = f64::from(SOUND_RATE_HZ);
    let r = (-std::f64::consts::PI * bandwidth_hz / rate).exp();
    let turn = 2.0 * r * (std::f64::consts::TAU * frequency_hz / rate).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for value in sound {
        let next = (1.0 - r) * *value + turn * last - r * r * before;
        (before, last) = (last, next);
        *value = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vowels_are_sound_in_range() {
        let sound = vowels();
        assert_eq!(sound.len(), 40_000);
        let loudest = sound.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        assert!((0.49..=0.51).contains(&loudest), "{loudest}");
    }
}
