use bevel_onnx::{DType, Dim, Graph, Tensor};

use super::NAME;
use super::config::{Config, Side};
use crate::Error;
use crate::arch::cache::length;
use crate::arch::conv::Conv;
use crate::arch::cross::{self, Decoding, states};
use crate::arch::layers::{Activation, Net, attend, scaled};
use crate::arch::rotary::Rotary;
use crate::weights::Weights;

/// ε of every norm, which no configuration names.
const EPSILON: f32 = 1e-5;

/// Kernel and stride of `conv1`, `conv2` and `conv3`: 384 samples a frame.
const STEM: [(usize, usize); 3] = [(127, 64), (7, 3), (3, 2)];

/// A stack of layers under construction.
struct Stack<'a, 'b> {
    net: Net<'a>,
    config: &'b Config,
    side: Side,
}

/// Queries N×G×(H/G·T)×K with the factor 1/√K, the heads that share keys one behind the other; keys and
/// values N×G×T×K.
struct Projected {
    query: String,
    key: String,
    value: String,
}

impl Stack<'_, '_> {
    fn norm(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let size = self.config.hidden;
        self.net.scale_norm(x, name, size, EPSILON)
    }

    /// `heads` heads of one projection, N×heads×T×K; in the order that [`Rotary`] turns where it does.
    fn heads(
        &mut self,
        x: &str,
        name: &str,
        heads: usize,
        turns: bool,
        factor: f32,
    ) -> Result<String, Error> {
        let width = self.side.turning.width;
        let (inputs, outputs) = (self.config.hidden, heads * width);
        let weights = self.net.weights;
        let weight = weights.take_transposed(&format!("{name}.weight"), outputs, inputs)?;
        let bias = match self.config.attention_bias {
            true => Some(weights.take(&format!("{name}.bias"), &[outputs])?),
            false => None,
        };
        let finish = |tensor: Tensor| {
            let tensor = scaled(tensor, factor);
            match turns {
                true => ordered(tensor, &self.side.turning.paired()),
                false => tensor,
            }
        };
        let (weight, bias) = (finish(weight), bias.map(finish));
        let x = self.net.affine(x, weight, bias);
        Ok(self.net.split_heads(&x, heads, width))
    }

    /// Queries of `x` over keys and values of `of`; turned for self-attention.
    fn project(
        &mut self,
        [x, of]: [&str; 2],
        name: &str,
        rotary: Option<&Rotary>,
    ) -> Result<Projected, Error> {
        let Side {
            heads, key_heads, ..
        } = self.side;
        let width = self.side.turning.width;
        let part = |part: &str| format!("{name}.{part}_proj");
        let factor = 1.0 / (width as f32).sqrt();
        let turns = rotary.is_some();
        let mut query = self.heads(x, &part("q"), heads, turns, factor)?;
        let mut key = self.heads(of, &part("k"), key_heads, turns, 1.0)?;
        let value = self.heads(of, &part("v"), key_heads, false, 1.0)?;
        if let Some(rotary) = rotary {
            query = rotary.turn(&mut self.net, &query);
            key = rotary.turn(&mut self.net, &key);
        }
        let query = self.regroup(&query, key_heads);
        Ok(Projected { query, key, value })
    }

    /// N×H×T×K to N×G×(H/G·T)×K, and back.
    fn regroup(&mut self, x: &str, heads: usize) -> String {
        if self.side.heads == self.side.key_heads {
            return x.into();
        }
        let width = self.side.turning.width as i64;
        let shape = self.net.i64s(&[0, heads as i64, -1, width]);
        self.net.graph.node("Reshape", &[x, &shape], [])
    }

    /// A bias T×S as the queries of [`Projected`] need it.
    fn repeat(&mut self, bias: String) -> String {
        match self.side.heads / self.side.key_heads {
            1 => bias,
            times => {
                let copies = vec![bias.as_str(); times];
                self.net.graph.node("Concat", &copies, [("axis", 0.into())])
            }
        }
    }

