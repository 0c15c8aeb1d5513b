//! MPNet (Song et al. 2020, arXiv:2004.09297), as `modeling_mpnet.py` of transformers 5.23 computes
//! it. Tensors: those of [`text_encoder`](super::text_encoder), without `token_type_ids`.
//!
//! Attention scores get a bias by how far one token is from the other, the same in all layers: the
//! distance falls into one of 32 buckets (Raffel et al. 2019, arXiv:1910.10683, section 2.1), each
//! of which has one learned number per head.

use bevel_onnx::Tensor;

use super::cache;
use super::heads::Heads;
use super::roberta::{MASKED_LM, SUMMARY};
use super::text_encoder::{
    BERT_KEYS, Encoder, Keys, LayerList, Layout, Positions, Projection, Types, build,
};
use super::transformer::LayerNames;
use crate::Error;
use crate::arch::Family;

pub(super) const FAMILY: Family = Family {
    name: LAYOUT.family,
    marks: &[
        "attention.attn.q.",
        "attention.attn.o.",
        "relative_attention_bias",
    ],
    recognises: |source| source.model_type() == Some("mpnet"),
    build: |source, options| build(&LAYOUT, source, options),
};

static LAYOUT: Layout = Layout {
    family: "mpnet",
    classes: &["MPNet"],
    prefix: "mpnet.",
    keys: Keys {
        vocab: ("vocab_size", 30527),
        pad_id: 1,
        ..BERT_KEYS
    },
    // Whatever `pad_token_id` says.
    positions: Positions::AfterPad(Some(1)),
    types: Types::None,
    projection: Projection::None,
    bias: Some(relative_bias),
    layers: LayerList::Numbered("encoder.layer"),
    names: LayerNames {
        query: "attention.attn.q",
        key: "attention.attn.k",
        value: "attention.attn.v",
        output: "attention.attn.o",
        attention_norm: "attention.LayerNorm",
        inner: "intermediate.dense",
        outer: "output.dense",
        feed_forward_norm: "output.LayerNorm",
    },
    heads: Heads {
        pooler: Some("pooler.dense"),
        summary: SUMMARY,
        sequence: "classifier.out_proj",
        masked: MASKED_LM,
        pre_training: None,
        weights: &["lm_head.", "classifier.", "qa_outputs."],
    },
};

/// Half of the buckets: those for what comes before a token, and for what comes after.
const SIDE: usize = 16;

/// Distances from which the buckets of a side begin, after one each for 0 to 7: ⌈8·16^(k/8)⌉.
const WIDE: [usize; 8] = [8, 12, 16, 23, 32, 46, 64, 91];

/// The bucket of a token `distance` places after (below 0: before) the one that attends to it.
fn bucket(distance: isize) -> usize {
    let n = distance.unsigned_abs();
    let side = if distance > 0 { SIDE } else { 0 };
    let wide = WIDE.iter().filter(|from| n >= **from).count();
    side + if wide == 0 { n } else { WIDE[0] + wide - 1 }
}

/// Padding's bias and that of distance: N×H×T×T.
fn relative_bias(encoder: &mut Encoder<'_>, padding: &str, ids: &str) -> Result<String, Error> {
    let heads = encoder.shape.heads;
    let name = encoder.named("encoder.relative_attention_bias.weight");
    let positions = encoder.named("embeddings.position_embeddings.weight");
    let net = &mut encoder.net;
    let longest = net.rows(&positions);
    let buckets = net.rows(&name).max(2 * SIDE);
    let table = net.weights.take(&name, &[buckets, heads])?;
    let table: &[f32] = &table.as_f32().unwrap_or_default();
    // By head and distance, so that the graph need not know of buckets: H×(2P−1), distance 0 at P−1.
    let last = longest as isize - 1;
    let values = (0..heads).flat_map(|head| {
        let value = move |distance| table.get(bucket(distance) * heads + head).copied();
        (-last..=last).map(move |distance| value(distance).unwrap_or_default())
    });
    let by_distance = Tensor::f32(&name, &[heads, 2 * longest - 1], values.collect());
    let by_distance = net.graph.initializer(by_distance);

    let length = cache::length(net, ids);
    let (zero, one) = (net.index(0), net.index(1));
    let offset = net.index(last as i64);
    let (first, column) = (net.i64s(&[0]), net.i64s(&[1]));
    let graph = &mut net.graph;
    let length = graph.node("Squeeze", &[&length, &first], []);
    let places = graph.node("Range", &[&zero, &length, &one], []);
    let upright = graph.node("Unsqueeze", &[&places, &column], []);
    let distance = graph.node("Sub", &[&places, &upright], []);
    let index = graph.node("Add", &[&distance, &offset], []);
    let bias = graph.node("Gather", &[&by_distance, &index], [("axis", 1.into())]);
    Ok(graph.node("Add", &[&bias, padding], []))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets of `MPNetEncoder.relative_position_bucket` (transformers 5.23, torch 2.15), which
    /// takes logarithms in f32.
    #[test]
    fn buckets_are_those_of_transformers() {
        let cases = [
            (-2000, 15),
            (-91, 15),
            (-90, 14),
            (-64, 14),
            (-63, 13),
            (-32, 12),
            (-23, 11),
            (-16, 10),
            (-12, 9),
            (-11, 8),
            (-7, 7),
            (0, 0),
            (1, 17),
            (8, 24),
            (15, 25),
            (16, 26),
            (22, 26),
            (31, 27),
            (45, 28),
            (46, 29),
            (64, 30),
            (91, 31),
            (2000, 31),
        ];
        for (distance, expected) in cases {
            assert_eq!(bucket(distance), expected, "{distance}");
        }
    }
}
