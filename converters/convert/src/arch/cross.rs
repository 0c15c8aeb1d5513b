//! Attention of a decoder over the encoder's output, whose keys and values are made once.
//!
//! At the first step `past_key_values.{i}.encoder.*` has length 0: keys and values come from
//! `encoder_hidden_states` and go out as `present.{i}.encoder.*`. At every later step they come back
//! as the past, nothing is computed from the encoder's output, and what goes out is empty.
//!
//! The projections stand outside the condition, over a slice that is empty at later steps: so all
//! weights lie in the main graph, where quantisers find them. Only attention itself is inside, because a
//! past that went through a `Concat` or out of an `If` would be copied at every token.

use bevel_onnx::{DType, Dim};

use super::cache::{Cache, length, past_length};
use super::layers::{Net, attend};

pub(super) struct Cross {
    /// Whether this is the first step: a bool without dimensions.
    first: String,
    /// The encoder's output N×S×D at the first step, N×0×D after it.
    pub hidden: String,
    pub cache: Cache,
}

impl Cross {
    /// For the input `hidden` N×S×D and the past of any layer, N×H×S×K.
    pub fn new(net: &mut Net<'_>, hidden: &str, past: &str, cache: Cache) -> Self {
        net.graph.set_scope("cross");
        let none = net.i64s(&[0]);
        let (start, axis) = (net.i64s(&[0]), net.i64s(&[1]));
        let seen = past_length(net, past);
        let all = length(net, hidden);
        let graph = &mut net.graph;
        let first = graph.node("Equal", &[&seen, &none], []);
        let end = graph.node("Where", &[&first, &all, &none], []);
        let hidden = graph.node("Slice", &[hidden, &start, &end, &axis], []);
        let first = graph.node("Squeeze", &[&first, &none], []);
        Self {
            first,
            hidden,
            cache,
        }
    }

    /// N×H×T×K from a query N×H×T×K that carries the factor 1/√K, and keys and values N×H×S×K of
    /// [`hidden`](Self::hidden), which the cache takes note of.
    pub fn attend(
        &mut self,
        net: &mut Net<'_>,
        query: &str,
        new: [&str; 2],
        past: [&str; 2],
    ) -> String {
        self.cache.keep(new[0], new[1]);
        let heads = Dim::Fixed(self.cache.heads);
        let width = Dim::Fixed(self.cache.width);
        let mut branch = |name: &str, [key, value]: [&str; 2]| {
            let mut body = net.graph.body(name);
            let order = [("perm", [0, 1, 3, 2].into())];
            let key = body.node("Transpose", &[key], order);
            let mixed = attend(&mut body, [query, &key, value], None);
            let dims = [
                Dim::named("batch"),
                heads.clone(),
                Dim::Unknown,
                width.clone(),
            ];
            body.output(&mixed, &mixed, DType::F32, dims);
            net.graph.adopt(body)
        };
        let bodies = [
            ("then_branch", branch("new", new)),
            ("else_branch", branch("past", past)),
        ];
        net.graph.node("If", &[&self.first], bodies)
    }
}
