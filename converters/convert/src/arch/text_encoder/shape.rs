use super::{Layout, Positions, Projection, Types};
use crate::Error;
use crate::arch::layers::Activation;
use crate::arch::settings::Settings;

/// What a family calls its numbers in `config.json`, and what stands for one that is missing.
pub(in crate::arch) struct Keys {
    pub hidden: (&'static str, usize),
    /// Width of the embeddings, where it is a number of its own.
    pub embedding: Option<(&'static str, usize)>,
    pub layers: (&'static str, usize),
    pub heads: (&'static str, usize),
    pub inner: (&'static str, usize),
    pub vocab: (&'static str, usize),
    pub positions: (&'static str, usize),
    pub types: (&'static str, usize),
    pub activation: (&'static str, Activation),
    pub norm_epsilon: (&'static str, f64),
    pub pad_id: u32,
}

/// Keys of `BertConfig` of transformers 5.23.
pub(in crate::arch) const BERT_KEYS: Keys = Keys {
    hidden: ("hidden_size", 768),
    embedding: None,
    layers: ("num_hidden_layers", 12),
    heads: ("num_attention_heads", 12),
    inner: ("intermediate_size", 3072),
    vocab: ("vocab_size", 30522),
    positions: ("max_position_embeddings", 512),
    types: ("type_vocab_size", 2),
    activation: ("hidden_act", Activation::Gelu),
    norm_epsilon: ("layer_norm_eps", 1e-12),
    pad_id: 0,
};

/// The numbers of one checkpoint.
pub(in crate::arch) struct Shape {
    /// D.
    pub hidden: usize,
    /// E, width of the embeddings.
    pub embedding: usize,
    /// H.
    pub heads: usize,
    /// Names of the layers below the encoder, in the order in which they run.
    pub layers: Vec<String>,
    /// Width of the feed-forward layer.
    pub inner: usize,
    /// V, rows of the word embedding.
    pub vocab: usize,
    /// Rows of the position embedding.
    pub positions: usize,
    /// Rows of the segment embedding.
    pub types: usize,
    pub activation: Activation,
    pub norm_epsilon: f32,
    pub pad_id: u32,
    /// Whether the masked LM's table is the word embedding.
    pub tied: bool,
}

impl Shape {
    pub fn read(settings: &Settings<'_>, layout: &Layout) -> Result<Self, Error> {
        if settings.flag("is_decoder", false) || settings.flag("add_cross_attention", false) {
            let what = "an encoder made to decode (is_decoder, add_cross_attention)";
            return Err(settings.unsupported(what, "plain encoders are"));
        }
        let kind = settings.text("position_embedding_type");
        if let Some(kind) = kind.filter(|kind| *kind != "absolute") {
            let what = format!("position_embedding_type `{kind}`");
            return Err(settings.unsupported(what, "`absolute` is"));
        }
        let keys = &layout.keys;
        let size = |(key, default)| settings.size(key, default);
        let hidden = size(keys.hidden)?;
        let heads = size(keys.heads)?;
        settings.head_width(hidden, heads)?;
        let layers = settings.layers(keys.layers.0, keys.layers.1)?;
        Ok(Self {
            hidden,
            embedding: keys.embedding.map_or(Ok(hidden), size)?,
            heads,
            layers: layout.layers.list(settings, layers)?,
            inner: size(keys.inner)?,
            vocab: size(keys.vocab)?,
            positions: size(keys.positions)?,
            types: match layout.types {
                Types::None => 0,
                Types::Input | Types::First => size(keys.types)?,
            },
            activation: settings.activation(keys.activation.0, keys.activation.1)?,
            norm_epsilon: settings.number(keys.norm_epsilon.0, keys.norm_epsilon.1)? as f32,
            pad_id: match layout.positions {
                Positions::AfterPad(Some(id)) => id,
                _ => settings.id("pad_token_id").unwrap_or(keys.pad_id),
            },
            tied: settings.flag("tie_word_embeddings", true),
        })
    }

    /// The Linear from embeddings to the first layer, if there is one.
    pub fn projection(&self, layout: &Layout) -> Option<&'static str> {
        match layout.projection {
            Projection::Always(name) => Some(name),
            Projection::WhereSizesDiffer(name) => (self.embedding != self.hidden).then_some(name),
            Projection::None => None,
        }
    }

    /// The longest text in tokens.
    pub fn max_tokens(&self, layout: &Layout) -> usize {
        match layout.positions {
            Positions::FromZero => self.positions,
            Positions::AfterPad(_) => {
                let before = (self.pad_id as usize).saturating_add(1);
                self.positions.saturating_sub(before)
            }
        }
    }
}
