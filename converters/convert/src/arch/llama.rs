//! Llama (Touvron et al. 2023, arXiv:2302.13971) and the decoders that differ from it by numbers:
//! Mistral, Qwen2 and Qwen3, as transformers 5.23 computes them. Tensors are those of
//! [`super::causal`].
//!
//! `y = x + o(attention(rotate(q), rotate(k), v))`, `y + down(silu(gate(y)) · up(y))`, each over its
//! input divided by its root mean square.

mod config;
mod rotation;

use super::causal::{Causal, Model};
use super::settings::Settings;
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};
use config::{Biases, Config, Window};
use rotation::{Rotation, Turns};

/// What tells the families apart.
struct Kind {
    name: &'static str,
    /// Biases of query, key and value; of the output of attention.
    biases: [Biases; 2],
    /// Whether the feed-forward layer may have biases.
    inner_biases: bool,
    /// Whether query and key of each head are normalised before they are rotated.
    head_norms: bool,
    window: Window,
    /// Width of a head where neither the configuration nor H and D are to be asked.
    width: Option<usize>,
}

const LLAMA_KIND: Kind = Kind {
    name: "llama",
    biases: [Biases::AsTold, Biases::AsTold],
    inner_biases: true,
    head_norms: false,
    window: Window::None,
    width: None,
};

const MISTRAL_KIND: Kind = Kind {
    name: "mistral",
    biases: [Biases::None, Biases::None],
    inner_biases: false,
    window: Window::Always,
    ..LLAMA_KIND
};

const QWEN2_KIND: Kind = Kind {
    name: "qwen2",
    biases: [Biases::Always, Biases::None],
    inner_biases: false,
    window: Window::AsTold,
    ..LLAMA_KIND
};

const QWEN3_KIND: Kind = Kind {
    name: "qwen3",
    inner_biases: false,
    head_norms: true,
    window: Window::AsTold,
    width: Some(128),
    ..LLAMA_KIND
};

pub(super) const LLAMA: Family = Family {
    name: LLAMA_KIND.name,
    marks: &["self_attn.q_proj", "mlp.gate_proj", "input_layernorm"],
    recognises: |source| source.model_type() == Some(LLAMA_KIND.name),
    build: |source, options| build(&LLAMA_KIND, source, options),
};

pub(super) const MISTRAL: Family = Family {
    name: MISTRAL_KIND.name,
    recognises: |source| source.model_type() == Some(MISTRAL_KIND.name),
    build: |source, options| build(&MISTRAL_KIND, source, options),
    // By the names of its weights it is a Llama.
    marks: &[],
};

pub(super) const QWEN2: Family = Family {
    name: QWEN2_KIND.name,
    marks: &["self_attn.q_proj.bias", "mlp.gate_proj", "input_layernorm"],
    recognises: |source| source.model_type() == Some(QWEN2_KIND.name),
    build: |source, options| build(&QWEN2_KIND, source, options),
};

pub(super) const QWEN3: Family = Family {
    name: QWEN3_KIND.name,
    marks: &["self_attn.q_norm", "self_attn.k_norm", "mlp.gate_proj"],
    recognises: |source| source.model_type() == Some(QWEN3_KIND.name),
    build: |source, options| build(&QWEN3_KIND, source, options),
};

fn build(kind: &'static Kind, source: &Source, options: &Options) -> Result<Built, Error> {
    let settings = Settings::read(source, kind.name)?;
    let config = Config::read(kind, &settings)?;
    let (rotation, notes) = Rotation::read(&settings, config.sizes.width, config.positions)?;
    let weights = Weights::new(&source.checkpoint, kind.name);
    let mut causal = Causal::new(kind.name, &weights, config.sizes, options);
    let (fused, hidden) = (causal.fused(), config.hidden);
    let net = &mut causal.net;
    net.graph.set_scope("model.rotary_emb");
    let turns = rotation.turns(net, &causal.positions, fused);
    net.graph.set_scope("model.embed_tokens");
    let words = net.table("model.embed_tokens.weight", &[config.vocab, hidden])?;
    let mut x = net.graph.node("Gather", &[&words, &causal.ids], []);
    let mut decoder = Decoder {
        causal,
        config: &config,
        turns,
    };
    for i in 0..config.sizes.layers {
        x = decoder.layer(i, &x)?;
    }
    let net = &mut decoder.causal.net;
    net.graph.set_scope("head");
    x = net.rms_norm(&x, "model.norm", hidden, config.epsilon)?;
    let dims = [config.vocab, hidden];
    let table = net.output_table("lm_head.weight", &words, &dims, config.tied)?;
    let graph = decoder.causal.finish(&x, &table, dims);
    // Old checkpoints keep what the rotation is computed from.
    let buffer = |name: &str| name.ends_with(".rotary_emb.inv_freq");
    Model {
        family: kind.name,
        graph,
        unused: weights.finish(buffer)?,
        notes,
        vocab: config.vocab,
        positions: config.positions,
    }
    .bundle(source, options)
}

