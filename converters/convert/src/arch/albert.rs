//! ALBERT (Lan et al. 2019, arXiv:1909.11942), as `modeling_albert.py` of transformers 5.23 computes
//! it. Tensors: those of [`text_encoder`](super::text_encoder), with `token_type_ids`. Layers share
//! weights in groups, in the graph as in the checkpoint; embeddings are narrower than layers.

use super::heads::{Head, Heads, MaskedLm, Summary};
use super::layers::Activation;
use super::settings::Settings;
use super::text_encoder::{
    BERT_KEYS, Keys, LayerList, Layout, Positions, Projection, Types, build,
};
use super::transformer::LayerNames;
use crate::Error;
use crate::arch::Family;

pub(super) const FAMILY: Family = Family {
    name: LAYOUT.family,
    marks: &[
        "albert_layer_groups.",
        "albert_layers.",
        "embedding_hidden_mapping_in",
        "full_layer_layer_norm",
    ],
    recognises: |source| source.model_type() == Some("albert"),
    build: |source, options| build(&LAYOUT, source, options),
};

static LAYOUT: Layout = Layout {
    family: "albert",
    classes: &["Albert"],
    prefix: "albert.",
    keys: Keys {
        hidden: ("hidden_size", 4096),
        embedding: Some(("embedding_size", 128)),
        heads: ("num_attention_heads", 64),
        inner: ("intermediate_size", 16384),
        vocab: ("vocab_size", 30000),
        activation: ("hidden_act", Activation::GeluTanh),
        ..BERT_KEYS
    },
    positions: Positions::FromZero,
    types: Types::Input,
    projection: Projection::Always("encoder.embedding_hidden_mapping_in"),
    bias: None,
    layers: LayerList::Listed(layers),
    names: LayerNames {
        query: "attention.query",
        key: "attention.key",
        value: "attention.value",
        output: "attention.dense",
        attention_norm: "attention.LayerNorm",
        inner: "ffn",
        outer: "ffn_output",
        feed_forward_norm: "full_layer_layer_norm",
    },
    heads: Heads {
        pooler: Some("pooler"),
        summary: Summary::Pooler,
        sequence: "classifier",
        masked: MaskedLm {
            dense: "predictions.dense",
            activation: None,
            norm: "predictions.LayerNorm",
            decoder: "predictions.decoder",
            bias: Some("predictions.bias"),
            // Whether two segments are in order.
            beside: Some("sop_classifier."),
        },
        pre_training: Some(Head::MaskedLm),
        weights: &[
            "predictions.",
            "sop_classifier.",
            "classifier.",
            "qa_outputs.",
        ],
    },
};

/// Step i of n runs all layers of group ⌊i·groups/n⌋.
fn layers(settings: &Settings<'_>, steps: usize) -> Result<Vec<String>, Error> {
    let groups = settings.layers("num_hidden_groups", 1)?;
    let inner = settings.layers("inner_group_num", 1)?;
    if steps * inner > Settings::MAX_LAYERS {
        return Err(settings.wrong(format!(
            "`num_hidden_layers` {steps} times `inner_group_num` {inner} is more than {} layers",
            Settings::MAX_LAYERS
        )));
    }
    let step = |i: usize| {
        let group = i * groups / steps;
        (0..inner)
            .map(move |layer| format!("encoder.albert_layer_groups.{group}.albert_layers.{layer}"))
    };
    Ok((0..steps).flat_map(step).collect())
}
