//! BERT (Devlin et al. 2018, arXiv:1810.04805), as `modeling_bert.py` of transformers 5.23 computes
//! it with absolute positions. Tensors: those of [`text_encoder`](super::text_encoder), with
//! `token_type_ids`.

use super::heads::{Head, Heads, MaskedLm, Summary};
use super::text_encoder::{BERT_KEYS, LayerList, Layout, Positions, Projection, Types, build};
use super::transformer::LayerNames;
use crate::arch::Family;

pub(super) const FAMILY: Family = Family {
    name: LAYOUT.family,
    marks: &[
        "bert.encoder.layer.",
        "encoder.layer.",
        "attention.self.query",
        "embeddings.word_embeddings",
        "embeddings.token_type_embeddings",
        "intermediate.dense",
    ],
    recognises: |source| source.model_type() == Some("bert"),
    build: |source, options| build(&LAYOUT, source, options),
};

/// Names of a layer's weights, which most relatives kept.
pub(super) const LAYER_NAMES: LayerNames = LayerNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    inner: "intermediate.dense",
    outer: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

static LAYOUT: Layout = Layout {
    family: "bert",
    classes: &["Bert"],
    prefix: "bert.",
    keys: BERT_KEYS,
    positions: Positions::FromZero,
    types: Types::Input,
    projection: Projection::None,
    bias: None,
    layers: LayerList::Numbered("encoder.layer"),
    names: LAYER_NAMES,
    heads: Heads {
        pooler: Some("pooler.dense"),
        summary: Summary::Pooler,
        sequence: "classifier",
        masked: MaskedLm {
            dense: "cls.predictions.transform.dense",
            activation: None,
            norm: "cls.predictions.transform.LayerNorm",
            decoder: "cls.predictions.decoder",
            bias: Some("cls.predictions.bias"),
            // Whether one sentence follows the other.
            beside: Some("cls.seq_relationship."),
        },
        pre_training: Some(Head::MaskedLm),
        weights: &["cls.", "classifier.", "qa_outputs."],
    },
};
