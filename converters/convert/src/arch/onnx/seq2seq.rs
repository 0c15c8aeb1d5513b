//! Exports of an encoder and a decoder, as Optimum writes them:
//!
//! | file | graph |
//! |---|---|
//! | `encoder_model.onnx` | `encoder`: `input_features` or `input_values`, or `input_ids` → `last_hidden_state` |
//! | `decoder_model_merged.onnx` | `decoder`: with and without a past, as `use_cache_branch` says |
//! | `decoder_model.onnx` | `decoder` without a past |
//! | `decoder_with_past_model.onnx` | `decoder_with_past` |
//!
//! Names may have an ending, the same for all of them, such as `encoder_model_quantized.onnx`. Where there
//! is no merged decoder, the two others are [joined](super::joined) to one.
//!
//! Whisper and Moonshine become what they are when they are converted from weights; others answer tensors.

use std::path::{Path, PathBuf};

use bevel_manifest::{Decode, Task, TranscribeSpec};
use bevel_onnx::{Dim, Graph, Value};
use bevel_weights::Checkpoint;

use super::{NAME, joined, tidy};
use crate::arch::settings::Settings;
use crate::arch::{Built, Graphs, moonshine, whisper};
use crate::source::{ENCODER, Source};
use crate::weights::Unused;
use crate::window::takes_any_length;
use crate::{Error, Options};

/// What to do about an export without a past.
pub(super) const WITH_PAST: &str = "export with a --task that ends in -with-past, such as \
    automatic-speech-recognition-with-past, and without --monolith";

const MERGED: &str = "decoder_model_merged";
const FIRST: &str = "decoder_model";
const LATER: &str = "decoder_with_past_model";

/// The model whose encoder the checkpoint is; `None` where there is no decoder beside it.
///
/// # Errors
/// Those of opening the decoder; [`Error::Unsupported`] for speech without a key/value cache;
/// [`Error::SideFile`] when `config.json` is that of another model.
pub(super) fn build(
    encoder: &Graph,
    source: &Source,
    options: &Options,
) -> Result<Option<Built>, Error> {
    let file = |name| beside(source.checkpoint.path(), name);
    let [merged, first, later] = [MERGED, FIRST, LATER].map(file);
    let Some(main) = merged.or(first) else {
        return Ok(None);
    };
    let mut notes = Vec::new();
    let mut decoder = graph(&main, "decoder", &mut notes)?;
    if let (false, Some(later)) = (caches(&decoder), &later) {
        let later = graph(later, "decoder_with_past", &mut notes)?;
        decoder = joined::decoder(&decoder, &later).map_err(|why| Error::SideFile {
            path: main.clone(),
            what: format!("does not fit {LATER}: {why}; take both of one export"),
        })?;
        notes.push(format!("{FIRST} and {LATER} became one graph"));
    }
    let mut encoder = encoder.clone();
    tidy(
        &mut encoder,
        source.checkpoint.path(),
        "encoder",
        &mut notes,
    )?;

    let graphs = Graphs::from([("encoder", encoder), ("decoder", decoder)]);
    let mut built = Built::tensors(graphs, Unused::default());
    built.notes = notes;
    let speech = match source.model_type() {
        Some(whisper::NAME) => hear_whisper,
        Some(moonshine::NAME) => hear_moonshine,
        _ => {
            let known = [Task::Tensors];
            options.task_of(NAME, &known)?;
            return Ok(Some(built));
        }
    };
    let whole = options.wanted_task() != Some(Task::Tensors);
    if whole && !built.graphs.get("decoder").is_some_and(caches) {
        return Err(Error::Unsupported {
            family: NAME,
            what: format!(
                "{}, a decoder without a cache of keys and values,",
                main.display()
            ),
            next: WITH_PAST.into(),
        });
    }
    speech(&mut built, source, options)?;
    Ok(Some(built))
}

/// The file of another graph with the ending of the encoder's.
fn beside(encoder: &Path, name: &str) -> Option<PathBuf> {
    let ending = encoder.file_stem()?.to_str()?.strip_prefix(ENCODER)?;
    let path = encoder.with_file_name(format!("{name}{ending}.onnx"));
    path.is_file().then_some(path)
}

fn graph(path: &Path, role: &str, notes: &mut Vec<String>) -> Result<Graph, Error> {
    let checkpoint = Checkpoint::open(path)?;
    let Some(graph) = checkpoint.graph() else {
        return Err(Error::Request(format!(
            "{} is no ONNX graph",
            path.display()
        )));
    };
    let mut graph = graph.clone();
    tidy(&mut graph, path, role, notes)?;
    Ok(graph)
}

fn caches(decoder: &Graph) -> bool {
    let mut inputs = decoder.inputs.iter();
    inputs.any(|input| input.name.starts_with("past_key_values."))
}

fn hear_whisper(built: &mut Built, source: &Source, options: &Options) -> Result<(), Error> {
    let settings = Settings::read(source, whisper::NAME)?;
    let sizes = whisper::Sizes::read(&settings)?;
    let expected = [
        ("encoder", "input_features", 1, sizes.mel_bins),
        ("encoder", "input_features", 2, 2 * sizes.source_positions),
        ("decoder", "logits", 2, sizes.vocab),
    ];
    agree(built, &settings, &expected)?;
    whisper::transcribe(built, source, options, &sizes)?;
    let asked = matches!(
        built.decode,
        Decode::Transcribe(TranscribeSpec::Whisper {
            margin_s: Some(_),
            ..
        })
    );
    match asked && !takes_any_length(&built.graphs) {
        true => Err(Error::Request(
            "--set margin_s: this encoder hears its whole window only; convert the checkpoint that it was \
             exported from instead"
                .into(),
        )),
        false => Ok(()),
    }
}

fn hear_moonshine(built: &mut Built, source: &Source, options: &Options) -> Result<(), Error> {
    let settings = Settings::read(source, moonshine::NAME)?;
    let tokens = moonshine::Tokens::read(&settings)?;
    agree(built, &settings, &[("decoder", "logits", 2, tokens.vocab)])?;
    moonshine::transcribe(built, source, options, &tokens)
}

/// Sees that `config.json` is that of the graphs, by sizes of inputs and outputs: role, name, axis and
/// what it says.
fn agree(
    built: &Built,
    settings: &Settings<'_>,
    expected: &[(&str, &str, usize, usize)],
) -> Result<(), Error> {
    for &(role, name, axis, size) in expected {
        let graph = built.graphs.get(role);
        let mut values = graph
            .into_iter()
            .flat_map(|g| g.inputs.iter().chain(&g.outputs));
        let value = values.find(|value| value.name == name);
        let axis_of = |value: &'_ Value| value.dims.as_ref()?.get(axis).cloned();
        if let Some(Dim::Fixed(found)) = value.and_then(axis_of)
            && found != size
        {
            return Err(settings.wrong(format!(
                "leads to {size} for axis {axis} of `{name}`, which is {found} in the {role}; take the file \
                 that belongs to the export"
            )));
        }
    }
    Ok(())
}
