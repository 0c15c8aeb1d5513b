//! VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) as `vgg.py` of torchvision 0.29 computes it, with
//! and without batch normalisation. Where convolutions and poolings stand is read from the numbers of
//! the layers. Tensors as in `classifier.rs`.
//!
//! The first linear layer takes a map of G×G, mostly 7×7, whatever the size of the picture. So H and W
//! are fixed, unless G is 1.

use bevel_onnx::{Graph, Tensor};

use super::classifier::{Classifier, logits};
use super::layers::{Activation, Net};
use super::map::{Conv2d, Map, Pool};
use super::torchvision::Preset;
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "features.0.weight",
        "features.3.",
        "classifier.3.",
        "classifier.6.",
    ],
    recognises: |source| {
        let shape = |name: &str| source.checkpoint.tensor(name).ok().map(|t| t.shape.clone());
        let first = shape("features.0.weight").unwrap_or_default();
        matches!(first[..], [_, _, 3, 3])
            && shape("classifier.0.weight").is_some_and(|shape| shape.len() == 2)
    },
    build,
};

const NAME: &str = "vgg";

const NORM_EPSILON: f64 = 1e-5;

/// Side of the largest map that a head is believed to take; 7 is usual.
const MAX_GRID: usize = 128;

/// Halves a map.
const POOL: Pool = Pool {
    kernel: 2,
    stride: 2,
    padding: 0,
    ceil: false,
};

/// A convolution and what stands behind it.
struct Layer {
    conv: String,
    norm: Option<String>,
    pooled: bool,
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let linears = numbers(source, "classifier.", 2);
    let linears: Vec<String> = linears.iter().map(|i| format!("classifier.{i}")).collect();
    let linears: Vec<&str> = linears.iter().map(String::as_str).collect();
    let classifier = Classifier::new(NAME, source, options, &linears)?;
    let image = classifier.image(Preset::USUAL)?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let network = Network {
        layers: layers(source)?,
        linears: &linears,
        side: image.width as usize,
        size: classifier.size(&image),
    };
    let (graph, classes) = network.build(&weights, &classifier)?;
    let unused = weights.finish(|name| classifier.needless(name, &linears))?;
    classifier.built(graph, unused, classes, image)
}

/// Numbers of the layers of `part` that have a weight of `rank` dimensions.
fn numbers(source: &Source, part: &str, rank: usize) -> Vec<usize> {
    let number = |name: &str| -> Option<usize> {
        let middle = name.strip_prefix(part)?.strip_suffix(".weight")?;
        let tensor = source.checkpoint.tensor(name).ok()?;
        // As u32: names are hostile, too, and the next numbers are counted from these.
        let number: u32 = middle.parse().ok()?;
        (tensor.shape.len() == rank).then_some(number as usize)
    };
    let mut numbers: Vec<usize> = source.checkpoint.names().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Convolutions of `features` in order. Each has a non-linearity behind it, and the next one follows at
/// once or after a pooling; the last is pooled always.
fn layers(source: &Source) -> Result<Vec<Layer>, Error> {
    let convs = numbers(source, "features.", 4);
    let mut layers = Vec::new();
    for (i, &conv) in convs.iter().enumerate() {
        let norm = format!("features.{}", conv + 1);
        let normed = source.checkpoint.contains(&format!("{norm}.running_mean"));
        let behind = conv + 2 + usize::from(normed);
        let pooled = match convs.get(i + 1) {
            None => true,
            Some(&next) if next == behind => false,
            Some(&next) if next == behind + 1 => true,
            Some(next) => {
                return Err(Error::Unsupported {
                    family: NAME,
                    what: format!("what stands between `features.{conv}` and `features.{next}`"),
                    next: "a ReLU and a pooling, as torchvision has them, are".into(),
                });
            }
        };
        layers.push(Layer {
            conv: format!("features.{conv}"),
            norm: normed.then_some(norm),
            pooled,
        });
    }
    Ok(layers)
}

struct Network<'a> {
    layers: Vec<Layer>,
    /// Linear layers, with a ReLU between them.
    linears: &'a [&'a str],
    /// H = W of the pictures.
    side: usize,
    /// Both, where they are to be fixed in any case.
    size: Option<[usize; 2]>,
}

