//! Whisper (Radford et al. 2022, arXiv 2212.04356): 16 kHz samples → log-mel spectrogram N×M×F →
//! encoder → decoder with key/value cache.
//!
//! The decoder is prompted with start, language, task and `<|notimestamps|>`, unless times are wanted; a
//! model of one language is not told language and task. It takes the likeliest tokens. A text that
//! repeats itself, is a guess or has no end is heard again: first in the whole window where a shorter one
//! was taken, then at rising temperatures. A guess where nobody seems to speak is no text. Thresholds and
//! rules are those of openai-whisper 20250625.

mod language;
mod prompt;
mod rules;
mod search;
mod segments;
mod trust;
mod words;

use std::time::Instant;

use bevel_manifest::{AudioInput, TranscribeSpec};
use bevel_prep::audio::LogMel;
use ort::value::DynValue;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
use crate::session::Session;
use crate::speech::model::{Heard, Later, Model, unknown};
use crate::speech::seq2seq::Seq2Seq;
use crate::speech::tokens::Tokens;
use crate::speech::{SAMPLE_RATE_HZ, Segment, Timestamps};
use language::Language;
use prompt::Prompt;
use rules::Rules;
use search::{Ask, Decoded, compare, decode};
use trust::{TEMPERATURES, Trust, judge};

const INPUT: &str = "input_features";
/// Sound shorter than this is not heard again when its segments end before it.
const SHORTEST_REST_S: f64 = 0.4;

/// Front end, graphs and prompt, ready to run.
pub(super) struct Whisper {
    mel: LogMel,
    graphs: Seq2Seq,
    tokens: Tokens,
    prompt: Prompt,
    language: Language,
    /// What is answered where the model knows one language.
    only_language: String,
    rules: Rules,
    no_speech_id: Option<u32>,
    timestamps: Timestamps,
    /// Longest sequence, prompt included.
    max_tokens: usize,
    /// The caller's own limit behind the prompt.
    limit: usize,
    /// Silence behind shorter pieces, in samples; without it they fill the window.
    margin: Option<usize>,
    features: Vec<f32>,
}

/// What the encoder made of some pieces.
struct Encoded {
    hidden: DynValue,
    rows: usize,
    /// Whether the whole window was heard.
    whole: bool,
}

impl Whisper {
    /// # Errors
    /// Those of [`Seq2Seq::load`]; [`Error::Model`] when spectrogram or tokens do not fit the
    /// graphs; [`Error::Unsupported`] for options that the model cannot follow.
    pub(super) fn load(
        bundle: &Bundle,
        options: &Options,
        input: &AudioInput,
        spec: &TranscribeSpec,
        language: &str,
        tokens: Later<'_>,
    ) -> Result<Self> {
        let TranscribeSpec::Whisper {
            max_tokens,
            no_speech_id,
            languages,
            margin_s,
            ..
        } = spec
        else {
            return Err(unknown());
        };
        let speech = &options.speech;
        if speech.language_model.is_some() || speech.beams.is_some_and(|beams| beams > 1) {
            let what = "Whisper takes the likeliest token at each step; beams and language models are for CTC";
            return Err(Error::Unsupported(what.into()));
        }
        let mel = input.mel.as_ref().ok_or_else(|| {
            let what = "[input] has no mel, and Whisper hears a spectrogram";
            Error::model(bundle.root(), what)
        })?;
        let graphs = Seq2Seq::load(bundle, options, "Whisper", INPUT)?;
        let tokens = tokens(graphs.decoder().vocabulary())?;
        let prompt = Prompt::new(spec, options, &tokens)?;
        let mel = LogMel::new(mel, input.sample_rate_hz);
        fit_features(graphs.encoder(), &mel)?;
        let decoder = graphs.decoder().session();
        let tells = decoder
            .outputs()
            .iter()
            .any(|o| o.name == "cross_attentions");
        if speech.timestamps == Timestamps::Words && !tells {
            let what = "the decoder does not tell where it looks (no `cross_attentions`), so words have no \
                        times; convert the weights with this version, not an export of them";
            return Err(Error::Unsupported(format!(
                "{}: {what}",
                decoder.path().display()
            )));
        }
        let language = Language::new(languages, language);
        let vocabulary = graphs.decoder().vocabulary().unwrap_or(usize::MAX);
        let steering = prompt.ids(language.get().map(|(_, id)| id));
        if let Some(id) = steering.iter().find(|id| **id as usize >= vocabulary) {
            let what = format!(
                "answers {vocabulary} tokens, but [decode] prompts with token {id}; they belong to \
                 different models"
            );
            return Err(Error::model(decoder.path(), what));
        }
        let any_length = graphs
            .encoder()
            .inputs()
            .iter()
            .any(|i| i.name == INPUT && i.shape.last() == Some(&None));
        let margin = margin_s.filter(|_| any_length && !speech.full_window);
        Ok(Self {
            margin: margin.map(|seconds| (seconds * SAMPLE_RATE_HZ as f32) as usize),
            rules: Rules::new(spec, speech.timestamps == Timestamps::Segments),
            timestamps: speech.timestamps,
            no_speech_id: *no_speech_id,
            max_tokens: *max_tokens,
            limit: options.max_tokens.unwrap_or(usize::MAX),
            only_language: spec.language().to_owned(),
            features: Vec::new(),
            mel,
            graphs,
            tokens,
            prompt,
            language,
        })
    }