    /// `softmax(q·kᵀ + bias)·v`.
    fn attend(&mut self, of: &Projected, bias: Option<&str>) -> String {
        let order = [("perm", [0, 1, 3, 2].into())];
        let key = self.net.graph.node("Transpose", &[&of.key], order);
        attend(&mut self.net.graph, [&of.query, &key, &of.value], bias)
    }

    /// `x + o_proj(mixed)`.
    fn add(&mut self, x: &str, mixed: &str, name: &str) -> Result<String, Error> {
        let heads = self.side.heads;
        let inner = heads * self.side.turning.width;
        let mixed = self.regroup(mixed, heads);
        let mixed = self.net.join_heads(&mixed, inner);
        let size = [inner, self.config.hidden];
        let out = self.net.product(&mixed, &format!("{name}.o_proj"), size)?;
        Ok(self.net.graph.node("Add", &[x, &out], []))
    }

    /// `x + fc2(f(fc1(norm(x))))`, f the activation; gated, of two halves the first times the second's.
    fn feed_forward(
        &mut self,
        x: &str,
        [norm, name]: [&str; 2],
        gated: bool,
    ) -> Result<String, Error> {
        let hidden = self.config.hidden;
        let (fc1, fc2) = (format!("{name}.fc1"), format!("{name}.fc2"));
        let rows = self.net.rows(&format!("{fc1}.weight"));
        let y = self.norm(x, norm)?;
        let mut y = self.net.linear(&y, &fc1, [hidden, rows])?;
        let mut inner = rows;
        if gated {
            inner = rows / 2;
            let attributes = [("axis", (-1).into()), ("num_outputs", 2.into())];
            let [value, gate] = self.net.graph.node_of("Split", &[&y], attributes);
            let gate = self.net.activation(&gate, self.side.activation);
            y = self.net.graph.node("Mul", &[&value, &gate], []);
        } else {
            y = self.net.activation(&y, self.side.activation);
        }
        let y = self.net.linear(&y, &fc2, [inner, hidden])?;
        Ok(self.net.graph.node("Add", &[x, &y], []))
    }
}

pub(super) fn encoder(config: &Config, weights: &Weights<'_>) -> Result<Graph, Error> {
    let mut stack = Stack {
        net: Net::new("moonshine-encoder", weights),
        config,
        side: config.encoder,
    };
    let prefix = format!("{}encoder", config.prefix);
    let dims = ["batch", "samples"].map(Dim::named);
    let samples = stack.net.graph.input("input_values", DType::F32, dims);
    let mut x = stem(&mut stack.net, &samples, &prefix, config.hidden)?;

    stack.net.graph.set_scope(&prefix);
    let frames = length(&mut stack.net, &x);
    let none = stack.net.i64s(&[0]);
    let (zero, one) = (stack.net.index(0), stack.net.index(1));
    let frames = stack.net.graph.node("Squeeze", &[&frames, &none], []);
    let positions = [zero.as_str(), &frames, &one];
    let positions = stack.net.graph.node("Range", &positions, []);
    let rotary = Rotary::new(&mut stack.net, &positions, stack.side.turning);
    for i in 0..stack.side.layers {
        let layer = format!("{prefix}.layers.{i}");
        stack.net.graph.set_scope(&layer);
        let name = format!("{layer}.self_attn");
        let y = stack.norm(&x, &format!("{layer}.input_layernorm"))?;
        let projected = stack.project([&y, &y], &name, Some(&rotary))?;
        let mixed = stack.attend(&projected, None);
        x = stack.add(&x, &mixed, &name)?;
        let norm = format!("{layer}.post_attention_layernorm");
        x = stack.feed_forward(&x, [&norm, &format!("{layer}.mlp")], false)?;
    }
    stack.net.graph.set_scope(&prefix);
    x = stack.norm(&x, &format!("{prefix}.layer_norm"))?;
    let mut graph = stack.net.graph;
    graph.output(&x, "last_hidden_state", DType::F32, states(config.hidden));
    Ok(graph)
}

