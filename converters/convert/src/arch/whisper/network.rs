use bevel_onnx::{DType, Dim, Graph};

use super::{Config, NAME, speech};
use crate::Error;
use crate::arch::cache::length;
use crate::arch::conv::Conv;
use crate::arch::cross::{self, Decoding, states};
use crate::arch::layers::{Activation, Net, attend};
use crate::weights::Weights;

/// ε of every layer norm, which no configuration names.
const EPSILON: f32 = 1e-5;

/// Sizes that the weights tell.
pub(super) struct Sizes {
    /// `model.`, unless the bare model was saved.
    prefix: &'static str,
    /// D.
    pub hidden: usize,
    /// V.
    pub vocab: usize,
    /// M.
    pub mel_bins: usize,
    /// Most positions of the encoder, two frames each.
    pub source_positions: usize,
    /// Most tokens.
    pub target_positions: usize,
}

impl Sizes {
    pub fn read(config: &Config, weights: &Weights<'_>) -> Result<Self, Error> {
        let bare = weights.contains("encoder.conv1.weight");
        let prefix = if bare { "" } else { "model." };
        // 1 where a weight is missing, which `Weights::finish` reports.
        let size = |name: &str, axis: usize| {
            let shape = weights.shape(&format!("{prefix}{name}"));
            shape.and_then(|s| s.get(axis).copied()).unwrap_or(1).max(1)
        };
        let hidden = size("encoder.conv1.weight", 0);
        for heads in [config.heads.encoder, config.heads.decoder] {
            if !hidden.is_multiple_of(heads) {
                return Err(Error::Unsupported {
                    family: NAME,
                    what: format!("{heads} attention heads over a width of {hidden}"),
                    next: "their number must divide the width; is config.json of this checkpoint?"
                        .into(),
                });
            }
        }
        Ok(Self {
            prefix,
            hidden,
            vocab: size("decoder.embed_tokens.weight", 0),
            mel_bins: size("encoder.conv1.weight", 1),
            source_positions: size("encoder.embed_positions.weight", 0),
            target_positions: size("decoder.embed_positions.weight", 0),
        })
    }

    /// Those that front end and decoding follow.
    pub fn speech(&self) -> speech::Sizes {
        speech::Sizes {
            vocab: self.vocab,
            mel_bins: self.mel_bins,
            source_positions: self.source_positions,
            target_positions: self.target_positions,
        }
    }
}

/// A stack of layers under construction.
struct Stack<'a, 'b> {
    net: Net<'a>,
    config: &'b Config,
    hidden: usize,
    heads: usize,
}

impl Stack<'_, '_> {
    fn width(&self) -> usize {
        self.hidden / self.heads
    }

    fn norm(&mut self, x: &str, name: &str) -> Result<String, Error> {
        self.net.layer_norm(x, name, self.hidden, EPSILON)
    }

    /// N×H×T×K with the factor 1/√K.
    fn query(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let (size, width) = ([self.hidden; 2], self.width());
        let factor = 1.0 / (width as f32).sqrt();
        let query = self
            .net
            .linear_scaled(x, &format!("{name}.q_proj"), size, factor)?;
        Ok(self.net.split_heads(&query, self.heads, width))
    }

    /// Keys, which have no bias, and values, as they are before they are split into heads.
    fn key_value(&mut self, x: &str, name: &str) -> Result<[String; 2], Error> {
        let size = [self.hidden; 2];
        let key = self.net.product(x, &format!("{name}.k_proj"), size)?;
        let value = self.net.linear(x, &format!("{name}.v_proj"), size)?;
        Ok([key, value])
    }

    /// `x + out_proj(mixed)` for mixed N×H×T×K.
    fn project(&mut self, mixed: &str, x: &str, name: &str) -> Result<String, Error> {
        let mixed = self.net.join_heads(mixed, self.hidden);
        let out = format!("{name}.out_proj");
        let out = self.net.linear(&mixed, &out, [self.hidden; 2])?;
        Ok(self.net.graph.node("Add", &[x, &out], []))
    }

    /// `x + fc2(act(fc1(norm(x))))`.
    fn feed_forward(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let inner = self.net.rows(&format!("{name}.fc1.weight"));
        let y = self.norm(x, &format!("{name}.final_layer_norm"))?;
        let y = self
            .net
            .linear(&y, &format!("{name}.fc1"), [self.hidden, inner])?;
        let y = self.net.activation(&y, self.config.activation);
        let y = self
            .net
            .linear(&y, &format!("{name}.fc2"), [inner, self.hidden])?;
        Ok(self.net.graph.node("Add", &[x, &y], []))
    }
}