    /// Encodes pieces together; in the `whole` window, or the longest of them and the margin.
    fn encode(&mut self, pieces: &[&[f32]], whole: bool, timing: &mut Timing) -> Result<Encoded> {
        let start = Instant::now();
        let longest = pieces
            .iter()
            .map(|piece| piece.len())
            .max()
            .unwrap_or_default();
        let window = self.mel.frames(longest);
        let frames = match self.margin.filter(|_| !whole) {
            Some(margin) => self.mel.frames_of(longest + margin).min(window),
            None => window,
        };
        self.features.clear();
        for piece in pieces {
            self.mel.append(piece, frames, &mut self.features);
        }
        timing.prepare += start.elapsed();
        let shape = [pieces.len(), self.mel.bins(), frames];
        let hidden = self
            .graphs
            .encode(&shape, &self.features, &mut timing.run)?;
        Ok(Encoded {
            hidden,
            rows: pieces.len(),
            whole: frames == window,
        })
    }

    /// The tokens of pieces that were encoded together, each with its text, at a temperature.
    fn decode(
        &mut self,
        encoded: &Encoded,
        temperature: f32,
        timing: &mut Timing,
    ) -> Result<Vec<(Decoded, String)>> {
        let prompt = self.prompt.ids(self.language.get().map(|(_, id)| id));
        let room = self.max_tokens.saturating_sub(prompt.len());
        let ask = Ask {
            prompt: &prompt,
            start: self.prompt.start(),
            no_speech: self.no_speech_id,
            rules: &self.rules,
            temperature,
            limit: self.limit.min(room),
            attention: self.timestamps == Timestamps::Words,
        };
        let decoder = self.graphs.decoder_mut();
        let found = decode(
            decoder,
            &encoded.hidden,
            encoded.rows,
            &ask,
            &mut timing.run,
        )?;
        let with_text = |mut decoded: Decoded| {
            // What the caller cut off is not without end.
            decoded.ended |= decoded.ids.len() >= self.limit;
            let text = self.tokens.text(self.spoken(&decoded.ids).as_slice())?;
            Ok((decoded, text))
        };
        found.into_iter().map(with_text).collect()
    }

    /// Tokens without those of time.
    fn spoken(&self, ids: &[u32]) -> Vec<u32> {
        let from = self.rules.times_from().unwrap_or(u32::MAX);
        ids.iter().copied().filter(|id| *id < from).collect()
    }

    /// Weighs what language the pieces are in, where that is open.
    fn listen(&mut self, encoded: &Encoded, pieces: &[&[f32]], timing: &mut Timing) -> Result<()> {
        let Some(ids) = self.language.open() else {
            return Ok(());
        };
        let opening = self.prompt.opening();
        let decoder = self.graphs.decoder_mut();
        let (hidden, rows) = (&encoded.hidden, encoded.rows);
        let found = compare(decoder, hidden, rows, &opening, &ids, &mut timing.run)?;
        for (log_probabilities, piece) in found.iter().zip(pieces) {
            self.language
                .weigh(log_probabilities, seconds(piece) as f32);
        }
        Ok(())
    }

    /// What is said in pieces that are heard together; what is doubtful is heard again by itself.
    fn hear(&mut self, pieces: &[&[f32]], timing: &mut Timing) -> Result<Vec<(Decoded, String)>> {
        let encoded = self.encode(pieces, false, timing)?;
        self.listen(&encoded, pieces, timing)?;
        let mut found = self.decode(&encoded, 0.0, timing)?;
        for (found, piece) in found.iter_mut().zip(pieces) {
            match judge(&found.0, &found.1) {
                Trust::Good => {}
                Trust::Silence => *found = (Decoded::default(), String::new()),
                Trust::Doubtful => {
                    *found = self.hear_again(piece, found.clone(), &encoded, timing)?;
                }
            }
        }
        Ok(found)
    }

    /// Another try at a piece whose text is doubtful: the first good one, else the likeliest of those that
    /// do not repeat themselves; none where all do. `before` is what was heard first, which serves again
    /// where it is this piece alone in the whole window.
    fn hear_again(
        &mut self,
        piece: &[f32],
        first: (Decoded, String),
        before: &Encoded,
        timing: &mut Timing,
    ) -> Result<(Decoded, String)> {
        let mut tries = vec![first];
        let alone;
        let encoded = match before.whole && before.rows == 1 {
            true => before,
            false => {
                alone = self.encode(&[piece], true, timing)?;
                &alone
            }
        };
        // The likeliest tokens of the whole window are known where that was heard.
        let likeliest = (!before.whole).then_some(0.0);
        for temperature in likeliest.into_iter().chain(TEMPERATURES) {
            let Some(found) = self.decode(encoded, temperature, timing)?.pop() else {
                break;
            };
            match judge(&found.0, &found.1) {
                Trust::Good => return Ok(found),
                Trust::Silence => return Ok((Decoded::default(), String::new())),
                Trust::Doubtful => tries.push(found),
            }
        }
        tries.retain(|(decoded, text)| decoded.ended && !trust::repeats(text));
        let mean = |(decoded, _): &(Decoded, String)| decoded.mean_log_probability();
        let best = tries.into_iter().max_by(|a, b| mean(a).total_cmp(&mean(b)));
        Ok(best.unwrap_or_default())
    }

