//! MobileNet v2 (Sandler et al. 2018, arXiv:1801.04381) and v3 (Howard et al. 2019, arXiv:1905.02244) of
//! any width, as `mobilenetv2.py` and `mobilenetv3.py` of torchvision 0.29 and, for v2,
//! `modeling_mobilenet_v2.py` of transformers 5.23 compute them. Tensors as in `classifier.rs`.
//!
//! Checkpoints that came from TensorFlow, as most of transformers, pad as it does: H and W are fixed.

use super::classifier::Classifier;
use super::inverted::{
    Block, Border, GateActivations, Names, Network, numbered, torchvision_blocks,
};
use super::layers::{Activation, Net};
use super::map::Map;
use super::settings::Settings;
use super::torchvision::{HALVES, Preset};
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const V2: Family = Family {
    name: V2_NAME,
    marks: &[
        "features.1.conv.0.0.",
        "features.2.conv.1.",
        "features.18.",
        "classifier.1.",
    ],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        match source.model_type() {
            Some(model_type) => model_type == V2_NAME,
            None => has("features.0.0.weight") && has("features.1.conv.0.0.weight"),
        }
    },
    build: v2,
};

pub(super) const V3: Family = Family {
    name: V3_NAME,
    marks: &[
        "features.1.block.0.0.",
        "features.2.block.1.",
        ".fc1.",
        "classifier.3.",
    ],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        source.model_type().is_none()
            && has("features.0.0.weight")
            && has("features.1.block.0.0.weight")
    },
    build: v3,
};

const V2_NAME: &str = "mobilenet_v2";
const V3_NAME: &str = "mobilenet_v3";

const GATE: GateActivations = [Activation::Relu, Activation::HardSigmoid];

/// Strides of the blocks of v2.
const V2_STRIDES: [usize; 17] = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1];

/// A size of v3.
struct V3Size {
    strides: &'static [usize],
    /// Blocks before this one have ReLU, the others hard swish.
    swish_from: usize,
}

const V3_SIZES: [V3Size; 2] = [
    // Large.
    V3Size {
        strides: &[1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1],
        swish_from: 6,
    },
    // Small.
    V3Size {
        strides: &[2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1],
        swish_from: 3,
    },
];

const HF_NAMES: Names = Names {
    expand: HF_EXPAND,
    depthwise: ["conv_3x3.convolution", "conv_3x3.normalization"],
    gate: None,
    project: ["reduce_1x1.convolution", "reduce_1x1.normalization"],
};

const HF_EXPAND: [&str; 2] = ["expand_1x1.convolution", "expand_1x1.normalization"];

fn v2(source: &Source, options: &Options) -> Result<Built, Error> {
    let weights = Weights::new(&source.checkpoint, V2_NAME);
    if source.model_type().is_some() {
        return v2_of_transformers(source, options, weights);
    }
    let network = v2_network(&weights, "features.", 1e-5)?;
    let head = &["classifier.1"];
    let classifier = Classifier::new(V2_NAME, source, options, head)?;
    let image = classifier.image(Preset::USUAL)?;
    network.classifier(weights, classifier, image, head)
}

fn v2_of_transformers(
    source: &Source,
    options: &Options,
    weights: Weights<'_>,
) -> Result<Built, Error> {
    let settings = Settings::read(source, V2_NAME)?;
    let prefix = match weights.contains("mobilenet_v2.conv_stem.first_conv.convolution.weight") {
        true => "mobilenet_v2.",
        false => "",
    };
    let pair =
        |name: &str| ["convolution", "normalization"].map(|part| format!("{prefix}{name}.{part}"));
    let activation = settings.activation("hidden_act", Activation::Relu6)?;
    let padded = settings.flag("tf_padding", true);
    let border = if padded { Border::Same } else { Border::Half };
    let finest = settings.size("output_stride", 32)?;

    let mut blocks = Vec::new();
    // Of the first convolution, which strides before any block. Where maps may shrink no further,
    // the filters of the following blocks spread instead.
    let (mut shrunk, mut spread) = (2, 1);
    for (i, stride) in V2_STRIDES.into_iter().enumerate() {
        let name = match i {
            0 => format!("{prefix}conv_stem"),
            _ => format!("{prefix}layer.{}", i - 1),
        };
        let mut block = Block::plain(HF_NAMES.parts(&weights, &name), stride, activation);
        block.border = border;
        block.adds = i > 0;
        if i > 0 && shrunk == finest {
            (block.stride, block.dilation) = (1, spread);
            spread *= stride;
        } else {
            shrunk *= stride;
        }
        blocks.push((name, block));
    }
    let network = Network {
        first: pair("conv_stem.first_conv"),
        last: pair("conv_1x1"),
        blocks,
        norm_epsilon: settings.number("layer_norm_eps", 1e-3)?,
        border,
        activation,
        gate: GATE,
    };
    let head = &["classifier"];
    let classifier = Classifier::new(V2_NAME, source, options, head)?;
    let image = classifier.image(Preset {
        colors: HALVES,
        ..Preset::USUAL
    })?;
    network.classifier(weights, classifier, image, head)
}

