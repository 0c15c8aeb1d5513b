//! Whether a text can be what was said, by the rules of openai-whisper's `transcribe`.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::search::Decoded;

/// Text that zlib makes smaller than by this repeats itself.
const COMPRESSION: f32 = 2.4;
/// Mean log-probability of tokens below which a text is a guess.
const LOG_PROBABILITY: f32 = -1.0;
/// A guess at such a probability of silence is none.
const NO_SPEECH: f32 = 0.6;

/// At this one, which no speech has that was tried, it takes more to be believed: pure silence makes "you" at
/// a mean log-probability of −0.45.
const CERTAINLY_NO_SPEECH: f32 = 0.85;
const SURE: f32 = -0.25;

/// Temperatures that are tried after the likeliest tokens.
pub(super) const TEMPERATURES: [f32; 5] = [0.2, 0.4, 0.6, 0.8, 1.0];

/// What is thought of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Good,
    /// It repeats itself, is a guess, or has no end.
    Doubtful,
    /// Nobody speaks.
    Silence,
}

pub(super) fn judge(decoded: &Decoded, text: &str) -> Trust {
    let mean = decoded.mean_log_probability();
    let guess = mean < LOG_PROBABILITY;
    match decoded {
        _ if guess && decoded.no_speech > NO_SPEECH => Trust::Silence,
        _ if mean < SURE && decoded.no_speech > CERTAINLY_NO_SPEECH => Trust::Silence,
        _ if guess || !decoded.ended || repeats(text) => Trust::Doubtful,
        _ => Trust::Good,
    }
}

/// Whether a text repeats itself.
pub(super) fn repeats(text: &str) -> bool {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = zlib.write_all(text.as_bytes()).and_then(|()| zlib.finish());
    let packed = packed.map_or(usize::MAX, |packed| packed.len());
    text.len() as f32 / packed as f32 > COMPRESSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_judged() {
        struct Case {
            name: &'static str,
            text: String,
            mean: f32,
            no_speech: f32,
            ended: bool,
            expected: Trust,
        }
        let said = "And so my fellow Americans, ask not what your country can do for you.";
        let cases = [
            Case {
                name: "sure",
                text: said.into(),
                mean: -0.2,
                no_speech: 0.9,
                ended: true,
                expected: Trust::Good,
            },
            Case {
                name: "again and again",
                text: "Thank you. ".repeat(20),
                mean: -0.1,
                no_speech: 0.0,
                ended: true,
                expected: Trust::Doubtful,
            },
            Case {
                name: "a guess",
                text: said.into(),
                mean: -1.2,
                no_speech: 0.5,
                ended: true,
                expected: Trust::Doubtful,
            },
            Case {
                name: "a guess at silence",
                text: said.into(),
                mean: -1.2,
                no_speech: 0.7,
                ended: true,
                expected: Trust::Silence,
            },
            Case {
                name: "not sure where nobody speaks",
                text: "you".into(),
                mean: -0.45,
                no_speech: 0.93,
                ended: true,
                expected: Trust::Silence,
            },
            Case {
                name: "no end",
                text: said.into(),
                mean: -0.1,
                no_speech: 0.0,
                ended: false,
                expected: Trust::Doubtful,
            },
        ];
        for case in cases {
            let decoded = Decoded {
                log_probability: case.mean,
                no_speech: case.no_speech,
                ended: case.ended,
                ..Decoded::default()
            };
            assert_eq!(judge(&decoded, &case.text), case.expected, "{}", case.name);
        }
    }
}
