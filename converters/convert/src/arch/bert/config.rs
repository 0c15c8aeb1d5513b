use bevel_manifest::Task;
use serde_json::Value;

use super::{HEADS, NAME};
use crate::Error;
use crate::source::Source;

/// The numbers of `config.json` that decide the graph; `BertConfig` of transformers gives defaults.
#[derive(Debug)]
pub(super) struct Config {
    /// D.
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// V, rows of the word embedding.
    pub vocab: usize,
    /// Rows of the position embedding: the longest sequence.
    pub positions: usize,
    /// Rows of the segment embedding.
    pub types: usize,
    pub norm_epsilon: f32,
    pub activation: Activation,
    pub pad_id: u32,
    architecture: Option<String>,
}

/// Non-linearity of the feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x·Φ(x) by the error function.
    Gelu,
    /// x·Φ(x) by the hyperbolic tangent.
    GeluTanh,
    Relu,
}

const ACTIVATIONS: [(&str, Activation); 5] = [
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("relu", Activation::Relu),
];

/// Beyond this a number in `config.json` is a mistake.
const MAX_SIZE: u64 = 1 << 24;

impl Config {
    pub fn read(source: &Source) -> Result<Self, Error> {
        let path = source.path("config.json");
        let wrong = |what: String| Error::SideFile {
            path: path.clone(),
            what,
        };
        let Some(config) = &source.config else {
            return Err(wrong(
                "missing; a BERT checkpoint needs it beside the weights".into(),
            ));
        };
        let size = |key: &str, default: u64| match config.get(key) {
            None | Some(Value::Null) => Ok(default as usize),
            Some(value) => match value.as_u64() {
                Some(n) if (1..=MAX_SIZE).contains(&n) => Ok(n as usize),
                _ => Err(wrong(format!(
                    "`{key}` is {value}, expected a size above 0"
                ))),
            },
        };
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        let flag = |key: &str| config.get(key) == Some(&Value::Bool(true));

        let unsupported = |what: String, next: &str| Error::Unsupported {
            family: NAME,
            what,
            next: next.into(),
        };
        if flag("is_decoder") || flag("add_cross_attention") {
            let what = "a BERT that decodes (is_decoder, add_cross_attention)";
            return Err(unsupported(what.into(), "encoders are"));
        }
        if let Some(kind) = text("position_embedding_type").filter(|kind| *kind != "absolute") {
            let what = format!("position_embedding_type `{kind}`");
            return Err(unsupported(what, "`absolute` is"));
        }
        let name = text("hidden_act").unwrap_or("gelu");
        let row = ACTIVATIONS.iter().find(|(known, _)| *known == name);
        let Some((_, activation)) = row else {
            let known: Vec<_> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
            let what = format!("hidden_act `{name}`");
            return Err(unsupported(what, &format!("known: {}", known.join(", "))));
        };
        let epsilon = config.get("layer_norm_eps").and_then(Value::as_f64);
        let architectures = config.get("architectures").and_then(Value::as_array);
        let this = Self {
            hidden: size("hidden_size", 768)?,
            layers: size("num_hidden_layers", 12)?,
            heads: size("num_attention_heads", 12)?,
            intermediate: size("intermediate_size", 3072)?,
            vocab: size("vocab_size", 30522)?,
            positions: size("max_position_embeddings", 512)?,
            types: size("type_vocab_size", 2)?,
            norm_epsilon: epsilon.unwrap_or(1e-12) as f32,
            activation: *activation,
            pad_id: config
                .get("pad_token_id")
                .and_then(Value::as_u64)
                .and_then(|id| u32::try_from(id).ok())
                .unwrap_or(0),
            architecture: architectures
                .and_then(|list| list.first()?.as_str())
                .map(str::to_owned),
        };
        if !this.hidden.is_multiple_of(this.heads) {
            return Err(wrong(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                this.hidden, this.heads
            )));
        }
        Ok(this)
    }

    /// The head that `architectures` names; none means the bare encoder.
    pub fn head(&self) -> Result<Task, Error> {
        let Some(name) = &self.architecture else {
            return Ok(Task::Embed);
        };
        let row = HEADS.iter().find(|(known, _)| known == name);
        row.map(|(_, task)| *task).ok_or_else(|| {
            let known: Vec<_> = HEADS.iter().map(|(name, _)| *name).collect();
            Error::Unsupported {
                family: NAME,
                what: format!("architecture `{name}` of config.json"),
                next: format!("known: {}; or choose a head with --task", known.join(", ")),
            }
        })
    }
}
