//! The speech models that are known, behind one door.

use bevel_manifest::{AudioInput, Decode, Input, Task as TaskName, TranscribeSpec};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::library::Runtime;
use crate::pipeline::{Options, Timing};
use crate::session::Session;
use crate::speech::ctc::Ctc;
use crate::speech::moonshine::Moonshine;
use crate::speech::tokens::Tokens;
use crate::speech::whisper::Whisper;
use crate::speech::{SAMPLE_RATE_HZ, Segment};

/// Writes down pieces of sound.
pub(super) trait Model: Send {
    /// What is said in each piece of 16 kHz samples in −1 ..= 1, none longer than the bundle allows. Adds
    /// its time to `prepare` and `run`.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails, [`Error::Model`] when an output is not as expected.
    fn write_down(&mut self, pieces: &[&[f32]], timing: &mut Timing) -> Result<Vec<Heard>>;

    /// A first look at a piece that is not over: one try, and nothing is learnt from it.
    ///
    /// # Errors
    /// As [`write_down`](Self::write_down).
    fn draft(&mut self, piece: &[f32], timing: &mut Timing) -> Result<Heard> {
        let heard = self.write_down(&[piece], timing)?.pop();
        Ok(heard.unwrap_or_default())
    }

    /// Its graphs, what hears first.
    fn sessions(&self) -> Vec<&Session>;

    /// Forgets what it learnt from earlier pieces: another recording begins.
    fn start(&mut self) {}
}

/// What was said in one piece.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Heard {
    /// In order, none without text; times from the first sample of the piece.
    pub(super) segments: Vec<Segment>,
    /// The language, where the model found it out.
    pub(super) language: Option<String>,
}

impl Heard {
    /// The whole piece as one segment.
    pub(super) fn whole(text: String, samples: &[f32]) -> Self {
        let segment = Segment {
            start: 0.0,
            end: samples.len() as f64 / f64::from(SAMPLE_RATE_HZ),
            text,
            words: Vec::new(),
        };
        Self {
            segments: Some(segment)
                .filter(|s| !s.text.is_empty())
                .into_iter()
                .collect(),
            language: None,
        }
    }
}

/// A bundle for speech, ready to run.
pub(super) struct Opened<'b> {
    pub(super) model: Box<dyn Model>,
    /// What is to be heard; empty where neither the bundle nor the caller says.
    pub(super) language: String,
    pub(super) input: &'b AudioInput,
}

/// Opens a bundle.
///
/// # Errors
/// [`Error::Model`] for a bundle of another task; those of [`load`].
pub(super) fn open<'b>(bundle: &'b Bundle, options: &Options) -> Result<Opened<'b>> {
    let (Input::Audio(input), Decode::Transcribe(spec)) =
        (&bundle.manifest().input, &bundle.manifest().decode)
    else {
        let what = format!(
            "a model for `{}`, asked to `{}`",
            bundle.manifest().task,
            TaskName::Transcribe
        );
        return Err(Error::model(bundle.root(), what));
    };
    let language = language(spec, options)?;
    // Started here, so that the environment is set while no thread of ours runs.
    Runtime::get()?;
    let model = load(bundle, options, input, spec, &language)?;
    let found_out = language == TranscribeSpec::AUTO;
    Ok(Opened {
        model,
        language: Some(language).filter(|_| !found_out).unwrap_or_default(),
        input,
    })
}

/// Waits for the tokenizer, which is read while graphs are loaded.
pub(super) type Later<'a> = &'a mut dyn FnMut(Option<usize>) -> Result<Tokens>;

