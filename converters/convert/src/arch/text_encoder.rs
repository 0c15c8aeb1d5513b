//! Text encoders that read both ways: BERT and its relatives. A family is a [`Layout`]: what it calls
//! its weights and numbers, and the few places where it computes something else.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `input_ids` | N×T | i64 | token ids, 0 ..= V−1 |
//! | in `attention_mask` | N×T | i64 | 1 for tokens, 0 for padding |
//! | in `token_type_ids` | N×T | i64 | segment, 0 or 1; only families of [`Types::Input`] |
//! | out `last_hidden_state` | N×T×D | f32 | without a head |
//! | out `pooler_output` | N×D | f32 | in −1 ..= 1, without a head, where the checkpoint has a pooler |
//! | out `logits` | N×C, N×T×C, N×T×V | f32 | sequence, token classification, masked LM |
//! | out `start_logits`, `end_logits` | N×T | f32 | question answering |

mod shape;

use bevel_manifest::{Input, Task};
use bevel_onnx::{DType, Dim, Tensor};

use super::heads::{Head, Heads};
use super::layers::{Net, padding_bias};
use super::settings::Settings;
use super::transformer::{LayerNames, Layers};
use super::{cache, text};
use crate::arch::{Built, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) use shape::{BERT_KEYS, Keys, Shape};

/// One family.
pub(super) struct Layout {
    pub family: &'static str,
    /// Its classes without the head: `Bert` of `BertForMaskedLM`.
    pub classes: &'static [&'static str],
    /// What stands before the encoder's weights in a checkpoint with a head.
    pub prefix: &'static str,
    pub keys: Keys,
    pub positions: Positions,
    pub types: Types,
    pub projection: Projection,
    /// The bias on attention scores where it is more than that of padding.
    pub bias: Option<Bias>,
    pub layers: LayerList,
    pub names: LayerNames,
    pub heads: Heads,
}

