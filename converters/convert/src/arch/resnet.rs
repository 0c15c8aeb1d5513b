//! ResNet (He et al. 2015, arXiv:1512.03385) with basic or bottleneck blocks, as `resnet.py` of
//! torchvision 0.29 and `modeling_resnet.py` of transformers 5.23 compute it. Depth and widths are
//! those of the weights, so ResNeXt (arXiv:1611.05431) and Wide ResNet (arXiv:1605.07146) are the same
//! network. Tensors as in `classifier.rs`.

use bevel_manifest::Interpolation;

use super::classifier::Classifier;
use super::layers::{Activation, Net};
use super::map::{Conv2d, Map, Pool};
use super::settings::Settings;
use super::torchvision::Preset;
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["layer1.0.conv", "layer2.0.downsample.", "layer4.", "bn1."],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        match source.model_type() {
            Some(model_type) => model_type == NAME,
            None => ["conv1.weight", "bn1.weight", "layer1.0.conv1.weight"].map(has) == [true; 3],
        }
    },
    build,
};

const NAME: &str = "resnet";

const NORM_EPSILON: f64 = 1e-5;

/// Side of the filters of the first layer, whose stride and pooling no weight shows.
const STEM_KERNEL: usize = 7;

/// What checkpoints call the weights.
struct Names {
    hugging_face: bool,
    /// Before all of them: `resnet.` below a head of transformers.
    prefix: &'static str,
}

impl Names {
    /// A convolution and the batch normalisation behind it.
    fn pair(&self, torchvision: [String; 2], transformers: String) -> [String; 2] {
        let Self {
            hugging_face,
            prefix,
        } = self;
        let names = match hugging_face {
            false => torchvision,
            true => ["convolution", "normalization"].map(|part| format!("{transformers}.{part}")),
        };
        names.map(|name| format!("{prefix}{name}"))
    }

    fn stem(&self) -> [String; 2] {
        let torchvision = ["conv1", "bn1"].map(str::to_owned);
        self.pair(torchvision, "embedder.embedder".into())
    }

    /// Convolution `i` of a block, counted from 0 as stages and blocks are.
    fn conv(&self, stage: usize, block: usize, i: usize) -> [String; 2] {
        let torchvision =
            ["conv", "bn"].map(|part| format!("layer{}.{block}.{part}{}", stage + 1, i + 1));
        let transformers = format!("encoder.stages.{stage}.layers.{block}.layer.{i}");
        self.pair(torchvision, transformers)
    }

    fn shortcut(&self, stage: usize, block: usize) -> [String; 2] {
        let torchvision = [0, 1].map(|i| format!("layer{}.{block}.downsample.{i}", stage + 1));
        let transformers = format!("encoder.stages.{stage}.layers.{block}.shortcut");
        self.pair(torchvision, transformers)
    }

    fn head(&self) -> &'static str {
        match self.hugging_face {
            true => "classifier.1",
            false => "fc",
        }
    }
}

/// What the weights do not show.
struct Style {
    /// Behind the first layer and behind each block. Inside of blocks it is ReLU.
    activation: Activation,
    /// Stride of the first stage.
    first_stride: usize,
    /// Whether bottlenecks stride in their first convolution instead of the second.
    early_stride: bool,
    norm_epsilon: f64,
}

impl Style {
    const TORCHVISION: Self = Self {
        activation: Activation::Relu,
        first_stride: 1,
        early_stride: false,
        norm_epsilon: NORM_EPSILON,
    };
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let has = |name: &str| source.checkpoint.contains(name);
    let names = Names {
        hugging_face: source.model_type().is_some(),
        prefix: match has("resnet.embedder.embedder.convolution.weight") {
            true => "resnet.",
            false => "",
        },
    };
    let style = match names.hugging_face {
        false => Style::TORCHVISION,
        true => {
            let settings = Settings::read(source, NAME)?;
            let downsamples = settings.flag("downsample_in_first_stage", false);
            Style {
                activation: settings.activation("hidden_act", Activation::Relu)?,
                first_stride: 1 + usize::from(downsamples),
                early_stride: settings.flag("downsample_in_bottleneck", false),
                norm_epsilon: NORM_EPSILON,
            }
        }
    };
    let head = &[names.head()];
    let classifier = Classifier::new(NAME, source, options, head)?;
    let image = classifier.image(match names.hugging_face {
        true => Preset::new(224, 256, Interpolation::BicubicAntialias),
        false => Preset::USUAL,
    })?;

