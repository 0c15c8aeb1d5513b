//! The key/value cache of decoders, under the names of Hugging Face Optimum.
//!
//! | tensor | shape | meaning |
//! |---|---|---|
//! | in `past_key_values.{i}.{key,value}` | N×H×P×K | what attention has seen; P = 0 at the first step |
//! | out `present.{i}.{key,value}` | N×H×(P+T)×K | the next past |
//!
//! Encoder-decoders say `{i}.decoder.key` for the decoder's own and `{i}.encoder.key` for the cache over
//! the encoder's output.

use bevel_onnx::{DType, Dim, Graph};

use super::layers::{Net, hide_others};

/// Sizes that all layers share.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    pub heads: usize,
    pub width: usize,
    /// `""`, `"decoder."` or `"encoder."`, between the layer's number and `key`.
    pub half: &'static str,
    /// Names of the lengths of past and present.
    pub lengths: [&'static str; 2],
    presents: Vec<[String; 2]>,
}

impl Cache {
    pub fn new(half: &'static str, heads: usize, width: usize, lengths: [&'static str; 2]) -> Self {
        Self {
            heads,
            width,
            half,
            lengths,
            presents: Vec::new(),
        }
    }

    fn dims(&self, length: &str) -> [Dim; 4] {
        let fixed = [self.heads, self.width].map(Dim::Fixed);
        let [heads, width] = fixed;
        [Dim::named("batch"), heads, Dim::named(length), width]
    }

    /// The inputs of layer `i`: key and value.
    pub fn past(&self, net: &mut Net<'_>, i: usize) -> [String; 2] {
        ["key", "value"].map(|part| {
            let name = format!("past_key_values.{i}.{}{part}", self.half);
            net.graph
                .input(&name, DType::F32, self.dims(self.lengths[0]))
        })
    }

    /// Takes note of what layer `i` = the number of earlier calls gives back. The values become
    /// outputs only in [`finish`](Self::finish), because an output's name replaces the value's.
    pub fn keep(&mut self, key: &str, value: &str) {
        self.presents.push([key.into(), value.into()]);
    }

    /// Past and new along the time axis, N×H×(P+T)×K, kept for [`finish`](Self::finish).
    pub fn append(&mut self, net: &mut Net<'_>, past: &[String; 2], new: [&str; 2]) -> [String; 2] {
        let mut join = |past: &str, new: &str| {
            let axis = [("axis", 2.into())];
            net.graph.node("Concat", &[past, new], axis)
        };
        let present = [join(&past[0], new[0]), join(&past[1], new[1])];
        self.keep(&present[0], &present[1]);
        present
    }

    /// The outputs `present.…` of all layers.
    pub fn finish(self, net: &mut Net<'_>) {
        for (i, present) in self.presents.iter().enumerate() {
            for (value, part) in present.iter().zip(["key", "value"]) {
                let name = format!("present.{i}.{}{part}", self.half);
                let dims = self.dims(self.lengths[1]);
                net.graph.output(value, &name, DType::F32, dims);
            }
        }
    }
}

/// P as a list of one i64, from a past N×H×P×K.
pub(super) fn past_length(net: &mut Net<'_>, past: &str) -> String {
    let attributes = [("start", 2.into()), ("end", 3.into())];
    net.graph.node("Shape", &[past], attributes)
}

/// T as a list of one i64, from N×T….
pub(super) fn length(net: &mut Net<'_>, x: &str) -> String {
    let attributes = [("start", 1.into()), ("end", 2.into())];
    net.graph.node("Shape", &[x], attributes)
}

/// Positions P .. P+T as i64 of T, and the bias T×(P+T) that hides from each position what comes
/// after it; without a past P is 0.
pub(super) fn causal(net: &mut Net<'_>, past: Option<&str>, new: &str) -> [String; 2] {
    let [rows, seen] = seen(net, past, new);
    let bias = hide_others(net, &seen);
    [rows, bias]
}

/// Positions P .. P+T as i64 of T, and for each of them which of 0 .. P+T it may see: bool T×(P+T).
pub(super) fn seen(net: &mut Net<'_>, past: Option<&str>, new: &str) -> [String; 2] {
    let axis = net.i64s(&[0]);
    let (zero, one) = (net.index(0), net.index(1));
    let graph = &mut net.graph;
    let range =
        |graph: &mut Graph, from: &str, to: &str| graph.node("Range", &[from, to, &one], []);
    let (rows, columns) = match past {
        None => {
            let end = graph.node("Squeeze", &[new, &axis], []);
            let rows = range(graph, &zero, &end);
            (rows.clone(), rows)
        }
        Some(past) => {
            let end = graph.node("Add", &[past, new], []);
            let end = graph.node("Squeeze", &[&end, &axis], []);
            let start = graph.node("Squeeze", &[past, &axis], []);
            (range(graph, &start, &end), range(graph, &zero, &end))
        }
    };
    let column = net.i64s(&[1]);
    let graph = &mut net.graph;
    let upright = graph.node("Unsqueeze", &[&rows, &column], []);
    let seen = graph.node("LessOrEqual", &[&columns, &upright], []);
    [rows, seen]
}