/// Loads the model that the bundle describes, to hear `language`.
///
/// # Errors
/// Those of [`Session::load`](crate::Session::load); [`Error::Model`] when graphs or tokenizer do not
/// fit; [`Error::Unsupported`] for an option that it cannot follow.
fn load(
    bundle: &Bundle,
    options: &Options,
    input: &AudioInput,
    spec: &TranscribeSpec,
    language: &str,
) -> Result<Box<dyn Model>> {
    let file = bundle.file(spec.tokenizer())?;
    std::thread::scope(|scope| {
        let mut tokens = Some(scope.spawn(|| Tokens::load(file, spec)));
        let mut tokens = |vocabulary: Option<usize>| {
            let read = tokens.take().map(|thread| thread.join());
            let tokens = match read {
                Some(Ok(tokens)) => tokens?,
                _ => return Err(Error::Internal("reading the tokenizer panicked".into())),
            };
            vocabulary.map_or(Ok(()), |size| tokens.fit(size, file.path()))?;
            Ok(tokens)
        };
        let tokens: Later<'_> = &mut tokens;
        Ok(match spec {
            TranscribeSpec::Moonshine { .. } => {
                Box::new(Moonshine::load(bundle, options, spec, tokens)?) as Box<dyn Model>
            }
            TranscribeSpec::Whisper { .. } => Box::new(Whisper::load(
                bundle, options, input, spec, language, tokens,
            )?),
            TranscribeSpec::Ctc { .. } => {
                Box::new(Ctc::load(bundle, options, input, spec, tokens)?)
            }
            _ => return Err(unknown()),
        })
    })
}

/// The language the model is to hear: the caller's, else the bundle's.
///
/// # Errors
/// [`Error::Input`] for one that the model does not know.
fn language(spec: &TranscribeSpec, options: &Options) -> Result<String> {
    let own = spec.language();
    let Some(wanted) = options.language.as_deref().filter(|l| *l != own) else {
        return Ok(own.to_string());
    };
    match spec {
        TranscribeSpec::Whisper { languages, .. }
            if languages.contains_key(wanted)
                || (wanted == TranscribeSpec::AUTO && !languages.is_empty()) =>
        {
            Ok(wanted.to_string())
        }
        TranscribeSpec::Whisper { languages, .. } if !languages.is_empty() => {
            let known: Vec<_> = languages.keys().map(String::as_str).collect();
            let (count, known) = (known.len(), known.join(", "));
            let what = format!("no language `{wanted}`; this model knows {count}: {known}");
            Err(Error::Input(what))
        }
        // The checkpoint did not say: the caller knows.
        _ if own.is_empty() => Ok(wanted.to_string()),
        _ => {
            let what = format!("no language `{wanted}`; this model knows one: {own}");
            Err(Error::Input(what))
        }
    }
}

pub(super) fn unknown() -> Error {
    Error::Unsupported("this speech model is not known here; a newer Bevel may run it".into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    pub(in crate::speech) fn whisper(languages: &[(&str, u32)]) -> TranscribeSpec {
        let languages = languages.iter().map(|(code, id)| (code.to_string(), *id));
        TranscribeSpec::Whisper {
            tokenizer: "tokenizer.json".into(),
            start_id: 1,
            end_id: 2,
            transcribe_id: Some(3),
            translate_id: None,
            no_timestamps_id: Some(4),
            previous_id: None,
            no_speech_id: None,
            margin_s: None,
            language: "en".into(),
            max_tokens: 448,
            suppress_ids: Vec::new(),
            begin_suppress_ids: Vec::new(),
            languages: BTreeMap::from_iter(languages),
        }
    }

    #[test]
    fn the_language_is_one_the_model_knows() {
        let many = whisper(&[("en", 10), ("de", 11), ("yue", 12)]);
        let one = whisper(&[]);
        struct Case {
            name: &'static str,
            spec: TranscribeSpec,
            wanted: Option<&'static str>,
            expected: Result<&'static str, &'static str>,
        }
        let cases = [
            Case {
                name: "the bundle's",
                spec: many.clone(),
                wanted: None,
                expected: Ok("en"),
            },
            Case {
                name: "another",
                spec: many.clone(),
                wanted: Some("yue"),
                expected: Ok("yue"),
            },
            Case {
                name: "none of them",
                spec: many,
                wanted: Some("xx"),
                expected: Err("no language `xx`; this model knows 3: de, en, yue"),
            },
            Case {
                name: "the only one",
                spec: one.clone(),
                wanted: Some("en"),
                expected: Ok("en"),
            },
            Case {
                name: "not the only one",
                spec: one,
                wanted: Some("de"),
                expected: Err("no language `de`; this model knows one: en"),
            },
        ];
        for case in cases {
            let options = Options {
                language: case.wanted.map(Into::into),
                ..Options::default()
            };
            let found = language(&case.spec, &options).map_err(|e| {
                assert!(matches!(e, Error::Input(_)), "{}: {e}", case.name);
                e.to_string()
            });
            let found = found.as_deref().map_err(String::as_str);
            assert_eq!(found, case.expected, "{}", case.name);
        }
    }
}