    let weights = Weights::new(&source.checkpoint, NAME);
    let mut net = Net::new(NAME, &weights);
    let stem = format!("{}.weight", names.stem()[0]);
    let [_, channels, kernel, _] = net.filters(&stem);
    if kernel != STEM_KERNEL {
        return Err(Error::Unsupported {
            family: NAME,
            what: format!("a first layer of {kernel}×{kernel} filters"),
            next: "the 7×7 of torchvision and transformers are".into(),
        });
    }
    let pixels = net.picture(classifier.input_name(), channels, None);
    let maps = trunk(&mut net, &pixels, &names, &style)?;
    let map = maps.last().unwrap_or(&pixels);
    let classes = classifier.end(&mut net, map, head, style.activation)?;
    let graph = net.graph;
    let unused = weights.finish(|name| classifier.needless(name, head))?;
    classifier.built(graph, unused, classes, image)
}

/// The map behind each stage of torchvision's network, from a quarter of the picture on, each half of
/// the one before. `prefix` stands before the names of weights.
pub(super) fn stages(
    net: &mut Net<'_>,
    pixels: &Map,
    prefix: &'static str,
    norm_epsilon: f64,
) -> Result<Vec<Map>, Error> {
    let names = Names {
        hugging_face: false,
        prefix,
    };
    let style = Style {
        norm_epsilon,
        ..Style::TORCHVISION
    };
    trunk(net, pixels, &names, &style)
}

/// All but the head: the map behind each of as many stages of as many blocks as there are weights for.
fn trunk(net: &mut Net<'_>, pixels: &Map, names: &Names, style: &Style) -> Result<Vec<Map>, Error> {
    let [conv, norm] = names.stem();
    net.graph.set_scope("stem");
    let stem = Conv2d::PLAIN.stride(2).norm(&norm, style.norm_epsilon);
    let x = net.conv2d(pixels, &conv, stem)?;
    let x = net.activated(&x, style.activation);
    let pool = Pool {
        kernel: 3,
        stride: 2,
        padding: 1,
        ceil: false,
    };
    let mut x = net.max_pool(&x, pool);
    let weights = net.weights;
    let has = |stage, block| {
        let [conv, _] = names.conv(stage, block, 0);
        weights.contains(&format!("{conv}.weight"))
    };
    let mut stages = Vec::new();
    for stage in (0..).take_while(|&stage| has(stage, 0)) {
        for block in (0..).take_while(|&block| has(stage, block)) {
            let stride = match (stage, block) {
                (0, 0) => style.first_stride,
                (_, 0) => 2,
                _ => 1,
            };
            net.graph.set_scope(format!("stage{stage}.block{block}"));
            x = residual(net, &x, names, style, [stage, block, stride])?;
        }
        stages.push(x.clone());
    }
    Ok(stages)
}

/// `activation(convolutions(x) + x)`, x through a convolution of its own where sizes change. The
/// second convolution strides, or in the original ResNet the first.
fn residual(
    net: &mut Net<'_>,
    x: &Map,
    names: &Names,
    style: &Style,
    [stage, block, stride]: [usize; 3],
) -> Result<Map, Error> {
    let third = format!("{}.weight", names.conv(stage, block, 2)[0]);
    let (count, strided) = match net.weights.contains(&third) {
        true => (3, usize::from(!style.early_stride)),
        false => (2, 0),
    };
    let mut y = x.clone();
    for i in 0..count {
        if i > 0 {
            y = net.activated(&y, Activation::Relu);
        }
        let [conv, norm] = names.conv(stage, block, i);
        let stride = if i == strided { stride } else { 1 };
        let plain = Conv2d::PLAIN.grouped().stride(stride);
        y = net.conv2d(&y, &conv, plain.norm(&norm, style.norm_epsilon))?;
    }
    let [conv, norm] = names.shortcut(stage, block);
    let x = match net.weights.contains(&format!("{conv}.weight")) {
        true => {
            let plain = Conv2d::PLAIN.stride(stride);
            net.conv2d(x, &conv, plain.norm(&norm, style.norm_epsilon))?
        }
        false => x.clone(),
    };
    let sum = net.with("Add", &y, &[&x.value]);
    Ok(net.activated(&sum, style.activation))
}
