use bevel_onnx::{DType, Dim, Tensor};

use super::config::{Config, Norm};
use crate::Error;
use crate::arch::cache::length;
use crate::arch::conv::Conv;
use crate::arch::layers::{Net, hide_others};
use crate::arch::transformer::{LayerNames, Layers};

/// ε of the norms of the feature extractor, which no configuration names.
const CONV_EPSILON: f32 = 1e-5;

/// ε of `BatchNorm1d`.
const BATCH_EPSILON: f64 = 1e-5;

/// Names of a weight-normalised weight, since torch 2.0 and before: length and direction.
const WEIGHT_NORMS: [[&str; 2]; 2] = [
    [
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    ],
    ["weight_g", "weight_v"],
];

const NAMES: LayerNames = LayerNames {
    query: "attention.q_proj",
    key: "attention.k_proj",
    value: "attention.v_proj",
    output: "attention.out_proj",
    attention_norm: "layer_norm",
    inner: "feed_forward.intermediate_dense",
    outer: "feed_forward.output_dense",
    feed_forward_norm: "final_layer_norm",
};

/// Hidden states, and which frames are sound.
pub(super) struct Encoded {
    /// N×T×D.
    pub states: String,
    /// N×T×1 of bool, where padding is marked.
    sound: Option<String>,
}

impl Encoded {
    /// The mean of N×T×C over the frames that are sound: N×C.
    pub fn mean(&self, net: &mut Net<'_>, x: &str) -> String {
        let axis = net.i64s(&[1]);
        let keep = [("keepdims", 0.into())];
        let Some(sound) = &self.sound else {
            return net.graph.node("ReduceMean", &[x, &axis], keep);
        };
        let zero = net.scalar(0.0);
        let to = i64::from(DType::F32.code());
        let graph = &mut net.graph;
        let x = graph.node("Where", &[sound, x, &zero], []);
        let sum = graph.node("ReduceSum", &[&x, &axis], keep.clone());
        let count = graph.node("Cast", &[sound], [("to", to.into())]);
        let count = graph.node("ReduceSum", &[&count, &axis], keep);
        graph.node("Div", &[&sum, &count], [])
    }
}

/// Samples to hidden states.
pub(super) fn encode(
    net: &mut Net<'_>,
    config: &Config<'_>,
    masked: bool,
) -> Result<Encoded, Error> {
    let prefix = &config.prefix;
    let samples = || ["batch", "samples"].map(Dim::named);
    let samples_in = net.graph.input("input_values", DType::F32, samples());
    let mask = masked.then(|| net.graph.input("attention_mask", DType::I64, samples()));
    let x = features(net, config, &samples_in)?;
    let mut x = project(net, config, &x)?;

    net.graph.set_scope(format!("{prefix}encoder"));
    let mut bias = None;
    let sound = mask.map(|mask| sound_frames(net, config, &mask, &x));
    if let Some(sound) = &sound {
        let zero = net.scalar(0.0);
        x = net.graph.node("Where", &[sound, &x, &zero], []);
        // N×T×1 to N×1×1×T.
        let shape = net.i64s(&[0, 1, 1, -1]);
        let keep = net.graph.node("Reshape", &[sound, &shape], []);
        bias = Some(hide_others(net, &keep));
    }
    let positions = positions(net, config, &x)?;
    x = net.graph.node("Add", &[&x, &positions], []);
    let frames = ["batch", "frames"].map(Dim::named).into_iter();
    let dims = frames.chain([Dim::Fixed(config.hidden)]);
    net.graph.state(&x, DType::F32, dims);
    let norm = format!("{prefix}encoder.layer_norm");
    if !config.stable {
        x = net.layer_norm(&x, &norm, config.hidden, config.norm_epsilon)?;
    }
    let layers = Layers {
        names: &NAMES,
        hidden: config.hidden,
        heads: config.heads,
        inner: config.intermediate,
        biased: true,
        norm_epsilon: config.norm_epsilon,
        activation: config.activation,
    };
    for i in 0..config.layers {
        let layer = format!("{prefix}encoder.layers.{i}");
        x = match config.stable {
            true => layers.pre_norm(net, &x, bias.as_deref(), &layer)?,
            false => layers.post_norm(net, &x, bias.as_deref(), &layer)?,
        };
    }
    if config.stable {
        net.graph.set_scope(format!("{prefix}encoder"));
        x = net.layer_norm(&x, &norm, config.hidden, config.norm_epsilon)?;
    }
    Ok(Encoded { states: x, sound })
}

/// N×S to N×C×T.
fn features(net: &mut Net<'_>, config: &Config<'_>, samples: &str) -> Result<String, Error> {
    let channel = net.i64s(&[1]);
    let mut x = net.graph.node("Unsqueeze", &[samples, &channel], []);
    let mut inputs = 1;
    for (i, layer) in config.convs.iter().enumerate() {
        let name = format!("{}feature_extractor.conv_layers.{i}", config.prefix);
        net.graph.set_scope(&name);
        let conv = Conv::new(inputs, layer.outputs, layer.kernel).stride(layer.stride);
        inputs = layer.outputs;
        x = net.conv(&x, &format!("{name}.conv"), &conv, config.conv_bias)?;
        let norm = format!("{name}.layer_norm");
        match config.conv_norm {
            Norm::Group if i == 0 => x = net.channel_norm(&x, &norm, inputs, CONV_EPSILON)?,
            Norm::Group => {}
            Norm::Layer => {
                x = net.turn(&x);
                x = net.layer_norm(&x, &norm, inputs, CONV_EPSILON)?;
                x = net.turn(&x);
            }
        }
        x = net.activation(&x, config.conv_activation);
    }
    Ok(x)
}

