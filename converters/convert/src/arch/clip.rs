//! CLIP (Radford et al. 2021, arXiv:2103.00020), as `modeling_clip.py` of transformers 5.23 computes
//! it: the whole model, or one tower of it.
//!
//! | graph | tensor | shape | dtype | meaning |
//! |---|---|---|---|---|
//! | `text` | in `input_ids` | N×T | i64 | token ids, 0 ..= V−1, each row with the end token |
//! | | in `attention_mask` | N×T | i64 | 1 for tokens, 0 for padding |
//! | | out `text_embeds` | N×P | f32 | of length 1 |
//! | `vision` | in `pixel_values` | N×3×H×W | f32 | normalised pixels, H = W |
//! | | out `image_embeds` | N×P | f32 | of length 1 |
//! | `similarity` | in `image_embeds` | N×P | f32 | |
//! | | in `text_embeds` | M×P | f32 | |
//! | | out `logits_per_image` | N×M | f32 | cosine times a learned factor, mostly 100 |
//!
//! A checkpoint of one tower is the graph `model`, which has `last_hidden_state` as well. Its
//! `text_embeds` or `image_embeds` are then as the projection leaves them, and `pooler_output` stands
//! for them where there is no projection.

mod text;
mod vision;

use bevel_manifest::{Decode, EmbedSpec, Input, Pooling, Task, TextImageInput};
use bevel_onnx::{DType, Dim, Graph};

use super::layers::{Activation, Net};
use super::settings::Settings;
use super::transformer::{LayerNames, Layers};
use super::{image, text as side_files};
use crate::arch::{Built, Family, Graphs, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: "clip",
    marks: &[
        "layer_norm1.",
        "layer_norm2.",
        "mlp.fc1.",
        "self_attn.out_proj.",
    ],
    recognises: |source| source.model_type().is_some_and(|name| kind(name).is_some()),
    build,
};

const LAYER_NAMES: LayerNames = LayerNames {
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    output: "self_attn.out_proj",
    attention_norm: "layer_norm1",
    inner: "mlp.fc1",
    outer: "mlp.fc2",
    feed_forward_norm: "layer_norm2",
};

/// Which towers a checkpoint has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Both,
    Text,
    Vision,
}

fn kind(model_type: &str) -> Option<Kind> {
    match model_type {
        "clip" => Some(Kind::Both),
        "clip_text_model" => Some(Kind::Text),
        "clip_vision_model" => Some(Kind::Vision),
        _ => None,
    }
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let settings = Settings::read(source, FAMILY.name)?;
    let kind = source.model_type().and_then(kind).unwrap_or(Kind::Both);
    if let Some(name) = settings.architecture().filter(|name| name.contains("For")) {
        let what = format!("architecture `{name}` of config.json");
        return Err(settings.unsupported(what, "CLIPModel and its towers are"));
    }
    let asked = options.wanted_task();
    options.task_of(FAMILY.name, &[Task::Embed, Task::Tensors])?;
    let part = |key: &str| match kind {
        Kind::Both => settings
            .section(key)
            .ok_or_else(|| settings.wrong(format!("has no `{key}`, which CLIP needs"))),
        _ => Ok(settings.clone()),
    };
    let joint = kind == Kind::Both;
    let projected = match joint {
        true => Some(settings.size("projection_dim", 512)?),
        false => None,
    };
    let weights = Weights::new(&source.checkpoint, FAMILY.name);
    let text = match kind {
        Kind::Vision => None,
        _ => Some(text::Text::read(&part("text_config")?, projected)?),
    };
    let vision = match kind {
        Kind::Text => None,
        _ => Some(vision::Vision::read(&part("vision_config")?, projected)?),
    };
    let mut graphs = Graphs::new();
    if let Some(text) = &text {
        graphs.insert("text", text.build(&weights, joint)?);
    }
    if let Some(vision) = &vision {
        graphs.insert("vision", vision.build(&weights, joint)?);
    }
    if let Some(width) = projected {
        graphs.insert("similarity", similarity(&weights, width)?);
    }
    let unused = weights.finish(|name| name.ends_with("embeddings.position_ids"))?;
    if !joint {
        graphs = graphs.into_values().next().map(model).unwrap_or_default();
    }

    let tokenizer = match &text {
        Some(text) if asked != Some(Task::Tensors) => side_files::tokenizer(source, text.vocab)?,
        _ => None,
    };
    let mut notes = Vec::new();
    if text.is_some() && tokenizer.is_none() && asked != Some(Task::Tensors) {
        if asked.is_some() {
            return Err(side_files::tokenizer_missing(source, Task::Embed));
        }
        notes.push(side_files::without_tokenizer());
    }
    let text_input = match (&text, &tokenizer) {
        (Some(text), Some(_)) => Some(side_files::input(source, text.positions, text.pad_id)?),
        _ => None,
    };
    let image_input = match &vision {
        Some(vision) if vision.channels == 3 => Some(image::input(
            source,
            Some(vision.side),
            vision.usual_input(),
        )?),
        _ => None,
    };
    let input = match (kind, text_input, image_input) {
        _ if asked == Some(Task::Tensors) => Input::Tensors,
        (Kind::Both, Some(text), Some(image)) => Input::TextImage(TextImageInput { text, image }),
        (Kind::Text, Some(text), _) => Input::Text(text),
        (Kind::Vision, _, Some(image)) => Input::Image(image),
        _ => Input::Tensors,
    };
    let (task, decode) = match &input {
        Input::Tensors => (Task::Tensors, Decode::Tensors),
        _ => {
            let spec = EmbedSpec {
                pooling: Pooling::Graph,
                normalize: !joint,
            };
            (Task::Embed, Decode::Embed(spec))
        }
    };
    Ok(Built {
        graphs,
        task,
        files: tokenizer
            .into_iter()
            .filter(|_| task != Task::Tensors)
            .collect(),
        input,
        decode,
        unused: unused.0,
        notes,
    })
}

