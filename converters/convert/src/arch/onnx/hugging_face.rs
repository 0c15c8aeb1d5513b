//! Exports of Hugging Face models, as Optimum writes them: `config.json` and `tokenizer.json` lie
//! beside the graph, or around the folder `onnx` that it is in.
//!
//! Known are the heads of text encoders and classifiers of pictures. Others answer tensors.

use bevel_manifest::{
    Activation, ChannelOrder, ClassifySpec, Decode, ImageInput, Input, Interpolation, Resize, Task,
};
use bevel_onnx::Graph;
use serde_json::Value;

use super::seq2seq::WITH_PAST;
use super::{Job, NAME, fixed};
use crate::arch::{heads, image, text};
use crate::source::Source;
use crate::{Error, Options, labels};

/// Relatives of RoBERTa count positions from behind the id that fills a text.
const FROM_PADDING: [&str; 4] = ["camembert", "mpnet", "roberta", "xlm-roberta"];

/// What `config.json` says that the graph is for; `None` where it says nothing that is known.
pub(super) fn job(graph: &Graph, source: &Source, options: &Options) -> Result<Option<Job>, Error> {
    let class = source
        .config
        .as_ref()
        .and_then(|config| config.get("architectures")?.get(0)?.as_str());
    let Some(class) = class else {
        return Ok(None);
    };
    let has = |name: &str| graph.inputs.iter().any(|input| input.name == name);
    if has("decoder_input_ids") {
        let what = "an encoder and a decoder in one graph, without a cache of keys and values,";
        return match options.wanted_task() {
            Some(_) => Err(Error::Unsupported {
                family: NAME,
                what: what.into(),
                next: WITH_PAST.into(),
            }),
            None => Ok(Some(Job::tensors(Some(format!(
                "{what} takes and answers tensors; {WITH_PAST}"
            ))))),
        };
    }
    if class.ends_with("ForImageClassification") && has("pixel_values") {
        return pictures(graph, source, options).map(Some);
    }
    let head = heads::HEADS.iter().find(|(end, ..)| class.ends_with(end));
    match head {
        Some((_, _, task)) if has("input_ids") => texts(*task, graph, source, options),
        _ => Ok(None),
    }
}

fn number(source: &Source, key: &str) -> Option<usize> {
    let config = source.config.as_ref()?;
    usize::try_from(config.get(key)?.as_u64()?).ok()
}

/// The width of the last output axis, or as many classes as `config.json` names.
fn classes(graph: &Graph, source: &Source) -> Option<usize> {
    let axes = graph.outputs.first()?.dims.as_ref()?.len();
    let named = || {
        let labels = source.config.as_ref()?.get("id2label")?.as_object()?;
        Some(labels.len())
    };
    fixed(graph, 0, axes.checked_sub(1)?)
        .or_else(named)
        .or_else(|| number(source, "num_labels"))
}

fn texts(
    task: Task,
    graph: &Graph,
    source: &Source,
    options: &Options,
) -> Result<Option<Job>, Error> {
    let rows = number(source, "vocab_size").unwrap_or(usize::MAX);
    let Some(tokenizer) = text::tokenizer(source, rows)? else {
        return match options.wanted_task() {
            Some(asked) => Err(text::tokenizer_missing(source, asked)),
            None => Ok(Some(Job::tensors(Some(text::without_tokenizer())))),
        };
    };
    let pad_id = number(source, "pad_token_id").and_then(|id| u32::try_from(id).ok());
    let pad_id = pad_id.unwrap_or(0);
    let mut positions = number(source, "max_position_embeddings").unwrap_or(512);
    if source
        .model_type()
        .is_some_and(|kind| FROM_PADDING.contains(&kind))
    {
        positions = positions.saturating_sub(pad_id as usize + 1);
    }
    let classes = classes(graph, source).unwrap_or(1);
    let mut files = vec![tokenizer];
    if matches!(task, Task::Classify | Task::Tag) {
        files.push(text::labels(source, options, classes)?);
    }
    Ok(Some(Job {
        task,
        input: Input::Text(text::input(source, positions, pad_id)?),
        decode: text::decode(task, source, options, classes)?,
        files,
        notes: Vec::new(),
    }))
}

fn pictures(graph: &Graph, source: &Source, options: &Options) -> Result<Job, Error> {
    let side = number(source, "image_size").unwrap_or(224);
    let usual = ImageInput {
        width: side as u32,
        height: side as u32,
        resize: Resize::Stretch,
        interpolation: Interpolation::BilinearAntialias,
        channels: ChannelOrder::Rgb,
        scale: 1.0 / 255.0,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    let input = image::input(source, Some(side), usual)?;
    let classes = classes(graph, source).unwrap_or(1);
    let problem = source
        .config
        .as_ref()
        .and_then(|c| c.get("problem_type"))
        .and_then(Value::as_str);
    Ok(Job {
        task: Task::Classify,
        input: Input::Image(input),
        decode: Decode::Classify(ClassifySpec {
            labels: Some(options.labels_name().into()),
            activation: match problem {
                Some("multi_label_classification") => Activation::Sigmoid,
                _ => Activation::Softmax,
            },
            top_k: classes.min(labels::TOP_K),
        }),
        files: vec![text::labels(source, options, classes)?],
        notes: Vec::new(),
    })
}