impl Network<'_> {
    /// The graph, and its number of classes.
    fn build(
        &self,
        weights: &Weights<'_>,
        classifier: &Classifier<'_>,
    ) -> Result<(Graph, usize), Error> {
        let Self {
            layers,
            linears,
            side,
            size,
        } = self;
        let mut net = Net::new(NAME, weights);
        let [first, last] = [layers.first(), layers.last()].map(|layer| {
            let conv = layer.map_or("features.0", |layer| &layer.conv);
            net.filters(&format!("{conv}.weight"))
        });
        let inputs = net.columns(&format!(
            "{}.weight",
            linears.first().unwrap_or(&"classifier.0")
        ));
        let grid = (inputs / last[0].max(1)).isqrt();
        if grid > MAX_GRID {
            return Err(Error::Unsupported {
                family: NAME,
                what: format!("a head over a map of {grid}×{grid}"),
                next: format!("up to {MAX_GRID}×{MAX_GRID} are"),
            });
        }
        let free = grid == 1 || !classifier.has_head();
        let size = if free { *size } else { Some([*side; 2]) };
        let mut x = net.picture(classifier.input_name(), first[1], size);
        let mut map_side = *side;
        for layer in layers {
            net.graph.set_scope(&layer.conv);
            let mut conv = Conv2d::PLAIN;
            if let Some(norm) = &layer.norm {
                conv = conv.norm(norm, NORM_EPSILON);
            }
            x = net.conv2d(&x, &layer.conv, conv)?;
            x = net.activated(&x, Activation::Relu);
            if layer.pooled {
                x = net.max_pool(&x, POOL);
                map_side /= 2;
            }
        }
        if map_side == 0 {
            let what = format!("nothing is left of pictures of {side} pixels; set image_size");
            return Err(Error::Request(what));
        }
        if free {
            let classes = classifier.end(&mut net, &x, linears, Activation::Relu)?;
            return Ok((net.graph, classes));
        }
        net.graph.set_scope("head");
        let x = adaptive_average(&mut net, &x, map_side, grid);
        let flat = net.graph.node("Flatten", &[&x.value], []);
        let width = x.channels * grid * grid;
        let classes = logits(&mut net, &flat, width, linears, Activation::Relu)?;
        Ok((net.graph, classes))
    }
}

/// `AdaptiveAvgPool2d` from `side`² to `grid`²: means of windows that may overlap, or repeat pixels.
fn adaptive_average(net: &mut Net<'_>, x: &Map, side: usize, grid: usize) -> Map {
    if side == grid || grid == 0 {
        return x.clone();
    }
    if side.is_multiple_of(grid) {
        let window = side / grid;
        let pool = Pool {
            kernel: window,
            stride: window,
            padding: 0,
            ceil: false,
        };
        return net.average_pool(x, pool);
    }
    // Windows of unequal lengths: R·x·Rᵀ, with the share of each pixel in each mean.
    let mut shares = vec![0.0; grid * side];
    for (i, row) in shares.chunks_exact_mut(side).enumerate() {
        let window = i * side / grid..((i + 1) * side).div_ceil(grid);
        let share = 1.0 / window.len() as f32;
        row[window].fill(share);
    }
    let columns: Vec<f32> = (0..side * grid)
        .map(|at| shares[at % grid * side + at / grid])
        .collect();
    let graph = &mut net.graph;
    let rows = graph.initializer(Tensor::f32("pool.rows", &[grid, side], shares));
    let columns = graph.initializer(Tensor::f32("pool.columns", &[side, grid], columns));
    let wide = graph.node("MatMul", &[&x.value, &columns], []);
    Map {
        value: graph.node("MatMul", &[&rows, &wide], []),
        channels: x.channels,
    }
}
