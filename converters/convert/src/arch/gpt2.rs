//! GPT-2 (Radford et al. 2019), as `modeling_gpt2.py` of transformers 5.23 computes it. Tensors are
//! those of [`super::causal`]; positions have a learned table.

use super::causal::{Causal, Model, Sizes, writes_text};
use super::layers::Activation;
use super::settings::Settings;
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["wte.weight", "wpe.weight", "attn.c_attn", "mlp.c_fc"],
    recognises: |source| source.model_type() == Some(NAME),
    build,
};

const NAME: &str = "gpt2";

struct Config {
    layers: usize,
    heads: usize,
    /// D.
    hidden: usize,
    /// Width of the feed-forward layer.
    inner: usize,
    vocab: usize,
    positions: usize,
    epsilon: f32,
    activation: Activation,
    /// Whether scores are divided by √K, and by the layer's number from 1.
    scaled: [bool; 2],
    tied: bool,
}

impl Config {
    fn read(settings: &Settings<'_>) -> Result<Self, Error> {
        writes_text(settings.architecture(), NAME)?;
        if settings.flag("add_cross_attention", false) {
            let what = "attention over an encoder (add_cross_attention)";
            return Err(settings.unsupported(what, "known: decoders alone"));
        }
        let hidden = settings.needed("n_embd")?;
        Ok(Self {
            layers: settings.layers("n_layer", 12)?,
            heads: settings.needed("n_head")?,
            hidden,
            inner: settings.size("n_inner", 4 * hidden)?,
            vocab: settings.needed("vocab_size")?,
            positions: settings.size("n_positions", 1024)?,
            epsilon: settings.number("layer_norm_epsilon", 1e-5)? as f32,
            activation: settings.activation("activation_function", Activation::GeluTanh)?,
            scaled: [
                settings.flag("scale_attn_weights", true),
                settings.flag("scale_attn_by_inverse_layer_idx", false),
            ],
            tied: settings.flag("tie_word_embeddings", true),
        })
    }

    /// What scores of layer `i` are multiplied by.
    fn scale(&self, i: usize, width: usize) -> f32 {
        let [by_width, by_layer] = self.scaled;
        let width = if by_width { (width as f32).sqrt() } else { 1.0 };
        let layer = if by_layer { (i + 1) as f32 } else { 1.0 };
        1.0 / (width * layer)
    }
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let settings = Settings::read(source, NAME)?;
    let config = Config::read(&settings)?;
    let hidden = config.hidden;
    let sizes = Sizes {
        layers: config.layers,
        heads: config.heads,
        groups: config.heads,
        width: settings.head_width(hidden, config.heads)?,
    };
    let weights = Weights::new(&source.checkpoint, NAME);
    // The first checkpoints were saved without the name of the model above its layers.
    let bare = weights.contains("wte.weight");
    let prefix = if bare { "" } else { "transformer." };
    let mut causal = Causal::new(NAME, &weights, sizes, options);

    causal.net.graph.set_scope("embeddings");
    let words = format!("{prefix}wte.weight");
    let words = causal.net.table(&words, &[config.vocab, hidden])?;
    let places = format!("{prefix}wpe.weight");
    let places = causal.net.table(&places, &[config.positions, hidden])?;
    let graph = &mut causal.net.graph;
    let mut x = graph.node("Gather", &[&words, &causal.ids], []);
    let place = graph.node("Gather", &[&places, &causal.positions], []);
    x = graph.node("Add", &[&x, &place], []);
    for i in 0..config.layers {
        let layer = format!("{prefix}h.{i}");
        causal.net.graph.set_scope(&layer);
        x = self::layer(&mut causal, &config, sizes, i, &x, &layer)?;
    }
    let net = &mut causal.net;
    net.graph.set_scope("head");
    x = net.layer_norm(&x, &format!("{prefix}ln_f"), hidden, config.epsilon)?;
    let dims = [config.vocab, hidden];
    let table = net.output_table("lm_head.weight", &words, &dims, config.tied)?;
    let graph = causal.finish(&x, &table, dims);
    // Old checkpoints keep the causal mask, and what masked scores are set to, as weights.
    let buffer = |name: &str| name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    Model {
        family: NAME,
        graph,
        unused: weights.finish(buffer)?,
        notes: Vec::new(),
        vocab: config.vocab,
        positions: config.positions,
    }
    .bundle(source, options)
}

/// `y = x + attention(norm(x))`, `y + feed_forward(norm(y))`, N×T×D.
fn layer(
    causal: &mut Causal<'_>,
    config: &Config,
    sizes: Sizes,
    i: usize,
    x: &str,
    name: &str,
) -> Result<String, Error> {
    let (hidden, inner) = (config.hidden, config.inner);
    let normed = format!("{name}.ln_1");
    let y = causal.net.layer_norm(x, &normed, hidden, config.epsilon)?;
    let all = format!("{name}.attn.c_attn");
    let all = conv1d(causal, &y, &all, [hidden, 3 * hidden])?;
    let parts = [("num_outputs", 3.into()), ("axis", (-1).into())];
    let [query, key, value] = causal.net.graph.node_of("Split", &[&all], parts);
    let scale = config.scale(i, sizes.width);
    let mixed = causal.attend(i, [&query, &key, &value], scale);
    let mixed = conv1d(
        causal,
        &mixed,
        &format!("{name}.attn.c_proj"),
        [hidden, hidden],
    )?;
    let x = causal.net.graph.node("Add", &[x, &mixed], []);
    let normed = format!("{name}.ln_2");
    let y = causal.net.layer_norm(&x, &normed, hidden, config.epsilon)?;
    let y = conv1d(causal, &y, &format!("{name}.mlp.c_fc"), [hidden, inner])?;
    let y = causal.net.activation(&y, config.activation);
    let y = conv1d(causal, &y, &format!("{name}.mlp.c_proj"), [inner, hidden])?;
    Ok(causal.net.graph.node("Add", &[&x, &y], []))
}

/// `x·W + b`: what transformers calls `Conv1D`, its weight inputs×outputs.
fn conv1d(
    causal: &mut Causal<'_>,
    x: &str,
    name: &str,
    [inputs, outputs]: [usize; 2],
) -> Result<String, Error> {
    let net = &mut causal.net;
    let weight = format!("{name}.weight");
    let weight = net.weights.take(&weight, &[inputs, outputs])?;
    let bias = net.weights.take(&format!("{name}.bias"), &[outputs])?;
    Ok(net.affine(x, weight, Some(bias)))
}