/// N×C×T to N×T×D.
fn project(net: &mut Net<'_>, config: &Config<'_>, x: &str) -> Result<String, Error> {
    let name = format!("{}feature_projection", config.prefix);
    net.graph.set_scope(&name);
    let channels = config.convs.last().map_or(1, |layer| layer.outputs);
    let mut x = net.turn(x);
    if config.projection_norm {
        let norm = format!("{name}.layer_norm");
        x = net.layer_norm(&x, &norm, channels, config.norm_epsilon)?;
    }
    let size = [channels, config.hidden];
    net.linear(&x, &format!("{name}.projection"), size)
}

/// N×T×1: whether a frame hears sound alone, from the mask N×S and hidden states N×T×D.
fn sound_frames(net: &mut Net<'_>, config: &Config<'_>, mask: &str, x: &str) -> String {
    let axis = net.i64s(&[1]);
    let mut count = net.graph.node("ReduceSum", &[mask, &axis], []);
    let (zero, one) = (net.index(0), net.index(1));
    for layer in &config.convs {
        let (kernel, stride) = (
            net.index(layer.kernel as i64),
            net.index(layer.stride as i64),
        );
        let graph = &mut net.graph;
        count = graph.node("Sub", &[&count, &kernel], []);
        count = graph.node("Div", &[&count, &stride], []);
        count = graph.node("Add", &[&count, &one], []);
    }
    let frames = length(net, x);
    let none = net.i64s(&[0]);
    let graph = &mut net.graph;
    let frames = graph.node("Squeeze", &[&frames, &none], []);
    let frames = graph.node("Range", &[&zero, &frames, &one], []);
    let sound = graph.node("Less", &[&frames, &count], []);
    let last = net.i64s(&[2]);
    net.graph.node("Unsqueeze", &[&sound, &last], [])
}

/// What the positional convolution adds to N×T×D.
fn positions(net: &mut Net<'_>, config: &Config<'_>, x: &str) -> Result<String, Error> {
    let name = format!("{}encoder.pos_conv_embed", config.prefix);
    net.graph.set_scope(&name);
    let (hidden, kernel) = (config.hidden, config.position_kernel);
    let mut x = x.to_owned();
    if config.position_batch_norm {
        x = batch_norm(net, &x, &format!("{name}.batch_norm"), hidden)?;
    }
    let mut conv = Conv::new(hidden, hidden, kernel);
    conv.groups = config.position_groups;
    // `SamePad` cuts the last frame off behind an even kernel.
    conv.pads = [kernel / 2, (kernel - 1) / 2];
    let conv_name = format!("{name}.conv");
    let weight = normalised(net, &conv_name, &conv)?;
    let bias = net.weights.take(&format!("{conv_name}.bias"), &[hidden])?;
    x = net.turn(&x);
    x = net.convolve(&x, weight, Some(bias), &conv);
    x = net.activation(&x, config.conv_activation);
    Ok(net.turn(&x))
}

/// A weight from its length, one for each tap of the kernel, and its direction: `g·v / ‖v‖` over all
/// but the last axis (Salimans and Kingma 2016, arXiv:1602.07868). The weight itself where the
/// checkpoint has that.
fn normalised(net: &Net<'_>, name: &str, conv: &Conv) -> Result<Tensor, Error> {
    let plain = format!("{name}.weight");
    let weights = net.weights;
    let forms = WEIGHT_NORMS.map(|form| form.map(|part| format!("{name}.{part}")));
    let stored = forms.iter().find(|[length, _]| weights.contains(length));
    let [length, direction] = match stored {
        Some(form) => form,
        None if weights.contains(&plain) => return weights.take(&plain, &conv.dims()),
        None => &forms[0],
    };
    let lengths = weights.take(length, &[1, 1, conv.kernel])?;
    let lengths = lengths.as_f32().unwrap_or_default();
    let direction = weights.take(direction, &conv.dims())?;
    let mut elements = direction.as_f32().unwrap_or_default().into_owned();
    for (tap, length) in lengths.iter().enumerate() {
        let squares = elements.iter().skip(tap).step_by(conv.kernel);
        let norm = squares.map(|e| f64::from(*e).powi(2)).sum::<f64>().sqrt();
        let factor = f64::from(*length) / norm;
        for element in elements.iter_mut().skip(tap).step_by(conv.kernel) {
            *element = (f64::from(*element) * factor) as f32;
        }
    }
    Ok(Tensor::f32(plain, &conv.dims(), elements))
}

/// `BatchNorm1d` with the statistics of training, over the last axis of N×T×D: one product and one
/// sum.
fn batch_norm(net: &mut Net<'_>, x: &str, name: &str, size: usize) -> Result<String, Error> {
    let channels = net.batch_norm(name, size, BATCH_EPSILON)?;
    let [scale, shift] = [("scale", 0), ("shift", 1)].map(|(part, of)| {
        let elements = channels.iter().map(|channel| channel[of] as f32).collect();
        let row = Tensor::f32(format!("{name}.{part}"), &[size], elements);
        net.graph.initializer(row)
    });
    let x = net.graph.node("Mul", &[x, &scale], []);
    Ok(net.graph.node("Add", &[&x, &shift], []))
}