struct Decoder<'a> {
    causal: Causal<'a>,
    config: &'a Config,
    turns: Turns,
}

impl Decoder<'_> {
    /// N×T×D to N×T×D.
    fn layer(&mut self, i: usize, x: &str) -> Result<String, Error> {
        let (config, sizes) = (self.config, self.config.sizes);
        let (hidden, inner) = (config.hidden, config.inner);
        let layer = format!("model.layers.{i}");
        self.causal.net.graph.set_scope(&layer);
        let attention = format!("{layer}.self_attn");
        let own = sizes.heads * sizes.width;
        let shared = sizes.groups * sizes.width;

        let y = self.norm(x, &format!("{layer}.input_layernorm"))?;
        let [of_parts, of_output] = config.biases;
        let part = |name: &str| format!("{attention}.{name}_proj");
        let query = self.dense(&y, &part("q"), [hidden, own], of_parts)?;
        let key = self.dense(&y, &part("k"), [hidden, shared], of_parts)?;
        let value = self.dense(&y, &part("v"), [hidden, shared], of_parts)?;
        let query = self.turn(&query, &format!("{attention}.q_norm"), sizes.heads)?;
        let key = self.turn(&key, &format!("{attention}.k_norm"), sizes.groups)?;
        let scale = 1.0 / (sizes.width as f32).sqrt();
        let mixed = self.causal.attend(i, [&query, &key, &value], scale);
        let mixed = self.dense(&mixed, &part("o"), [own, hidden], of_output)?;
        let x = self.causal.net.graph.node("Add", &[x, &mixed], []);

        let y = self.norm(&x, &format!("{layer}.post_attention_layernorm"))?;
        let part = |name: &str| format!("{layer}.mlp.{name}_proj");
        let gate = self.dense(&y, &part("gate"), [hidden, inner], config.inner_biases)?;
        let gate = self.causal.net.activation(&gate, config.activation);
        let up = self.dense(&y, &part("up"), [hidden, inner], config.inner_biases)?;
        let y = self.causal.net.graph.node("Mul", &[&gate, &up], []);
        let y = self.dense(&y, &part("down"), [inner, hidden], config.inner_biases)?;
        Ok(self.causal.net.graph.node("Add", &[&x, &y], []))
    }

    fn norm(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let (size, epsilon) = (self.config.hidden, self.config.epsilon);
        self.causal.net.rms_norm(x, name, size, epsilon)
    }

    fn dense(
        &mut self,
        x: &str,
        name: &str,
        size: [usize; 2],
        bias: bool,
    ) -> Result<String, Error> {
        match bias {
            true => self.causal.net.linear(x, name, size),
            false => self.causal.net.product(x, name, size),
        }
    }

    /// N×T×(n·K) by heads: normalised where the family does, and rotated.
    fn turn(&mut self, x: &str, norm: &str, heads: usize) -> Result<String, Error> {
        let (width, net) = (self.config.sizes.width, &mut self.causal.net);
        if !self.config.head_norms {
            return Ok(self.turns.turn(net, x, heads, width));
        }
        let apart = net.i64s(&[0, 0, heads as i64, width as i64]);
        let together = net.i64s(&[0, 0, (heads * width) as i64]);
        let x = net.graph.node("Reshape", &[x, &apart], []);
        let x = net.rms_norm(&x, norm, width, self.config.epsilon)?;
        let x = net.graph.node("Reshape", &[&x, &together], []);
        Ok(self.turns.turn(net, &x, heads, width))
    }
}
