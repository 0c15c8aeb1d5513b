//! The speech models that are known, behind one door.

use bevel_manifest::{AudioInput, TranscribeSpec};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
use crate::speech::ctc::Ctc;
use crate::speech::moonshine::Moonshine;
use crate::speech::whisper::Whisper;

/// Writes down one piece of sound at a time.
pub(super) trait Model: Send {
    /// Appends the tokens of 16 kHz samples in −1 ..= 1, not longer than the bundle allows, without
    /// those of the prompt and the end. Adds its time to `prepare` and `run`.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails, [`Error::Model`] when an output is not as expected.
    fn write_down(
        &mut self,
        samples: &[f32],
        ids: &mut Vec<u32>,
        timing: &mut Timing,
    ) -> Result<()>;

    /// How many tokens the decoder knows, where its graph says so.
    fn vocabulary(&self) -> Option<usize>;
}

/// Loads the model that the bundle describes, to hear `language`.
///
/// # Errors
/// Those of [`Session::load`](crate::Session::load); [`Error::Model`] when graphs do not fit.
pub(super) fn load(
    bundle: &Bundle,
    options: &Options,
    input: &AudioInput,
    spec: &TranscribeSpec,
    language: &str,
) -> Result<Box<dyn Model>> {
    match spec {
        TranscribeSpec::Moonshine { .. } => Ok(Box::new(Moonshine::load(bundle, options, spec)?)),
        TranscribeSpec::Whisper { .. } => Ok(Box::new(Whisper::load(
            bundle, options, input, spec, language,
        )?)),
        TranscribeSpec::Ctc { .. } => Ok(Box::new(Ctc::load(bundle, options, input, spec)?)),
        _ => Err(unknown()),
    }
}

/// The language the model is to hear: the caller's, else the bundle's.
///
/// # Errors
/// [`Error::Input`] for one that the model does not know.
pub(super) fn language(spec: &TranscribeSpec, options: &Options) -> Result<String> {
    let own = spec.language();
    let Some(wanted) = options.language.as_deref().filter(|l| *l != own) else {
        return Ok(own.to_string());
    };
    match spec {
        TranscribeSpec::Whisper { languages, .. } if languages.contains_key(wanted) => {
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
