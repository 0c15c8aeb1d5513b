//! Attention of a causal decoder over its cache, in two forms.

use bevel_onnx::{CONTRIB, DType};

use super::Sizes;
use crate::arch::cache::{Cache, length, seen};
use crate::arch::layers::{Net, attend, hide_others, keep_tokens};

/// ONNX Runtime's operator takes heads of a multiple of this width.
const GROUPED_WIDTH: usize = 8;

/// What all layers read, and how attention is written down.
pub(super) struct Attention {
    sizes: Sizes,
    /// N×1×T×(P+T): hides padding, and from each token what comes after it.
    bias: String,
    form: Form,
}

enum Form {
    /// One `GroupQueryAttention` of ONNX Runtime a layer, which also keeps the cache.
    ///
    /// Measured by `tests/peers/decoder_speed.py` with ONNX Runtime 1.28 and two threads of an AMD EPYC,
    /// time of the whole graph divided by that of the plain form. Random Llama of 100 M parameters
    /// (D 768, 12 layers, H 12, K 64), `RotaryEmbedding` included: a prompt of 128 tokens 0.91, one of
    /// 1024 0.89, a token after 128 0.94, after 1000 0.98. Random GPT-2 of 124 M: a prompt of 128 0.95,
    /// one of 800 0.97, a token after 128 0.99, after 1000 0.97.
    ///
    /// What does not pay (within 2 %) and is not used: `SkipSimplifiedLayerNormalization`, rotation
    /// inside this operator, one matrix for gate and up, and `MultiHeadAttention` where there are no
    /// groups. ONNX Runtime makes the fused normalisations, GELU and SiLU out of plain operators by
    /// itself when it loads a graph.
    ///
    /// Limits: K must be a multiple of 8, and several tokens that follow a past must be of one row.
    Grouped {
        /// P+T−1 of each row, i32: with padding on the left all rows end at the same place.
        last: String,
        /// P+T without dimensions, i32.
        total: String,
    },
    /// Plain ONNX.
    Plain,
    /// Plain ONNX where heads share keys and values: the queries of a group lie below each other as
    /// one matrix, so that nothing is repeated for them.
    PlainGroups {
        /// `[0, H, T, −1]`: the shape of scores by head.
        by_head: String,
        /// `[0, G, −1, P+T]`: the shape of scores by group.
        by_group: String,
    },
}

impl Attention {
    /// For the inputs `input_ids` and `attention_mask`.
    pub fn new(net: &mut Net<'_>, [ids, mask]: [&str; 2], sizes: Sizes, portable: bool) -> Self {
        net.graph.set_scope("attention");
        let new = length(net, ids);
        let total = length(net, mask);
        let past = net.graph.node("Sub", &[&total, &new], []);
        let [_, seen] = seen(net, Some(&past), &new);
        let tokens = keep_tokens(net, mask);
        let seen = net.graph.node("And", &[&seen, &tokens], []);
        let bias = hide_others(net, &seen);
        let form = if !portable && sizes.width.is_multiple_of(GROUPED_WIDTH) {
            grouped(net, ids, &total)
        } else if sizes.heads == sizes.groups {
            Form::Plain
        } else {
            plain_groups(net, sizes, &new, &total)
        };
        Self { sizes, bias, form }
    }

    pub fn fused(&self) -> bool {
        matches!(self.form, Form::Grouped { .. })
    }

    /// N×T×(H·K) from query N×T×(H·K), key and value N×T×(G·K) and the past of one layer, whose
    /// present the cache takes note of.
    pub fn mix(
        &self,
        net: &mut Net<'_>,
        cache: &mut Cache,
        past: &[String; 2],
        [query, key, value]: [&str; 3],
        scale: f32,
    ) -> String {
        let sizes = &self.sizes;
        if let Form::Grouped { last, total } = &self.form {
            let none = "";
            let inputs = [
                query, key, value, &past[0], &past[1], last, total, none, none, none, &self.bias,
            ];
            let attributes = [
                ("num_heads", (sizes.heads as i64).into()),
                ("kv_num_heads", (sizes.groups as i64).into()),
                ("scale", scale.into()),
            ];
            let op = "GroupQueryAttention";
            let [mixed, key, value] = net.graph.node_in(CONTRIB, op, &inputs, attributes);
            cache.keep(&key, &value);
            return mixed;
        }
        let key = net.split_heads(key, sizes.groups, sizes.width);
        let value = net.split_heads(value, sizes.groups, sizes.width);
        let [key, value] = cache.append(net, past, [&key, &value]);
        let order = [("perm", [0, 1, 3, 2].into())];
        let key = net.graph.node("Transpose", &[&key], order);
        let mut query = net.split_heads(query, sizes.heads, sizes.width);
        if scale != 1.0 {
            let scale = net.scalar(scale);
            query = net.graph.node("Mul", &[&query, &scale], []);
        }
        let mixed = match &self.form {
            Form::PlainGroups { by_head, by_group } => {
                let [heads, groups] = [sizes.heads, sizes.groups].map(|n| n as i64);
                let together = net.i64s(&[0, groups, -1, sizes.width as i64]);
                let apart = net.i64s(&[0, heads, -1, sizes.width as i64]);
                let graph = &mut net.graph;
                let query = graph.node("Reshape", &[&query, &together], []);
                let scores = graph.node("MatMul", &[&query, &key], []);
                let scores = graph.node("Reshape", &[&scores, by_head], []);
                let scores = graph.node("Add", &[&scores, &self.bias], []);
                let shares = graph.node("Softmax", &[&scores], [("axis", (-1).into())]);
                let shares = graph.node("Reshape", &[&shares, by_group], []);
                let mixed = graph.node("MatMul", &[&shares, &value], []);
                graph.node("Reshape", &[&mixed, &apart], [])
            }
            _ => attend(&mut net.graph, [&query, &key, &value], Some(&self.bias)),
        };
        net.join_heads(&mixed, sizes.heads * sizes.width)
    }
}

fn grouped(net: &mut Net<'_>, ids: &str, total: &str) -> Form {
    let (axis, one) = (net.i64s(&[0]), net.index(1));
    let to = || [("to", i64::from(DType::I32.code()).into())];
    let graph = &mut net.graph;
    let total = graph.node("Squeeze", &[total, &axis], []);
    let last = graph.node("Sub", &[&total, &one], []);
    let last = graph.node("Cast", &[&last], to());
    let total = graph.node("Cast", &[&total], to());
    let rows = graph.node("Shape", &[ids], [("end", 1.into())]);
    let last = graph.node("Expand", &[&last, &rows], []);
    Form::Grouped { last, total }
}

fn plain_groups(net: &mut Net<'_>, sizes: Sizes, new: &str, total: &str) -> Form {
    let heads = net.i64s(&[0, sizes.heads as i64]);
    let groups = net.i64s(&[0, sizes.groups as i64, -1]);
    let rest = net.i64s(&[-1]);
    let mut shape = |parts: &[&str]| net.graph.node("Concat", parts, [("axis", 0.into())]);
    Form::PlainGroups {
        by_head: shape(&[&heads, new, &rest]),
        by_group: shape(&[&groups, total]),
    }
}
