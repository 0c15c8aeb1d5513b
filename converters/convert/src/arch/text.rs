//! What text models keep in side files: tokenizer, labels, pooling, length.

use bevel_manifest::{
    Activation, ClassifySpec, Decode, EmbedSpec, LabelSpec, Pooling, Task, TextInput,
};
use serde_json::Value;

use crate::arch::{BundleFile, Content};
use crate::source::Source;
use crate::{Error, Options, labels};

pub(super) const TOKENIZER: &str = "tokenizer.json";

/// The shortest longest text: two special tokens and one of the text.
const MIN_TOKENS: usize = 3;

/// The tokenizer of a checkpoint, checked against the model's vocabulary: its `tokenizer.json`, or one
/// built from the files of before.
///
/// # Errors
/// [`Error::SideFile`] when the tokenizer has an id that the embedding has no row for, or its files
/// are not understood.
pub(super) fn tokenizer(source: &Source, vocab_rows: usize) -> Result<Option<BundleFile>, Error> {
    let path = source.path(TOKENIZER);
    let (tokenizer, content) = match source.json(TOKENIZER)? {
        Some(tokenizer) => (tokenizer, Content::Copy(path.clone())),
        None => match crate::tokenizer::build(source)? {
            Some(tokenizer) => {
                let text = tokenizer.to_string();
                (tokenizer, Content::Text(text))
            }
            None => return Ok(None),
        },
    };
    let wrong = |what: String| Error::SideFile {
        path: path.clone(),
        what,
    };
    let ids = largest_id(&tokenizer)
        .ok_or_else(|| wrong("no vocabulary in it; is it a tokenizer of Hugging Face?".into()))?;
    if ids >= vocab_rows as u64 {
        return Err(wrong(format!(
            "its largest token id is {ids}, but the model embeds only ids below {vocab_rows}; \
             take the tokenizer that belongs to the checkpoint"
        )));
    }
    Ok(Some(BundleFile {
        name: TOKENIZER.into(),
        content,
    }))
}

/// The task of a model that does one `job` where it has a tokenizer, and answers tensors where not.
///
/// # Errors
/// [`Error::Task`] for another job, [`Error::SideFile`] for this one without a tokenizer.
pub(super) fn task(
    family: &'static str,
    source: &Source,
    job: Task,
    options: &Options,
    has_tokenizer: bool,
) -> Result<Task, Error> {
    match options.task_of(family, &[job, Task::Tensors])? {
        Task::Tensors => Ok(Task::Tensors),
        task if has_tokenizer => Ok(task),
        task if options.wanted_task().is_some() => Err(tokenizer_missing(source, task)),
        _ => Ok(Task::Tensors),
    }
}

/// What to say when a task was asked for that needs a tokenizer.
pub(super) fn tokenizer_missing(source: &Source, task: Task) -> Error {
    Error::SideFile {
        path: source.path(TOKENIZER),
        what: format!("task `{task}` needs the tokenizer; put it beside the weights"),
    }
}

/// The note on a bundle that has no tokenizer because the checkpoint has none.
pub(super) fn without_tokenizer() -> String {
    format!("no {TOKENIZER} beside the weights: the bundle takes and answers tensors")
}

/// The largest id of `model.vocab` (an object of ids, or a list by id) and `added_tokens`.
fn largest_id(tokenizer: &Value) -> Option<u64> {
    let vocab = match tokenizer.get("model")?.get("vocab")? {
        Value::Object(ids) => ids.values().filter_map(Value::as_u64).max(),
        Value::Array(pieces) => (pieces.len() as u64).checked_sub(1),
        _ => None,
    };
    let added = tokenizer.get("added_tokens").and_then(Value::as_array);
    let added = added
        .into_iter()
        .flatten()
        .filter_map(|token| token.get("id")?.as_u64());
    vocab.into_iter().chain(added).max()
}

