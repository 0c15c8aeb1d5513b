//! How much of its window Whisper has to hear.

use bevel_manifest::{Decode, Manifest, TranscribeSpec};
use bevel_onnx::Dim;

use crate::Error;
use crate::arch::Graphs;
use crate::bundle::Staging;
use crate::judge::Judge;

/// Silence that is tried behind shorter pieces instead of a full window, in seconds. With one second the
/// decoder loops.
const MARGINS_S: [f32; 3] = [2.0, 3.0, 4.0];

/// Where the encoder takes any length and the caller has not chosen, the first margin with which the variant
/// that runs by default makes no more errors on the judge's data than with the whole window. Answers what
/// people should know of it.
///
/// # Errors
/// [`Error::Judge`] when the bundle cannot be run; those of writing its manifest.
pub(crate) fn shorten(
    judge: &mut dyn Judge,
    staging: &Staging,
    graphs: &Graphs,
    manifest: &mut Manifest,
) -> Result<Option<String>, Error> {
    if !matches!(margin(manifest), Some(None)) || !takes_any_length(graphs) {
        return Ok(None);
    }
    manifest.files = staging.entries()?;
    let mut errors = |manifest: &Manifest| -> Result<Option<f64>, Error> {
        staging.write_manifest(manifest)?;
        let scored = judge.score(staging.dir(), manifest, &manifest.variant);
        Ok(scored.map_err(Error::Judge)?.map(|quality| quality.value))
    };
    let Some(whole) = errors(manifest)? else {
        return Ok(None);
    };
    for seconds in MARGINS_S {
        if let Some(margin) = margin(manifest) {
            *margin = Some(seconds);
        }
        if errors(manifest)?.is_some_and(|errors| errors <= whole) {
            return Ok(Some(format!(
                "short speech is heard with {seconds} s of silence behind it, not in the whole window: \
                 no more errors on the data (wer {whole:.4} in the whole window); --full-window runs that"
            )));
        }
    }
    if let Some(margin) = margin(manifest) {
        *margin = None;
    }
    Ok(Some(
        "short speech is heard in the whole window: less of it made more errors".into(),
    ))
}

/// Whether an encoder takes spectrograms of any length.
pub(crate) fn takes_any_length(graphs: &Graphs) -> bool {
    let inputs = graphs.get("encoder").map(|encoder| &encoder.inputs);
    let mut inputs = inputs.into_iter().flatten();
    let features = inputs.find(|input| input.name == "input_features");
    let frames = features.and_then(|features| features.dims.as_ref()?.last());
    !matches!(frames, None | Some(Dim::Fixed(_)))
}

/// The margin of a Whisper.
fn margin(manifest: &mut Manifest) -> Option<&mut Option<f32>> {
    match &mut manifest.decode {
        Decode::Transcribe(TranscribeSpec::Whisper { margin_s, .. }) => Some(margin_s),
        _ => None,
    }
}