/// Writes a bias from that of padding, N×1×1×T, and `input_ids`.
pub(super) type Bias = fn(&mut Encoder<'_>, &str, &str) -> Result<String, Error>;

/// Which row of the position embedding a token takes.
pub(super) enum Positions {
    /// Its place in the row, from 0.
    FromZero,
    /// Its place among the tokens that are not padding, from the padding's id + 1; padding takes the
    /// row of its id. The id is that of the checkpoint, or always this one.
    AfterPad(Option<u32>),
}

/// Segment embeddings.
pub(super) enum Types {
    /// By `token_type_ids`.
    Input,
    /// There is a table, of which every token takes row 0.
    First,
    None,
}

/// The Linear that takes embeddings to the width of the layers.
pub(super) enum Projection {
    None,
    Always(&'static str),
    WhereSizesDiffer(&'static str),
}

/// The layers in the order in which they run.
pub(super) enum LayerList {
    /// `{name}.0`, `{name}.1` …
    Numbered(&'static str),
    /// Names that repeat, from `config.json` and the number of layers.
    Listed(fn(&Settings<'_>, usize) -> Result<Vec<String>, Error>),
}

impl LayerList {
    fn list(&self, settings: &Settings<'_>, layers: usize) -> Result<Vec<String>, Error> {
        match self {
            Self::Numbered(name) => Ok((0..layers).map(|i| format!("{name}.{i}")).collect()),
            Self::Listed(list) => list(settings, layers),
        }
    }
}

/// An encoder being written into a graph.
pub(super) struct Encoder<'a> {
    pub net: Net<'a>,
    pub layout: &'static Layout,
    pub shape: &'a Shape,
    /// The layout's prefix, or nothing where the checkpoint is the bare encoder.
    pub prefix: &'static str,
}

/// A checkpoint of the family `layout` to its graph and all that a bundle says about it.
pub(super) fn build(
    layout: &'static Layout,
    source: &Source,
    options: &Options,
) -> Result<Built, Error> {
    let settings = Settings::read(source, layout.family)?;
    let shape = Shape::read(&settings, layout)?;
    let asked = options.wanted_task();
    // Sentence-transformers saves an encoder alone, whatever class `architectures` still names.
    let sentences = asked.is_none() && source.path("modules.json").is_file();
    let head = match asked {
        Some(task) => Head::of(task, layout.family)?,
        None if sentences => Head::Base,
        None => layout.heads.named(&settings, layout.classes)?,
    };
    let weights = Weights::new(&source.checkpoint, layout.family);
    let mut encoder = Encoder::new(layout, &shape, &weights);
    let hidden = encoder.encode()?;
    let classes = head.build(&mut encoder, &hidden)?;
    let (prefix, graph) = (encoder.prefix, encoder.net.graph);
    let unused = weights.finish(|name| {
        let below = name.strip_prefix(prefix).unwrap_or(name);
        let buffer = ["embeddings.position_ids", "embeddings.token_type_ids"].contains(&below);
        buffer
            || layout
                .heads
                .spare(name, below, head, asked.is_some() || sentences)
    })?;

    let task = match asked {
        Some(Task::Tensors) => Task::Tensors,
        _ => head.task(),
    };
    let tokenizer = match task {
        Task::Tensors => None,
        _ => text::tokenizer(source, shape.vocab)?,
    };
    let mut notes = Vec::new();
    let task = match (&tokenizer, asked) {
        (None, Some(task)) if task != Task::Tensors => {
            return Err(text::tokenizer_missing(source, task));
        }
        (None, None) if task != Task::Tensors => {
            notes.push(text::without_tokenizer());
            Task::Tensors
        }
        _ => task,
    };
    let input = match task {
        Task::Tensors => Input::Tensors,
        _ => {
            let longest = shape.max_tokens(layout);
            Input::Text(text::input(source, longest, shape.pad_id)?)
        }
    };
    let mut files = Vec::from_iter(tokenizer);
    if matches!(task, Task::Classify | Task::Tag) {
        files.push(text::labels(source, options, classes)?);
    }
    Ok(Built {
        graphs: model(graph),
        task,
        input,
        decode: text::decode(task, source, options, classes)?,
        files,
        unused: unused.0,
        notes,
    })
}

impl<'a> Encoder<'a> {
    fn new(layout: &'static Layout, shape: &'a Shape, weights: &'a Weights<'a>) -> Self {
        let bare = weights.contains("embeddings.word_embeddings.weight");
        Self {
            net: Net::new(layout.family, weights),
            layout,
            shape,
            prefix: if bare { "" } else { layout.prefix },
        }
    }

    /// The checkpoint's name of a weight of the encoder.
    pub fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Inputs, embeddings and all layers; answers `last_hidden_state`, N×T×D.
    fn encode(&mut self) -> Result<String, Error> {
        let ids = self.input("input_ids");
        let mask = self.input("attention_mask");
        let mut hidden = self.embeddings(&ids)?;
        self.net.graph.set_scope("mask");
        let mut bias = padding_bias(&mut self.net, &mask);
        if let Some(more) = self.layout.bias {
            bias = more(self, &bias, &ids)?;
        }
        let shape = self.shape;
        let layers = Layers {
            names: &self.layout.names,
            hidden: shape.hidden,
            heads: shape.heads,
            inner: shape.inner,
            biased: true,
            norm_epsilon: shape.norm_epsilon,
            activation: shape.activation,
        };
        for layer in &shape.layers {
            let layer = self.named(layer);
            hidden = layers.post_norm(&mut self.net, &hidden, Some(&bias), &layer)?;
        }
        Ok(hidden)
    }

    fn input(&mut self, name: &str) -> String {
        let dims = [Dim::named("batch"), Dim::named("sequence")];
        self.net.graph.input(name, DType::I64, dims)
    }

    /// `project(norm(word + type + position))`.
    fn embeddings(&mut self, ids: &str) -> Result<String, Error> {
        let Shape {
            hidden,
            embedding,
            types,
            ..
        } = *self.shape;
        let scope = self.named("embeddings");
        let words = self.words()?;
        let table = format!("{scope}.token_type_embeddings.weight");
        let typed = match self.layout.types {
            Types::Input => {
                let ids = self.input("token_type_ids");
                Some((self.net.table(&table, &[types, embedding])?, ids))
            }
            Types::First | Types::None => None,
        };
        self.net.graph.set_scope(&scope);
        let mut sum = self.net.graph.node("Gather", &[&words, ids], []);
        if let Some((table, ids)) = typed {
            let rows = self.net.graph.node("Gather", &[&table, &ids], []);
            sum = self.net.graph.node("Add", &[&sum, &rows], []);
        }
        let rows = self.positions(ids)?;
        let sum = self.net.graph.node("Add", &[&sum, &rows], []);
        // There are as many rows as tokens: with more tokens than positions the sum fails.
        let tokens = [Dim::named("batch"), Dim::named("sequence")];
        let dims = tokens.into_iter().chain([Dim::Fixed(embedding)]);
        self.net.graph.state(&sum, DType::F32, dims);
        let norm = format!("{scope}.LayerNorm");
        let epsilon = self.shape.norm_epsilon;
        let normed = self.net.layer_norm(&sum, &norm, embedding, epsilon)?;
        match self.shape.projection(self.layout) {
            Some(name) => {
                let name = self.named(name);
                self.net.linear(&normed, &name, [embedding, hidden])
            }
            None => Ok(normed),
        }
    }

    /// The word embedding, V×E.
    pub fn words(&mut self) -> Result<String, Error> {
        let name = self.named("embeddings.word_embeddings.weight");
        self.net
            .table(&name, &[self.shape.vocab, self.shape.embedding])
    }

    /// Rows of the position embedding: T×E, which spreads over the batch, or N×T×E.
    fn positions(&mut self, ids: &str) -> Result<String, Error> {
        let table = self.position_table()?;
        match self.layout.positions {
            Positions::FromZero => {
                let length = cache::length(&mut self.net, ids);
                let zero = self.net.i64s(&[0]);
                let inputs = [table.as_str(), &zero, &length, &zero];
                Ok(self.net.graph.node("Slice", &inputs, []))
            }
            Positions::AfterPad(_) => {
                let pad = self.net.index(i64::from(self.shape.pad_id));
                let axis = self.net.index(1);
                let graph = &mut self.net.graph;
                let padding = graph.node("Equal", &[ids, &pad], []);
                let token = graph.node("Not", &[&padding], []);
                let to = i64::from(DType::I64.code());
                let token = graph.node("Cast", &[&token], [("to", to.into())]);
                let place = graph.node("CumSum", &[&token, &axis], []);
                let place = graph.node("Mul", &[&place, &token], []);
                let row = graph.node("Add", &[&place, &pad], []);
                Ok(graph.node("Gather", &[&table, &row], []))
            }
        }
    }

    /// The position embedding, with row 0 of the segments added where all tokens take it.
    fn position_table(&mut self) -> Result<String, Error> {
        let size = self.shape.embedding;
        let dims = [self.shape.positions, size];
        let name = self.named("embeddings.position_embeddings.weight");
        if !matches!(self.layout.types, Types::First) {
            return self.net.table(&name, &dims);
        }
        let types = self.named("embeddings.token_type_embeddings.weight");
        let types = self.net.weights.take(&types, &[self.shape.types, size])?;
        let rows = self.net.weights.take(&name, &dims)?;
        let types = types.as_f32().unwrap_or_default();
        let rows = rows.as_f32().unwrap_or_default();
        let sums = rows.chunks_exact(size).flat_map(|row| {
            let pairs = row.iter().zip(types.iter());
            pairs.map(|(row, first)| row + first)
        });
        let sums = Tensor::f32(name, &dims, sums.collect());
        Ok(self.net.graph.initializer(sums))
    }
}