/// Length and padding, from sentence-transformers, then the tokenizer's configuration, then the
/// model's; never longer than the positions the model has.
pub(super) fn input(source: &Source, positions: usize, pad_id: u32) -> Result<TextInput, Error> {
    let length = |file: &str, key: &str| -> Result<Option<usize>, Error> {
        let value = source.json(file)?;
        let number = value.as_ref().and_then(|v| v.get(key)?.as_u64());
        Ok(number.and_then(|n| usize::try_from(n).ok()))
    };
    let max_tokens = match length("sentence_bert_config.json", "max_seq_length")? {
        Some(tokens) => tokens,
        None => length("tokenizer_config.json", "model_max_length")?.unwrap_or(positions),
    };
    let max_tokens = max_tokens.min(positions);
    if max_tokens < MIN_TOKENS {
        return Err(Error::SideFile {
            path: source.path("config.json"),
            what: format!(
                "leaves {max_tokens} tokens for a text ({positions} positions), expected at least \
                 {MIN_TOKENS}"
            ),
        });
    }
    Ok(TextInput {
        tokenizer: TOKENIZER.into(),
        max_tokens,
        pad_id,
    })
}

/// Pooling as sentence-transformers saved it; mean and unit length where it says nothing.
pub(super) fn pooling(source: &Source) -> Result<EmbedSpec, Error> {
    let mut spec = EmbedSpec {
        pooling: Pooling::Mean,
        normalize: true,
    };
    let Some(modules) = source.json("modules.json")? else {
        return Ok(spec);
    };
    let modules = modules.as_array().cloned().unwrap_or_default();
    let text = |module: &Value, key: &str| -> String {
        let value = module.get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    spec.normalize = false;
    for module in &modules {
        let kind = text(module, "type");
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Normalize" => spec.normalize = true,
            "Pooling" => {
                let file = format!("{}/config.json", text(module, "path"));
                if let Some(config) = source.json(&file)? {
                    spec.pooling = pooling_mode(source, &file, &config)?;
                }
            }
            // A Dense layer after pooling has weights of its own: leaving it out changes answers.
            other => {
                return Err(Error::SideFile {
                    path: source.path("modules.json"),
                    what: format!(
                        "module `{other}` is not supported; known: Transformer, Pooling, Normalize"
                    ),
                });
            }
        }
    }
    Ok(spec)
}

fn pooling_mode(source: &Source, file: &str, config: &Value) -> Result<Pooling, Error> {
    let modes: Vec<&str> = config
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| key.starts_with("pooling_mode") && **value == Value::Bool(true))
        .map(|(key, _)| key.as_str())
        .collect();
    match modes.as_slice() {
        ["pooling_mode_mean_tokens"] => Ok(Pooling::Mean),
        ["pooling_mode_cls_token"] => Ok(Pooling::Cls),
        other => Err(Error::SideFile {
            path: source.path(file),
            what: format!(
                "pooling {} is not supported; known: mean_tokens, cls_token",
                other.join(" + ")
            ),
        }),
    }
}

/// Labels in the order of the logits: the user's file, or `id2label`, or `LABEL_0` … as the
/// Hugging Face library counts them.
pub(super) fn labels(
    source: &Source,
    options: &Options,
    classes: usize,
) -> Result<BundleFile, Error> {
    if let Some(file) = labels::find(source, options, classes)? {
        return Ok(file);
    }
    let numbered: Vec<String> = (0..classes).map(|id| format!("LABEL_{id}")).collect();
    labels::from_names(&numbered, options.labels_name())
}

/// The decoding of a head of `classes` logits.
pub(super) fn decode(
    task: Task,
    source: &Source,
    options: &Options,
    classes: usize,
) -> Result<Decode, Error> {
    Ok(match task {
        Task::Embed => Decode::Embed(pooling(source)?),
        Task::Classify => Decode::Classify(ClassifySpec {
            labels: Some(options.labels_name().into()),
            activation: activation(source, classes),
            top_k: classes.min(labels::TOP_K),
        }),
        Task::Tag => Decode::Tag(LabelSpec {
            labels: options.labels_name().into(),
        }),
        Task::Answer => Decode::Answer,
        Task::Fill => Decode::Fill,
        _ => Decode::Tensors,
    })
}

fn activation(source: &Source, classes: usize) -> Activation {
    let config = source.config.as_ref();
    let problem = config.and_then(|c| c.get("problem_type")?.as_str());
    match problem {
        Some("regression") => Activation::None,
        Some("multi_label_classification") => Activation::Sigmoid,
        // One logit and nothing said: text-classification pipelines apply a sigmoid.
        _ if classes == 1 => Activation::Sigmoid,
        _ => Activation::Softmax,
    }
}
