//! What causal decoders share: one graph with a key/value cache, under the names of Hugging Face
//! Optimum.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `input_ids` | N×T | i64 | the prompt, then one token, 0 ..= V−1 |
//! | in `attention_mask` | N×(P+T) | i64 | 1 for tokens, 0 for padding, which stands on the left |
//! | in `position_ids` | N×T | i64 | 0 at the first token of a row; any position for padding |
//! | in `past_key_values.{i}.{key,value}` | N×G×P×K | f32 | P = 0 at the first step |
//! | out `logits` | N×T×V | f32 | the next token |
//! | out `present.{i}.{key,value}` | N×G×(P+T)×K | f32 | the next past |
//!
//! H heads of width K read G heads of keys and values, H / G of them the same one. What comes out at
//! padding means nothing.

mod attention;
mod generation;

use bevel_manifest::{Decode, Input, Task};
use bevel_onnx::{DType, Dim, Graph};

use super::cache::Cache;
use super::layers::Net;
use super::text;
use crate::arch::{Built, model};
use crate::source::Source;
use crate::weights::{Unused, Weights};
use crate::{Error, Options};
use attention::Attention;

/// Sizes that all layers share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub layers: usize,
    /// H.
    pub heads: usize,
    /// G, which divides H.
    pub groups: usize,
    /// K.
    pub width: usize,
}

/// A decoder under construction.
pub(super) struct Causal<'a> {
    pub net: Net<'a>,
    /// `input_ids`.
    pub ids: String,
    /// `position_ids`.
    pub positions: String,
    pasts: Vec<[String; 2]>,
    cache: Cache,
    attention: Attention,
}

impl<'a> Causal<'a> {
    /// The inputs, and what attention makes of them for all layers.
    pub fn new(name: &str, weights: &'a Weights<'a>, sizes: Sizes, options: &Options) -> Self {
        let mut net = Net::new(name, weights);
        let tokens = [
            ("input_ids", "sequence"),
            ("attention_mask", "present"),
            ("position_ids", "sequence"),
        ];
        let [ids, mask, positions] = tokens.map(|(name, length)| {
            let dims = ["batch", length].map(Dim::named);
            net.graph.input(name, DType::I64, dims)
        });
        let cache = Cache::new("", sizes.groups, sizes.width, ["past", "present"]);
        let pasts = (0..sizes.layers).map(|i| cache.past(&mut net, i)).collect();
        let attention = Attention::new(&mut net, [&ids, &mask], sizes, options.portable);
        Self {
            net,
            ids,
            positions,
            pasts,
            cache,
            attention,
        }
    }

    /// Whether the graph may use operators of ONNX Runtime's own.
    pub fn fused(&self) -> bool {
        self.attention.fused()
    }

    /// `softmax(scale · q·kᵀ)·v` of layer `i` over past and new, N×T×(H·K), from query N×T×(H·K), key
    /// and value N×T×(G·K). Layers are asked for in order.
    pub fn attend(&mut self, i: usize, new: [&str; 3], scale: f32) -> String {
        let (net, cache) = (&mut self.net, &mut self.cache);
        self.attention.mix(net, cache, &self.pasts[i], new, scale)
    }

    /// The outputs, from the last hidden state N×T×D and a table V×D.
    pub fn finish(mut self, x: &str, table: &str, [vocab, hidden]: [usize; 2]) -> Graph {
        let logits = self.net.tied(x, table, None, [hidden, vocab]);
        let [batch, sequence] = ["batch", "sequence"].map(Dim::named);
        let dims = [batch, sequence, Dim::Fixed(vocab)];
        self.net.graph.output(&logits, "logits", DType::F32, dims);
        self.cache.finish(&mut self.net);
        self.net.graph
    }
}

/// What the bundle says about a decoder.
pub(super) struct Model {
    pub family: &'static str,
    pub graph: Graph,
    pub unused: Unused,
    pub notes: Vec<String>,
    /// V.
    pub vocab: usize,
    /// The most tokens of a sequence.
    pub positions: usize,
}

impl Model {
    /// With the tokenizer and the settings of generation, as far as they lie beside the weights.
    pub fn bundle(mut self, source: &Source, options: &Options) -> Result<Built, Error> {
        let tokenizer = text::tokenizer(source, self.vocab)?;
        let job = Task::Generate;
        let task = text::task(self.family, source, job, options, tokenizer.is_some())?;
        if tokenizer.is_none() {
            self.notes.push(text::without_tokenizer());
        }
        let mut files = Vec::new();
        let mut decode = generation::read(source, self.vocab, self.positions)?;
        let mut input = Input::Tensors;
        if task == Task::Generate {
            let pad = decode.pad_id.or(decode.end_ids.first().copied());
            let text = text::input(source, self.positions, pad.unwrap_or(0))?;
            decode.max_tokens = decode.max_tokens.min(text.max_tokens);
            input = Input::Text(text);
            files.extend(tokenizer);
            let template = generation::chat_template(source)?;
            decode.chat_template = template.as_ref().map(|file| file.name.clone());
            files.extend(template);
        }
        Ok(Built {
            graphs: model(self.graph),
            task,
            input,
            decode: Decode::Generate(decode),
            files,
            unused: self.unused.0,
            notes: self.notes,
        })
    }
}

/// Sees that the checkpoint is of a class that ends in a vocabulary.
///
/// # Errors
/// [`Error::Unsupported`] for a classifier, or a bare decoder.
pub(super) fn writes_text(class: Option<&str>, family: &'static str) -> Result<(), Error> {
    let heads = ["ForCausalLM", "LMHeadModel"];
    match class.filter(|class| !heads.iter().any(|head| class.ends_with(head))) {
        None => Ok(()),
        Some(class) => Err(Error::Unsupported {
            family,
            what: format!("class `{class}`"),
            next: format!("known: …{}", heads.join(", …")),
        }),
    }
}

#[cfg(test)]
mod tests;