/// Samples N×S to N×T×D.
fn stem(net: &mut Net<'_>, samples: &str, prefix: &str, hidden: usize) -> Result<String, Error> {
    let channel = net.i64s(&[1]);
    net.graph.set_scope(prefix);
    let x = net.graph.node("Unsqueeze", &[samples, &channel], []);
    let conv = |i: usize, inputs: usize, outputs: usize| {
        let (kernel, stride) = STEM[i];
        Conv::new(inputs, outputs, kernel).stride(stride)
    };
    let name = |part: &str| format!("{prefix}.{part}");
    let x = net.conv(&x, &name("conv1"), &conv(0, 1, hidden), false)?;
    let x = net.activation(&x, Activation::Tanh);
    let x = net.whole_norm(&x, &name("groupnorm"), hidden, EPSILON)?;
    let x = net.conv(&x, &name("conv2"), &conv(1, hidden, 2 * hidden), true)?;
    let x = net.activation(&x, Activation::Gelu);
    let x = net.conv(&x, &name("conv3"), &conv(2, 2 * hidden, hidden), true)?;
    let x = net.activation(&x, Activation::Gelu);
    Ok(net.turn(&x))
}

pub(super) fn decoder(config: &Config, weights: &Weights<'_>) -> Result<Graph, Error> {
    let mut stack = Stack {
        net: Net::new("moonshine-decoder", weights),
        config,
        side: config.decoder,
    };
    let hidden = config.hidden;
    let (heads, width) = (stack.side.key_heads, stack.side.turning.width);
    let prefix = format!("{}decoder", config.prefix);
    let mut decoding = Decoding::new(
        &mut stack.net,
        NAME,
        cross::Sizes {
            layers: stack.side.layers,
            heads,
            width,
            hidden,
        },
    )?;

    stack.net.graph.set_scope(&prefix);
    let bias = stack.repeat(decoding.bias.clone());
    let rotary = Rotary::new(&mut stack.net, &decoding.positions, stack.side.turning);
    let table = [config.tokens.vocab, hidden];
    let words = format!("{prefix}.embed_tokens.weight");
    let words = stack.net.table(&words, &table)?;
    let mut x = stack.net.graph.node("Gather", &[&words, &decoding.ids], []);

    for i in 0..stack.side.layers {
        let layer = format!("{prefix}.layers.{i}");
        stack.net.graph.set_scope(&layer);
        let name = format!("{layer}.self_attn");
        let y = stack.norm(&x, &format!("{layer}.input_layernorm"))?;
        let mut of = stack.project([&y, &y], &name, Some(&rotary))?;
        [of.key, of.value] = decoding.append(&mut stack.net, i, [&of.key, &of.value]);
        let mixed = stack.attend(&of, Some(&bias));
        x = stack.add(&x, &mixed, &name)?;

        let name = format!("{layer}.encoder_attn");
        let y = stack.norm(&x, &format!("{layer}.post_attention_layernorm"))?;
        let of = stack.project([&y, &decoding.hidden], &name, None)?;
        let new = [of.key.as_str(), &of.value];
        let mixed = decoding.attend(&mut stack.net, i, &of.query, new, &[]);
        x = stack.add(&x, &mixed, &name)?;
        let norm = format!("{layer}.final_layernorm");
        x = stack.feed_forward(&x, [&norm, &format!("{layer}.mlp")], true)?;
    }
    stack.net.graph.set_scope(&prefix);
    x = stack.norm(&x, &format!("{prefix}.norm"))?;
    let output = stack
        .net
        .output_table("proj_out.weight", &words, &table, config.tied)?;
    let vocab = config.tokens.vocab;
    let logits = stack.net.tied(&x, &output, None, [hidden, vocab]);
    decoding.finish(&mut stack.net, &logits, vocab);
    Ok(stack.net.graph)
}

/// The last axis of a weight or bias in `order` within every head.
fn ordered(tensor: Tensor, order: &[usize]) -> Tensor {
    let elements = tensor.as_f32().unwrap_or_default();
    let heads = elements.chunks_exact(order.len());
    let elements = heads
        .flat_map(|head| order.iter().map(|i| head[*i]))
        .collect();
    Tensor::f32(tensor.name.clone(), &tensor.dims, elements)
}
