//! DistilBERT (Sanh et al. 2019, arXiv:1910.01108), as `modeling_distilbert.py` of transformers 5.23
//! computes it. Tensors: those of [`text_encoder`](super::text_encoder), without `token_type_ids` and
//! pooler. Sinusoidal positions are stored like learned ones.

use super::heads::{Heads, MaskedLm, Summary};
use super::layers::Activation;
use super::text_encoder::{
    BERT_KEYS, Keys, LayerList, Layout, Positions, Projection, Types, build,
};
use super::transformer::LayerNames;
use crate::arch::Family;

pub(super) const FAMILY: Family = Family {
    name: LAYOUT.family,
    marks: &[
        "transformer.layer.",
        "attention.q_lin",
        "sa_layer_norm",
        "ffn.lin1",
    ],
    recognises: |source| source.model_type() == Some("distilbert"),
    build: |source, options| build(&LAYOUT, source, options),
};

static LAYOUT: Layout = Layout {
    family: "distilbert",
    classes: &["DistilBert"],
    prefix: "distilbert.",
    keys: Keys {
        hidden: ("dim", 768),
        layers: ("n_layers", 6),
        heads: ("n_heads", 12),
        inner: ("hidden_dim", 3072),
        activation: ("activation", Activation::Gelu),
        ..BERT_KEYS
    },
    positions: Positions::FromZero,
    types: Types::None,
    projection: Projection::None,
    bias: None,
    layers: LayerList::Numbered("transformer.layer"),
    names: LayerNames {
        query: "attention.q_lin",
        key: "attention.k_lin",
        value: "attention.v_lin",
        output: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        inner: "ffn.lin1",
        outer: "ffn.lin2",
        feed_forward_norm: "output_layer_norm",
    },
    heads: Heads {
        pooler: None,
        summary: Summary::Dense("pre_classifier", Activation::Relu),
        sequence: "classifier",
        masked: MaskedLm {
            dense: "vocab_transform",
            activation: None,
            norm: "vocab_layer_norm",
            decoder: "vocab_projector",
            bias: None,
            beside: None,
        },
        pre_training: None,
        weights: &["vocab_", "pre_classifier.", "classifier.", "qa_outputs."],
    },
};