pub(super) fn encoder(
    config: &Config,
    sizes: &Sizes,
    weights: &Weights<'_>,
) -> Result<Graph, Error> {
    let mut stack = Stack {
        net: Net::new("whisper-encoder", weights),
        config,
        hidden: sizes.hidden,
        heads: config.heads.encoder,
    };
    let prefix = format!("{}encoder", sizes.prefix);
    let frames = [Dim::Fixed(sizes.mel_bins), Dim::named("frames")];
    let dims = [Dim::named("batch")].into_iter().chain(frames);
    let features = stack.net.graph.input("input_features", DType::F32, dims);
    let mut x = features;
    for (name, inputs, stride) in [("conv1", sizes.mel_bins, 1), ("conv2", sizes.hidden, 2)] {
        let name = format!("{prefix}.{name}");
        stack.net.graph.set_scope(&name);
        let conv = Conv::new(inputs, sizes.hidden, 3)
            .stride(stride)
            .pads([1, 1]);
        x = stack.net.conv(&x, &name, &conv, true)?;
        // Always this one, whatever `activation_function` says of the layers.
        x = stack.net.activation(&x, Activation::Gelu);
    }
    stack.net.graph.set_scope(&prefix);
    x = stack.net.turn(&x);
    let positions = format!("{prefix}.embed_positions.weight");
    let positions = stack
        .net
        .table(&positions, &[sizes.source_positions, sizes.hidden])?;
    let (start, end) = (stack.net.i64s(&[0]), length(&mut stack.net, &x));
    let rows = [positions.as_str(), &start, &end, &start];
    let positions = stack.net.graph.node("Slice", &rows, []);
    x = stack.net.graph.node("Add", &[&x, &positions], []);
    stack.net.graph.state(&x, DType::F32, states(sizes.hidden));
    for i in 0..config.layers.encoder {
        let layer = format!("{prefix}.layers.{i}");
        stack.net.graph.set_scope(&layer);
        let name = format!("{layer}.self_attn");
        let y = stack.norm(&x, &format!("{name}_layer_norm"))?;
        let query = stack.query(&y, &name)?;
        let [key, value] = stack.key_value(&y, &name)?;
        let (heads, width) = (stack.heads, stack.width());
        let key = stack.net.split_heads_transposed(&key, heads, width);
        let value = stack.net.split_heads(&value, heads, width);
        let mixed = attend(&mut stack.net.graph, [&query, &key, &value], None);
        x = stack.project(&mixed, &x, &name)?;
        x = stack.feed_forward(&x, &layer)?;
    }
    stack.net.graph.set_scope(&prefix);
    x = stack.norm(&x, &format!("{prefix}.layer_norm"))?;
    let mut graph = stack.net.graph;
    graph.output(&x, "last_hidden_state", DType::F32, states(sizes.hidden));
    Ok(graph)
}

pub(super) fn decoder(
    config: &Config,
    sizes: &Sizes,
    weights: &Weights<'_>,
    alignment: &[[usize; 2]],
) -> Result<Graph, Error> {
    let heads = config.heads.decoder;
    let mut stack = Stack {
        net: Net::new("whisper-decoder", weights),
        config,
        hidden: sizes.hidden,
        heads,
    };
    let (hidden, width) = (sizes.hidden, stack.width());
    let prefix = format!("{}decoder", sizes.prefix);
    let mut decoding = Decoding::new(
        &mut stack.net,
        NAME,
        cross::Sizes {
            layers: config.layers.decoder,
            heads,
            width,
            hidden,
        },
    )?;

    stack.net.graph.set_scope(&prefix);
    let words = format!("{prefix}.embed_tokens.weight");
    let words = stack.net.table(&words, &[sizes.vocab, hidden])?;
    let table = format!("{prefix}.embed_positions.weight");
    let table = stack.net.table(&table, &[sizes.target_positions, hidden])?;
    let mut x = stack.net.graph.node("Gather", &[&words, &decoding.ids], []);
    let positions = stack
        .net
        .graph
        .node("Gather", &[&table, &decoding.positions], []);
    x = stack.net.graph.node("Add", &[&x, &positions], []);

    for i in 0..config.layers.decoder {
        let layer = format!("{prefix}.layers.{i}");
        stack.net.graph.set_scope(&layer);
        let name = format!("{layer}.self_attn");
        let y = stack.norm(&x, &format!("{name}_layer_norm"))?;
        let query = stack.query(&y, &name)?;
        let [key, value] = stack.key_value(&y, &name)?;
        let key = stack.net.split_heads(&key, heads, width);
        let value = stack.net.split_heads(&value, heads, width);
        let [key, value] = decoding.append(&mut stack.net, i, [&key, &value]);
        let order = [("perm", [0, 1, 3, 2].into())];
        let key = stack.net.graph.node("Transpose", &[&key], order);
        let mixed = attend(
            &mut stack.net.graph,
            [&query, &key, &value],
            Some(&decoding.bias),
        );
        x = stack.project(&mixed, &x, &name)?;

        let name = format!("{layer}.encoder_attn");
        let y = stack.norm(&x, &format!("{name}_layer_norm"))?;
        let query = stack.query(&y, &name)?;
        let [key, value] = stack.key_value(&decoding.hidden, &name)?;
        let key = stack.net.split_heads(&key, heads, width);
        let value = stack.net.split_heads(&value, heads, width);
        let of_layer = alignment.iter().filter(|[layer, _]| *layer == i);
        let watch: Vec<usize> = of_layer.map(|[_, head]| *head).collect();
        let mixed = decoding.attend(&mut stack.net, i, &query, [&key, &value], &watch);
        x = stack.project(&mixed, &x, &name)?;
        x = stack.feed_forward(&x, &layer)?;
    }
    stack.net.graph.set_scope(&prefix);
    x = stack.norm(&x, &format!("{prefix}.layer_norm"))?;
    let dims = [sizes.vocab, hidden];
    let table = stack
        .net
        .output_table("proj_out.weight", &words, &dims, true)?;
    let logits = stack.net.tied(&x, &table, None, [hidden, sizes.vocab]);
    decoding.finish(&mut stack.net, &logits, sizes.vocab);
    Ok(stack.net.graph)
}