    /// The segments of a piece whose times the model writes; windows follow each other until all of it is
    /// written down.
    fn segments(&mut self, piece: &[f32], timing: &mut Timing) -> Result<Vec<Segment>> {
        let mut segments = Vec::new();
        let mut rest = piece;
        let mut offset = 0.0;
        let from = self.rules.times_from().unwrap_or(u32::MAX);
        while seconds(rest) >= SHORTEST_REST_S || (offset == 0.0 && !rest.is_empty()) {
            let window = &rest[..rest.len().min(self.mel.samples())];
            let Some((decoded, _)) = self.hear(&[window], timing)?.pop() else {
                break;
            };
            if decoded.ids.is_empty() {
                break;
            }
            let (stretches, done_s) = segments::stretches(&decoded.ids, from, seconds(window));
            for stretch in stretches {
                let [start, end] = stretch.tokens;
                let text = self.tokens.text(&self.spoken(&decoded.ids[start..end]))?;
                if !text.is_empty() {
                    segments.push(Segment {
                        start: offset + stretch.start,
                        end: offset + stretch.end,
                        text,
                        words: Vec::new(),
                    });
                }
            }
            let done = (done_s * f64::from(SAMPLE_RATE_HZ)) as usize;
            if done == 0 {
                break;
            }
            offset += done_s;
            rest = rest.get(done..).unwrap_or_default();
        }
        Ok(segments)
    }

    fn heard(&self, segments: Vec<Segment>) -> Heard {
        let language = self.language.get().map(|(code, _)| code.to_owned());
        Heard {
            segments,
            language: Some(language.unwrap_or_else(|| self.only_language.clone())),
        }
    }
}

fn seconds(samples: &[f32]) -> f64 {
    samples.len() as f64 / f64::from(SAMPLE_RATE_HZ)
}

/// Sees that the encoder takes as many bins and frames as the front end makes.
fn fit_features(encoder: &Session, mel: &LogMel) -> Result<()> {
    let made = [1, mel.bins(), mel.frames(0)];
    let input = encoder.inputs().iter().find(|i| i.name == INPUT);
    let Some(input) = input else {
        return Ok(());
    };
    let fits = |(axis, made): (&Option<usize>, usize)| axis.is_none_or(|size| size == made);
    if input.shape.len() == made.len() && input.shape.iter().zip(made).all(fits) {
        return Ok(());
    }
    let what = format!(
        "input `{INPUT}` is {}, [input] mel makes {made:?}; correct bins and frames",
        input.shape_text()
    );
    Err(Error::model(encoder.path(), what))
}

impl Model for Whisper {
    fn start(&mut self) {
        self.language.reset();
    }

    fn draft(&mut self, piece: &[f32], timing: &mut Timing) -> Result<Heard> {
        let language = self.language.clone();
        let encoded = self.encode(&[piece], false, timing)?;
        self.listen(&encoded, &[piece], timing)?;
        let found = self.decode(&encoded, 0.0, timing);
        let text = found?.pop().filter(|(decoded, text)| {
            judge(decoded, text) != Trust::Silence && !trust::repeats(text)
        });
        let text = text.map(|(_, text)| text).unwrap_or_default();
        let heard = self.heard(Heard::whole(text, piece).segments);
        self.language = language;
        Ok(heard)
    }

    fn sessions(&self) -> Vec<&Session> {
        vec![self.graphs.encoder(), self.graphs.decoder().session()]
    }

    fn write_down(&mut self, pieces: &[&[f32]], timing: &mut Timing) -> Result<Vec<Heard>> {
        if self.timestamps == Timestamps::Segments {
            let piece = |piece: &&[f32]| {
                let segments = self.segments(piece, timing)?;
                Ok(self.heard(segments))
            };
            return pieces.iter().map(piece).collect();
        }
        let found = self.hear(pieces, timing)?;
        let with_words = |((decoded, text), piece): ((Decoded, String), &&[f32])| {
            let mut heard = Heard::whole(text, piece);
            if self.timestamps == Timestamps::Words
                && let Some(segment) = heard.segments.first_mut()
            {
                let language = self.language.get().map_or("", |(code, _)| code);
                segment.words = words::words(&decoded, &self.tokens, language, seconds(piece))?;
            }
            Ok(self.heard(heard.segments))
        };
        found.into_iter().zip(pieces).map(with_words).collect()
    }
}

#[cfg(test)]
mod tests;
