//! The speech models that are known, behind one door.

use bevel_manifest::{AudioInput, TranscribeSpec};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Timing};
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
        _ => {
            let what = format!("no language `{wanted}`; this model knows one: {own}");
            Err(Error::Input(what))
        }
    }
}

pub(super) fn unknown() -> Error {
    Error::Unsupported("this speech model is not known here; a newer Bevel may run it".into())
}