/// `exp(logit_scale) · image · textᵀ`.
fn similarity(weights: &Weights<'_>, width: usize) -> Result<Graph, Error> {
    let mut graph = Graph::new("clip similarity");
    let mut input = |name: &str, rows: &str| {
        graph.input(name, DType::F32, [Dim::named(rows), Dim::Fixed(width)])
    };
    let image = input("image_embeds", "images");
    let text = input("text_embeds", "texts");
    let scale = weights.take("logit_scale", &[])?;
    let scale = scale.as_f32().and_then(|scale| scale.first().copied());
    let factor = scale.unwrap_or_default().exp();
    let attributes = [("alpha", factor.into()), ("transB", 1.into())];
    let logits = graph.node("Gemm", &[&image, &text], attributes);
    let dims = [Dim::named("images"), Dim::named("texts")];
    graph.output(&logits, "logits_per_image", DType::F32, dims);
    Ok(graph)
}

/// What both towers have: their layers, and what comes after them.
struct Tower {
    /// `text_model.` or `vision_model.`, where the weights have it.
    name: &'static str,
    projection: &'static str,
    output: &'static str,
    hidden: usize,
    layers: usize,
    heads: usize,
    inner: usize,
    norm_epsilon: f32,
    activation: Activation,
    /// P; for a tower alone the projection's own rows.
    projected: Option<usize>,
}

impl Tower {
    /// Reads the numbers that the towers call alike, with the defaults of `hidden`, `heads` and
    /// `inner`.
    fn read(
        settings: &Settings<'_>,
        [name, projection, output]: [&'static str; 3],
        [hidden, heads, inner]: [usize; 3],
        projected: Option<usize>,
    ) -> Result<Self, Error> {
        let hidden = settings.size("hidden_size", hidden)?;
        let heads = settings.size("num_attention_heads", heads)?;
        settings.head_width(hidden, heads)?;
        Ok(Self {
            name,
            projection,
            output,
            hidden,
            layers: settings.layers("num_hidden_layers", 12)?,
            heads,
            inner: settings.size("intermediate_size", inner)?,
            norm_epsilon: settings.number("layer_norm_eps", 1e-5)? as f32,
            activation: settings.activation("hidden_act", Activation::QuickGelu)?,
            projected,
        })
    }

    /// What stands before the tower's weights: nothing in a bare tower of transformers 5.
    fn prefix(&self, weights: &Weights<'_>) -> &'static str {
        let positions = format!("{}embeddings.position_embedding.weight", self.name);
        match weights.contains(&positions) {
            true => self.name,
            false => "",
        }
    }

    fn encode(
        &self,
        net: &mut Net<'_>,
        mut x: String,
        bias: Option<&str>,
        prefix: &str,
    ) -> Result<String, Error> {
        let layers = Layers {
            names: &LAYER_NAMES,
            hidden: self.hidden,
            heads: self.heads,
            inner: self.inner,
            biased: true,
            norm_epsilon: self.norm_epsilon,
            activation: self.activation,
        };
        for i in 0..self.layers {
            let layer = format!("{prefix}encoder.layers.{i}");
            x = layers.pre_norm(net, &x, bias, &layer)?;
        }
        net.graph.set_scope("head");
        Ok(x)
    }

    /// Outputs: the projection of `pooled`, N×D, of length 1 in the joint model; beside it `hidden`,
    /// N×T×D, in a tower alone.
    fn finish(
        &self,
        net: &mut Net<'_>,
        pooled: &str,
        hidden: (&str, Dim),
        joint: bool,
    ) -> Result<(), Error> {
        let weight = format!("{}.weight", self.projection);
        let (mut embeds, name, width) = match self.projected {
            None if !net.weights.contains(&weight) => (pooled.into(), "pooler_output", self.hidden),
            projected => {
                let width = projected.unwrap_or_else(|| net.rows(&weight));
                let embeds = net.product(pooled, self.projection, [self.hidden, width])?;
                (embeds, self.output, width)
            }
        };
        if joint {
            let axes = net.i64s(&[-1]);
            let length = net.graph.node("ReduceL2", &[&embeds, &axes], []);
            embeds = net.graph.node("Div", &[&embeds, &length], []);
        }
        let batch = || Dim::named("batch");
        let graph = &mut net.graph;
        graph.output(&embeds, name, DType::F32, [batch(), Dim::Fixed(width)]);
        if !joint {
            let (value, length) = hidden;
            let dims = [batch(), length, Dim::Fixed(self.hidden)];
            graph.output(value, "last_hidden_state", DType::F32, dims);
        }
        Ok(())
    }
}
