//! ELECTRA (Clark et al. 2020, arXiv:2003.10555), generators and discriminators, as
//! `modeling_electra.py` of transformers 5.23 computes them. Tensors: those of
//! [`text_encoder`](super::text_encoder), with `token_type_ids` and without pooler, and
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | out `logits` | N×T | f32 | `ElectraForPreTraining`: above 0 where a token was replaced |

use super::bert::LAYER_NAMES;
use super::heads::{Head, Heads, MaskedLm, Summary};
use super::layers::Activation;
use super::text_encoder::{
    BERT_KEYS, Keys, LayerList, Layout, Positions, Projection, Types, build,
};
use crate::arch::Family;

pub(super) const FAMILY: Family = Family {
    name: LAYOUT.family,
    marks: &["electra.encoder.layer.", "electra.embeddings."],
    recognises: |source| source.model_type() == Some("electra"),
    build: |source, options| build(&LAYOUT, source, options),
};

static LAYOUT: Layout = Layout {
    family: "electra",
    classes: &["Electra"],
    prefix: "electra.",
    keys: Keys {
        hidden: ("hidden_size", 256),
        embedding: Some(("embedding_size", 128)),
        heads: ("num_attention_heads", 4),
        inner: ("intermediate_size", 1024),
        ..BERT_KEYS
    },
    positions: Positions::FromZero,
    types: Types::Input,
    projection: Projection::WhereSizesDiffer("embeddings_project"),
    bias: None,
    layers: LayerList::Numbered("encoder.layer"),
    names: LAYER_NAMES,
    heads: Heads {
        pooler: None,
        summary: Summary::Dense("classifier.dense", Activation::Gelu),
        sequence: "classifier.out_proj",
        masked: MaskedLm {
            dense: "generator_predictions.dense",
            activation: Some(Activation::Gelu),
            norm: "generator_predictions.LayerNorm",
            decoder: "generator_lm_head",
            bias: None,
            beside: None,
        },
        pre_training: Some(Head::Replaced),
        weights: &[
            "discriminator_predictions.",
            "generator_",
            "classifier.",
            "qa_outputs.",
        ],
    },
};
