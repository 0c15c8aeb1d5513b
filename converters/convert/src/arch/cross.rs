//! The decoder of an encoder-decoder model: its inputs, and attention over the encoder's output, whose
//! keys and values are made once.
//!
//! At the first step `past_key_values.{i}.encoder.*` has length 0: keys and values come from
//! `encoder_hidden_states` and go out as `present.{i}.encoder.*`. At every later step they come back
//! as the past, nothing is computed from the encoder's output, and what goes out is empty.
//!
//! The projections stand outside the condition, over a slice that is empty at later steps: so all
//! weights lie in the main graph, where quantisers find them. Only attention itself is inside, because a
//! past that went through a `Concat` or out of an `If` would be copied at every token.

use bevel_onnx::{DType, Dim};

use super::cache::{Cache, causal, length, past_length};
use super::layers::{Net, shares};
use crate::Error;

/// A decoder under construction: what it is fed, and both halves of its cache.
pub(super) struct Decoding {
    /// `input_ids`, N×T.
    pub ids: String,
    /// Of the tokens: T.
    pub positions: String,
    /// Hides from each token those after it: T×(P+T).
    pub bias: String,
    /// The encoder's output N×S×D at the first step, N×0×D after it.
    pub hidden: String,
    /// Whether this is the first step: a bool without dimensions.
    first: String,
    own: Cache,
    other: Cache,
    /// Of each layer, its own and that of the encoder's output.
    pasts: Vec<[[String; 2]; 2]>,
    /// Where heads look that are watched, N×A×T×S for each layer that has some, and how many they are.
    watched: Vec<String>,
    heads_watched: usize,
}

/// Sizes of a decoder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub layers: usize,
    /// Heads of keys and values.
    pub heads: usize,
    /// K.
    pub width: usize,
    /// D of the encoder's output.
    pub hidden: usize,
}

/// The shape of the encoder's output.
pub(super) fn states(hidden: usize) -> [Dim; 3] {
    let named = ["batch", "encoder_sequence"].map(Dim::named);
    let [batch, sequence] = named;
    [batch, sequence, Dim::Fixed(hidden)]
}

impl Decoding {
    /// # Errors
    /// [`Error::Unsupported`] without any layer.
    pub fn new(net: &mut Net<'_>, family: &'static str, sizes: Sizes) -> Result<Self, Error> {
        let tokens = ["batch", "sequence"].map(Dim::named);
        let ids = net.graph.input("input_ids", DType::I64, tokens);
        let encoded = "encoder_hidden_states";
        let encoded = net.graph.input(encoded, DType::F32, states(sizes.hidden));
        let (heads, width) = (sizes.heads, sizes.width);
        let own = Cache::new("decoder.", heads, width, ["past", "present"]);
        let other = Cache::new("encoder.", heads, width, ["encoder_past", "encoder_new"]);
        let mut pasts = Vec::new();
        for i in 0..sizes.layers {
            let own = own.past(net, i);
            pasts.push([own, other.past(net, i)]);
        }
        let Some([[past, _], [seen, _]]) = pasts.first() else {
            return Err(Error::Unsupported {
                family,
                what: "a decoder without layers".into(),
                next: "is config.json of this checkpoint?".into(),
            });
        };

        net.graph.set_scope("decoder");
        let past = past_length(net, past);
        let new = length(net, &ids);
        let [positions, bias] = causal(net, Some(&past), &new);

        net.graph.set_scope("cross");
        let none = net.i64s(&[0]);
        let (start, axis) = (net.i64s(&[0]), net.i64s(&[1]));
        let seen = past_length(net, seen);
        let all = length(net, &encoded);
        let graph = &mut net.graph;
        let first = graph.node("Equal", &[&seen, &none], []);
        let end = graph.node("Where", &[&first, &all, &none], []);
        let hidden = graph.node("Slice", &[&encoded, &start, &end, &axis], []);
        let first = graph.node("Squeeze", &[&first, &none], []);
        Ok(Self {
            ids,
            positions,
            bias,
            hidden,
            first,
            own,
            other,
            pasts,
            watched: Vec::new(),
            heads_watched: 0,
        })
    }

    /// Keys and values of past and new tokens of layer `i`, N×H×(P+T)×K.
    pub fn append(&mut self, net: &mut Net<'_>, i: usize, new: [&str; 2]) -> [String; 2] {
        self.own.append(net, &self.pasts[i][0], new)
    }

    /// N×H×T×K from a query N×H×T×K that carries the factor 1/√K, and keys and values N×H×S×K of
    /// [`hidden`](Self::hidden) for layer `i`. Where the heads `watch` look becomes an output.
    pub fn attend(
        &mut self,
        net: &mut Net<'_>,
        i: usize,
        query: &str,
        new: [&str; 2],
        watch: &[usize],
    ) -> String {
        self.other.keep(new[0], new[1]);
        let heads = Dim::Fixed(self.other.heads);
        let width = Dim::Fixed(self.other.width);
        let chosen: Vec<i64> = watch.iter().map(|head| *head as i64).collect();
        let chosen = (!watch.is_empty()).then(|| net.i64s(&chosen));
        let mut branch = |name: &str, [key, value]: [&str; 2]| {
            let mut body = net.graph.body(name);
            let order = [("perm", [0, 1, 3, 2].into())];
            let key = body.node("Transpose", &[key], order);
            let shares = shares(&mut body, query, &key, None);
            let mixed = body.node("MatMul", &[&shares, value], []);
            let dims = |heads: Dim, last: Dim| [Dim::named("batch"), heads, Dim::Unknown, last];
            let mixed_dims = dims(heads.clone(), width.clone());
            body.output(&mixed, &mixed, DType::F32, mixed_dims);
            if let Some(chosen) = &chosen {
                let axis = [("axis", 1.into())];
                let seen = body.node("Gather", &[&shares, chosen], axis);
                let seen_dims = dims(Dim::Fixed(watch.len()), Dim::Unknown);
                body.output(&seen, &seen, DType::F32, seen_dims);
            }
            net.graph.adopt(body)
        };
        let [_, [key, value]] = &self.pasts[i];
        let bodies = [
            ("then_branch", branch("new", new)),
            ("else_branch", branch("past", [key, value])),
        ];
        if watch.is_empty() {
            return net.graph.node("If", &[&self.first], bodies);
        }
        let [mixed, seen] = net.graph.node_of("If", &[&self.first], bodies);
        self.watched.push(seen);
        self.heads_watched += watch.len();
        mixed
    }

    /// The outputs: `logits` N×T×V, where the watched heads look, then the cache.
    pub fn finish(self, net: &mut Net<'_>, logits: &str, vocab: usize) {
        let [batch, sequence] = ["batch", "sequence"].map(Dim::named);
        let dims = [batch, sequence, Dim::Fixed(vocab)];
        net.graph.output(logits, "logits", DType::F32, dims);
        if !self.watched.is_empty() {
            net.graph.set_scope("cross");
            let watched: Vec<&str> = self.watched.iter().map(String::as_str).collect();
            let seen = net.graph.node("Concat", &watched, [("axis", 1.into())]);
            let [batch, sequence] = ["batch", "sequence"].map(Dim::named);
            let dims = [
                batch,
                Dim::Fixed(self.heads_watched),
                sequence,
                Dim::named("attended"),
            ];
            net.graph
                .output(&seen, "cross_attentions", DType::F32, dims);
        }
        self.own.finish(net);
        self.other.finish(net);
    }
}
