//! Moonshine (Jeffries et al. 2024, arXiv 2410.15608): 16 kHz waveform → encoder → decoder with
//! key/value cache, greedy. The encoder takes 1×S samples, at least 895, and answers 41.7 frames a
//! second. Both kinds of decoder are known: its makers' merged one, which is told by
//! `use_cache_branch` whether it has a past, and one that sees it from the past's length.

use bevel_manifest::TranscribeSpec;

use crate::bundle::Bundle;
use crate::decoder::Rules;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
use crate::session::Session;
use crate::speech::model::{Heard, Later, Model, unknown};
use crate::speech::seq2seq::Seq2Seq;
use crate::speech::tokens::Tokens;
use crate::speech::{SAMPLE_RATE_HZ, SpeechOptions, Timestamps};

/// Below this the encoder has no frame left after its convolutions.
const MIN_SAMPLES: usize = 895;

/// Graphs and limits, ready to run.
pub(super) struct Moonshine {
    graphs: Seq2Seq,
    tokens: Tokens,
    prompt: Vec<i64>,
    rules: Rules,
    max_tokens_per_s: f32,
    /// The caller's own limit a piece.
    max_tokens: usize,
    samples: Vec<f32>,
}

impl Moonshine {
    /// # Errors
    /// Those of [`Seq2Seq::load`].
    pub(super) fn load(
        bundle: &Bundle,
        options: &Options,
        spec: &TranscribeSpec,
        tokens: Later<'_>,
    ) -> Result<Self> {
        let TranscribeSpec::Moonshine {
            start_id,
            end_id,
            max_tokens_per_s,
            ..
        } = spec
        else {
            return Err(unknown());
        };
        follows(&options.speech)?;
        let graphs = Seq2Seq::load(bundle, options, "Moonshine", "input_values")?;
        Ok(Self {
            tokens: tokens(graphs.decoder().vocabulary())?,
            graphs,
            prompt: vec![i64::from(*start_id)],
            rules: Rules {
                end_ids: vec![*end_id],
                end_rounds: true,
                ..Rules::default()
            },
            max_tokens_per_s: *max_tokens_per_s,
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            samples: Vec::new(),
        })
    }
}

impl Moonshine {
    /// The tokens of one piece. Stops also at `ceil(seconds · max_tokens_per_s)` of them, and where they go
    /// round: more is a loop, not speech.
    fn ids(&mut self, samples: &[f32], timing: &mut Timing) -> Result<Vec<u32>> {
        let seconds = samples.len() as f32 / SAMPLE_RATE_HZ as f32;
        let limit = (seconds * self.max_tokens_per_s).ceil() as usize;
        let limit = limit.min(self.max_tokens);
        // Silence behind a piece that is too short for one frame.
        let mut values = samples;
        if samples.len() < MIN_SAMPLES {
            self.samples.clear();
            self.samples.extend_from_slice(samples);
            self.samples.resize(MIN_SAMPLES, 0.0);
            values = &self.samples;
        }
        let shape = [1, values.len()];
        let sound = (&shape[..], values);
        let search = (self.prompt.as_slice(), &self.rules);
        self.graphs.run(sound, search, limit, &mut timing.run)
    }
}

/// Refuses what Moonshine was not trained for, with what is.
fn follows(options: &SpeechOptions) -> Result<()> {
    let asked = [
        (
            options.translate,
            "translates nothing; a Whisper model of many languages does",
        ),
        (
            options.prompt.is_some(),
            "takes no prompt; a Whisper model does",
        ),
        (
            !options.hot_words.is_empty(),
            "takes no hot words; CTC and Whisper models do",
        ),
        (
            options.language_model.is_some(),
            "asks no language model; CTC models do",
        ),
        (
            options.beams.is_some_and(|beams| beams != 1),
            "takes the likeliest token at each step; leave out beams, or take a CTC or Whisper model",
        ),
        (
            options.timestamps == Timestamps::Words,
            "knows no times of words; CTC and Whisper models do",
        ),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::Unsupported(format!("Moonshine {what}"))),
        None => Ok(()),
    }
}

impl Model for Moonshine {
    fn sessions(&self) -> Vec<&Session> {
        vec![self.graphs.encoder(), self.graphs.decoder().session()]
    }

    fn write_down(&mut self, pieces: &[&[f32]], timing: &mut Timing) -> Result<Vec<Heard>> {
        let piece = |samples: &&[f32]| {
            let ids = self.ids(samples, timing)?;
            Ok(Heard::whole(self.tokens.text(&ids)?, samples))
        };
        pieces.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_it_cannot_follow_are_refused() {
        struct Case {
            name: &'static str,
            change: fn(&mut SpeechOptions),
            says: Option<&'static str>,
        }
        let cases = [
            Case {
                name: "nothing",
                change: |_| {},
                says: None,
            },
            Case {
                name: "one beam, segments",
                change: |o| {
                    o.beams = Some(1);
                    o.timestamps = Timestamps::Segments;
                },
                says: None,
            },
            Case {
                name: "beams",
                change: |o| o.beams = Some(5),
                says: Some("leave out beams"),
            },
            Case {
                name: "hot words",
                change: |o| o.hot_words.push("Bevel".into()),
                says: Some("no hot words"),
            },
            Case {
                name: "a prompt",
                change: |o| o.prompt = Some("Bevel".into()),
                says: Some("no prompt"),
            },
            Case {
                name: "translation",
                change: |o| o.translate = true,
                says: Some("translates nothing"),
            },
            Case {
                name: "a language model",
                change: |o| o.language_model = Some("x.arpa".into()),
                says: Some("no language model"),
            },
            Case {
                name: "words",
                change: |o| o.timestamps = Timestamps::Words,
                says: Some("no times of words"),
            },
        ];
        for case in cases {
            let mut options = SpeechOptions::default();
            (case.change)(&mut options);
            match (follows(&options), case.says) {
                (Ok(()), None) => {}
                (Err(Error::Unsupported(what)), Some(says)) => {
                    assert!(what.contains(says), "{}: {what}", case.name);
                }
                (found, _) => panic!("{}: {found:?}", case.name),
            }
        }
    }
}