fn v3(source: &Source, options: &Options) -> Result<Built, Error> {
    let weights = Weights::new(&source.checkpoint, V3_NAME);
    let network = v3_network(&weights, "features.", 1e-3)?;
    let head = &["classifier.0", "classifier.3"];
    let classifier = Classifier::new(V3_NAME, source, options, head)?;
    let image = classifier.image(Preset::USUAL)?;
    network.classifier(weights, classifier, image, head)
}

/// torchvision's networks, whose layers are numbered behind `prefix`.
fn v2_network(weights: &Weights<'_>, prefix: &str, norm_epsilon: f64) -> Result<Network, Error> {
    let names = (1..).map(|i| format!("{prefix}{i}.conv"));
    let blocks = torchvision_blocks(weights, names);
    if blocks.len() != V2_STRIDES.len() {
        return Err(depth(V2_NAME, blocks.len(), "the 17 of torchvision"));
    }
    let activation = Activation::Relu6;
    let blocks = blocks.into_iter().zip(V2_STRIDES);
    let blocks = blocks.map(|((name, parts), stride)| {
        let block = Block::plain(parts, stride, activation);
        (name, block)
    });
    Ok(Network {
        first: numbered(&format!("{prefix}0")),
        last: numbered(&format!("{prefix}{}", V2_STRIDES.len() + 1)),
        blocks: blocks.collect(),
        norm_epsilon,
        border: Border::Half,
        activation,
        gate: GATE,
    })
}

fn v3_network(weights: &Weights<'_>, prefix: &str, norm_epsilon: f64) -> Result<Network, Error> {
    let names = (1..).map(|i| format!("{prefix}{i}.block"));
    let blocks = torchvision_blocks(weights, names);
    let count = blocks.len();
    let Some(size) = V3_SIZES.iter().find(|size| size.strides.len() == count) else {
        return Err(depth(V3_NAME, count, "the 15 of large and the 11 of small"));
    };
    let blocks = blocks.into_iter().zip(size.strides).enumerate();
    let blocks = blocks.map(|(i, ((name, parts), &stride))| {
        let activation = match i < size.swish_from {
            true => Activation::Relu,
            false => Activation::HardSwish,
        };
        (name, Block::plain(parts, stride, activation))
    });
    Ok(Network {
        first: numbered(&format!("{prefix}0")),
        last: numbered(&format!("{prefix}{}", count + 1)),
        blocks: blocks.collect(),
        norm_epsilon,
        border: Border::Half,
        activation: Activation::HardSwish,
        gate: GATE,
    })
}

/// The maps of torchvision's network that others are built on, and how much smaller than the picture
/// they are: behind each layer that strides, and behind the last. `prefix` stands before the numbers of
/// layers.
pub(super) fn stages(
    net: &mut Net<'_>,
    pixels: &Map,
    prefix: &str,
    norm_epsilon: f64,
) -> Result<Vec<(Map, usize)>, Error> {
    let second = net.weights.contains(&format!("{prefix}1.conv.0.0.weight"));
    let network = match second {
        true => v2_network(net.weights, prefix, norm_epsilon)?,
        false => v3_network(net.weights, prefix, norm_epsilon)?,
    };
    let maps = network.maps(net, pixels, None)?;
    let last = maps.len().saturating_sub(1);
    let mut smaller = 2;
    let mut stages = Vec::new();
    for (i, map) in maps.into_iter().enumerate() {
        let block = i.checked_sub(1).and_then(|block| network.blocks.get(block));
        let stride = block.map_or(1, |(_, block)| block.stride);
        smaller *= stride;
        if stride > 1 || i == 0 || i == last {
            stages.push((map, smaller));
        }
    }
    Ok(stages)
}

fn depth(family: &'static str, blocks: usize, known: &str) -> Error {
    Error::Unsupported {
        family,
        what: format!("a network of {blocks} blocks, whose strides no weight shows,"),
        next: format!("{known} are"),
    }
}
