//! RoBERTa (Liu et al. 2019, arXiv:1907.11692), XLM-RoBERTa (Conneau et al. 2019, arXiv:1911.02116)
//! and CamemBERT (Martin et al. 2019, arXiv:1911.03894), as `modeling_roberta.py`,
//! `modeling_xlm_roberta.py` and `modeling_camembert.py` of transformers 5.23 compute them. Tensors:
//! those of [`text_encoder`](super::text_encoder), without `token_type_ids`.

use super::bert::LAYER_NAMES;
use super::heads::{Heads, MaskedLm, Summary};
use super::layers::Activation;
use super::text_encoder::{
    BERT_KEYS, Keys, LayerList, Layout, Positions, Projection, Types, build,
};
use crate::arch::Family;

pub(super) const FAMILY: Family = Family {
    name: LAYOUT.family,
    marks: &["roberta.encoder.layer.", "roberta.embeddings."],
    recognises: |source| {
        let known = ["roberta", "xlm-roberta", "camembert"];
        source
            .model_type()
            .is_some_and(|name| known.contains(&name))
    },
    build: |source, options| build(&LAYOUT, source, options),
};

/// The head of a text's classes, which MPNet has too.
pub(super) const SUMMARY: Summary = Summary::Dense("classifier.dense", Activation::Tanh);

/// The masked LM, which MPNet has too.
pub(super) const MASKED_LM: MaskedLm = MaskedLm {
    dense: "lm_head.dense",
    activation: Some(Activation::Gelu),
    norm: "lm_head.layer_norm",
    decoder: "lm_head.decoder",
    bias: Some("lm_head.bias"),
    beside: None,
};

static LAYOUT: Layout = Layout {
    family: "roberta",
    classes: &["Roberta", "XLMRoberta", "Camembert"],
    prefix: "roberta.",
    keys: Keys {
        vocab: ("vocab_size", 50265),
        pad_id: 1,
        ..BERT_KEYS
    },
    positions: Positions::AfterPad(None),
    types: Types::First,
    projection: Projection::None,
    bias: None,
    layers: LayerList::Numbered("encoder.layer"),
    names: LAYER_NAMES,
    heads: Heads {
        pooler: Some("pooler.dense"),
        summary: SUMMARY,
        sequence: "classifier.out_proj",
        masked: MASKED_LM,
        pre_training: None,
        weights: &["lm_head.", "classifier.", "qa_outputs."],
    },
};
