//! EfficientNet (Tan and Le 2019, arXiv:1905.11946) and EfficientNetV2 (2021, arXiv:2104.00298) of any
//! width and depth, as `efficientnet.py` of torchvision 0.29 and, for the first,
//! `modeling_efficientnet.py` of transformers 5.23 compute them. Tensors as in `classifier.rs`.

use super::classifier::Classifier;
use super::inverted::{
    Block, Border, GateActivations, Names, Network, numbered, torchvision_blocks,
};
use super::layers::Activation;
use super::settings::Settings;
use super::torchvision::{self, Preset};
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "features.1.0.block.0.0.",
        "features.2.0.block.1.",
        ".fc2.",
        "classifier.1.",
    ],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        match source.model_type() {
            Some(model_type) => model_type == NAME,
            None => has("features.0.0.weight") && has("features.1.0.block.0.0.weight"),
        }
    },
    build,
};

const NAME: &str = "efficientnet";

/// Strides of the stages in every variant; those of fewer stages lack the last.
const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];

/// What tells a variant of torchvision, and what of it no weight shows.
struct Variant {
    name: &'static str,
    /// Blocks of all stages together.
    blocks: usize,
    /// Channels behind the last convolution.
    width: usize,
    norm_epsilon: f64,
}

const fn variant(name: &'static str, [blocks, width]: [usize; 2], norm_epsilon: f64) -> Variant {
    Variant {
        name,
        blocks,
        width,
        norm_epsilon,
    }
}

const VARIANTS: [Variant; 11] = [
    variant("efficientnet_b0", [16, 1280], 1e-5),
    variant("efficientnet_b1", [23, 1280], 1e-5),
    variant("efficientnet_b2", [23, 1408], 1e-5),
    variant("efficientnet_b3", [26, 1536], 1e-5),
    variant("efficientnet_b4", [32, 1792], 1e-5),
    variant("efficientnet_b5", [39, 2048], 1e-3),
    variant("efficientnet_b6", [45, 2304], 1e-3),
    variant("efficientnet_b7", [55, 2560], 1e-3),
    variant("efficientnet_v2_s", [40, 1280], 1e-3),
    variant("efficientnet_v2_m", [57, 1280], 1e-3),
    variant("efficientnet_v2_l", [79, 1280], 1e-3),
];

const HF_NAMES: Names = Names {
    expand: ["expansion.expand_conv", "expansion.expand_bn"],
    depthwise: [
        "depthwise_conv.depthwise_conv",
        "depthwise_conv.depthwise_norm",
    ],
    gate: Some(["squeeze_excite.reduce", "squeeze_excite.expand"]),
    project: ["projection.project_conv", "projection.project_bn"],
};

const fn gate(activation: Activation) -> GateActivations {
    [activation, Activation::Sigmoid]
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let weights = Weights::new(&source.checkpoint, NAME);
    if source.model_type().is_some() {
        return of_transformers(source, options, weights);
    }
    let head = &["classifier.1"];
    let classifier = Classifier::new(NAME, source, options, head)?;
    let activation = Activation::Silu;
    let mut blocks = Vec::new();
    let mut stages = 0;
    loop {
        let names = (0..).map(|i| format!("features.{}.{i}.block", stages + 1));
        let stage = torchvision_blocks(&weights, names);
        if stage.is_empty() {
            break;
        }
        for (i, (name, parts)) in stage.into_iter().enumerate() {
            let stride = match (i, STRIDES.get(stages)) {
                (0, Some(&stride)) => stride,
                _ => 1,
            };
            blocks.push((name, Block::plain(parts, stride, activation)));
        }
        stages += 1;
    }
    let last = numbered(&format!("features.{}", stages + 1));
    let width = weights.shape(&format!("{}.weight", last[0]));
    let width = width.and_then(|shape| shape.first().copied());
    let name = classifier.model.map(|model| model.name);
    let Some(variant) = variant_of(name, blocks.len(), width.unwrap_or(1)) else {
        return Err(Error::Unsupported {
            family: NAME,
            what: format!("a network of {} blocks and no name", blocks.len()),
            next:
                "b0 to b7, v2_s, v2_m and v2_l of torchvision are; name the one it came from with \
                   --arch, such as --arch efficientnet_b0"
                    .into(),
        });
    };
    let preset = torchvision::model(variant.name).map_or(Preset::USUAL, |model| model.preset);
    let image = classifier.image(preset)?;
    let network = Network {
        first: numbered("features.0"),
        blocks,
        last,
        norm_epsilon: variant.norm_epsilon,
        border: Border::Half,
        activation,
        gate: gate(activation),
    };
    network.classifier(weights, classifier, image, head)
}

/// The variant of a name, else the one with as many blocks, and of those the nearest in width.
fn variant_of(name: Option<&str>, blocks: usize, width: usize) -> Option<&'static Variant> {
    let named = VARIANTS.iter().find(|variant| Some(variant.name) == name);
    let as_deep = VARIANTS.iter().filter(|variant| variant.blocks == blocks);
    named.or_else(|| as_deep.min_by_key(|variant| variant.width.abs_diff(width)))
}

fn of_transformers(
    source: &Source,
    options: &Options,
    weights: Weights<'_>,
) -> Result<Built, Error> {
    let settings = Settings::read(source, NAME)?;
    if let Some(pooling) = settings.text("pooling_type").filter(|name| *name != "mean") {
        return Err(settings.unsupported(format!("pooling_type `{pooling}`"), "mean is"));
    }
    let prefix = match weights.contains("efficientnet.embeddings.convolution.weight") {
        true => "efficientnet.",
        false => "",
    };
    let activation = settings.activation("hidden_act", Activation::Silu)?;
    let strides = settings.sizes("strides", &STRIDES)?;
    let repeats = settings.sizes("num_block_repeats", &[1, 2, 2, 3, 3, 4, 1])?;
    let depth = settings.number("depth_coefficient", 3.1)?;
    let square: Vec<u64> = settings
        .get("depthwise_padding")
        .and_then(|list| list.as_array())
        .map(|list| list.iter().filter_map(|i| i.as_u64()).collect())
        .unwrap_or_default();

    let mut blocks = Vec::new();
    for (&repeats, &stride) in repeats.iter().zip(&strides) {
        let repeats = (repeats as f64 * depth).ceil();
        let most = (Settings::MAX_LAYERS - blocks.len().min(Settings::MAX_LAYERS)) as f64;
        if !(1.0..=most).contains(&repeats) {
            return Err(settings.wrong(format!(
                "a stage has {repeats} blocks, expected 1 to {most}"
            )));
        }
        for repeat in 0..repeats as usize {
            let i = blocks.len();
            let name = format!("{prefix}encoder.blocks.{i}");
            let stride = if repeat == 0 { stride } else { 1 };
            let mut block = Block::plain(HF_NAMES.parts(&weights, &name), stride, activation);
            if !square.contains(&(i as u64)) {
                block.border = Border::After;
            }
            block.adds = repeat > 0;
            blocks.push((name, block));
        }
    }
    let below = |names: [&str; 2]| names.map(|name| format!("{prefix}{name}"));
    let network = Network {
        first: below(["embeddings.convolution", "embeddings.batchnorm"]),
        blocks,
        last: below(["encoder.top_conv", "encoder.top_bn"]),
        norm_epsilon: settings.number("batch_norm_eps", 1e-3)?,
        border: Border::After,
        activation,
        gate: gate(activation),
    };
    let head = &["classifier"];
    let classifier = Classifier::new(NAME, source, options, head)?;
    let image = classifier.image(Preset::USUAL)?;
    network.classifier(weights, classifier, image, head)
}
