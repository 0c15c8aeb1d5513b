//! YOLOX (Ge et al. 2021, arXiv:2107.08430) under the names of Megvii's code, yolox 0.3.0 (`yolox/models`):
//! CSPDarknet, a feature pyramid that goes down and up again, and a head for each of three maps.
//!
//! | | tensor | shape | dtype | meaning |
//! |---|---|---|---|---|
//! | in | `pixels` | N×3×H×W | f32 | BGR, 0 ..= 255 |
//! | out | `predictions` | N×A×(5+C) | f32 | `[dx, dy, log w, log h, objectness, classes…]` in cells of the grid |
//!
//! H and W are fixed, as compilers for small boards want them: the 416 or 640 of the training, or
//! `--set image_size=480x640`. Widths and depths come from the weights.

use bevel_manifest::{
    Anchor, BoxHead, ChannelOrder, Decode, DetectSpec, ImageInput, Input, Interpolation, Resize,
    Task,
};
use bevel_onnx::{DType, Dim, Graph, Tensor};

use super::layers::{Activation, Net};
use super::map::{Conv2d, Filter, Map, Pool};
use super::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options, labels};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["backbone.backbone.dark", "head.obj_preds.", "C3_p4."],
    recognises: |source| {
        let has = |name: &str| source.checkpoint.contains(name);
        has("backbone.backbone.stem.conv.conv.weight") && has("head.obj_preds.0.weight")
    },
    build,
};

const NAME: &str = "yolox";

/// Of every batch normalisation (`exp/yolox_base.py`).
const NORM_EPSILON: f64 = 1e-3;

/// Pixels from one cell to the next, of each map.
const STRIDES: [u32; 3] = [8, 16, 32];

/// Sides of the poolings (`SPPBottleneck`).
const POOLS: [usize; 3] = [5, 9, 13];

/// Blocks of a stage, at most; the largest model has twelve.
const BLOCKS: usize = 256;

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let task = options.task_of(NAME, &[Task::Detect, Task::Tensors])?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let size = image_size(source, &weights)?;
    let (graph, classes) = network(&weights, size)?;
    let unused = weights.finish(|name| name.ends_with(".num_batches_tracked"))?;
    if task == Task::Tensors {
        return Ok(Built::tensors(model(graph), unused));
    }

    let labels = match labels::find(source, options, classes)? {
        Some(file) => file,
        None => labels::numbers(classes, options.labels_name())?,
    };
    let [h, w] = size;
    let image = ImageInput {
        width: w as u32,
        height: h as u32,
        resize: Resize::Letterbox {
            anchor: Anchor::TopLeft,
            fill: 114,
        },
        interpolation: Interpolation::Bilinear,
        channels: ChannelOrder::Bgr,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    // Thresholds of the makers' demonstration.
    let detect = DetectSpec {
        head: BoxHead::YoloxGrid {
            strides: STRIDES.to_vec(),
        },
        labels: labels.name.clone(),
        min_score: 0.3,
        iou: 0.45,
        max_boxes: 100,
    };
    Ok(Built {
        graphs: model(graph),
        task,
        input: Input::Image(image),
        decode: Decode::Detect(detect),
        files: vec![labels],
        unused: unused.0,
        notes: Vec::new(),
    })
}

/// Nano and tiny are trained on smaller pictures than the rest.
fn image_size(source: &Source, weights: &Weights<'_>) -> Result<[usize; 2], Error> {
    let step = STRIDES[2] as usize;
    if let Some(size) = source.set.sides("image_size", step)? {
        return Ok(size);
    }
    let stem = weights.shape("backbone.backbone.stem.conv.conv.weight");
    let width = stem.and_then(|shape| shape.first().copied()).unwrap_or(0);
    Ok([if width < 32 { 416 } else { 640 }; 2])
}

/// The graph, and the number of classes.
fn network(weights: &Weights<'_>, size: [usize; 2]) -> Result<(Graph, usize), Error> {
    let mut net = Network {
        net: Net::new(NAME, weights),
    };
    let pixels = net.net.picture("pixels", 3, Some(size));
    let dark = |stage: usize, part: usize| format!("backbone.backbone.dark{stage}.{part}");
    let mut x = net.stem(&pixels, "backbone.backbone.stem.conv")?;
    let mut stages = Vec::new();
    for stage in 2..=5 {
        x = net.conv(&x, &dark(stage, 0), 2)?;
        if stage == 5 {
            x = net.pyramid(&x, &dark(stage, 1))?;
        }
        let last = if stage == 5 { 2 } else { 1 };
        x = net.stage(&x, &dark(stage, last), stage != 5)?;
        stages.push(x.clone());
    }
    let [_, fine, middle, coarse] = &stages[..] else {
        return Err(Error::Request(format!("{NAME}: four stages expected")));
    };

    let part = |part: &str| format!("backbone.{part}");
    let coarse = net.base(coarse, &part("lateral_conv0"), 1)?;
    let x = net.doubled(&coarse, middle);
    let x = net.stage(&x, &part("C3_p4"), false)?;
    let middle = net.base(&x, &part("reduce_conv1"), 1)?;
    let x = net.doubled(&middle, fine);
    let fine = net.stage(&x, &part("C3_p3"), false)?;
    let x = net.conv(&fine, &part("bu_conv2"), 2)?;
    let x = net.net.join(&[&x, &middle]);
    let middle = net.stage(&x, &part("C3_n3"), false)?;
    let x = net.conv(&middle, &part("bu_conv1"), 2)?;
    let x = net.net.join(&[&x, &coarse]);
    let coarse = net.stage(&x, &part("C3_n4"), false)?;
    net.head(&[fine, middle, coarse], size)
}

struct Network<'a> {
    net: Net<'a>,
}

impl Network<'_> {
    /// Convolution, batch normalisation, SiLU.
    fn base(&mut self, x: &Map, name: &str, stride: usize) -> Result<Map, Error> {
        self.normed(x, name, Conv2d::PLAIN.stride(stride))
    }

    fn normed(&mut self, x: &Map, name: &str, conv: Conv2d<'_>) -> Result<Map, Error> {
        self.net.graph.set_scope(name);
        let norm = format!("{name}.bn");
        let conv = conv.norm(&norm, NORM_EPSILON);
        let y = self.net.conv2d(x, &format!("{name}.conv"), conv)?;
        Ok(self.net.activated(&y, Activation::Silu))
    }

    /// The same, or in smaller models each channel on its own and then all of each pixel.
    fn conv(&mut self, x: &Map, name: &str, stride: usize) -> Result<Map, Error> {
        let apart = format!("{name}.dconv");
        if !self.net.weights.contains(&format!("{apart}.conv.weight")) {
            return self.base(x, name, stride);
        }
        let conv = Conv2d::PLAIN.stride(stride).depthwise();
        let y = self.normed(x, &apart, conv)?;
        self.base(&y, &format!("{name}.pconv"), 1)
    }

    /// The pixels of each 2×2 as twelve channels, and a convolution of those: the same as one over
    /// the picture, of twice the side and at every second pixel.
    fn stem(&mut self, x: &Map, name: &str) -> Result<Map, Error> {
        let norm = format!("{name}.bn");
        let conv = Conv2d::PLAIN.norm(&norm, NORM_EPSILON);
        let filter = self
            .net
            .filter(4 * x.channels, &format!("{name}.conv"), conv)?;
        let kernel = filter.weight.dims.last().copied().unwrap_or(1);
        // Half of the kernel, in pixels of the picture.
        let around = kernel / 2 * 2;
        let conv = Conv2d::PLAIN.stride(2).padding([around; 4]);
        self.net.graph.set_scope(name);
        let y = self.net.filtered(x, unfocused(filter), conv);
        Ok(self.net.activated(&y, Activation::Silu))
    }

    /// `SPPBottleneck`.
    fn pyramid(&mut self, x: &Map, name: &str) -> Result<Map, Error> {
        let x = self.base(x, &format!("{name}.conv1"), 1)?;
        self.net.graph.set_scope(name);
        let pools = POOLS.map(|kernel| Pool {
            kernel,
            stride: 1,
            padding: kernel / 2,
            ceil: false,
        });
        let [a, b, c] = pools.map(|pool| self.net.max_pool(&x, pool));
        let x = self.net.join(&[&x, &a, &b, &c]);
        self.base(&x, &format!("{name}.conv2"), 1)
    }

    /// `CSPLayer`: half of the channels go through the blocks; `shortcut` adds to each what it came
    /// from.
    fn stage(&mut self, x: &Map, name: &str, shortcut: bool) -> Result<Map, Error> {
        let mut through = self.base(x, &format!("{name}.conv1"), 1)?;
        let beside = self.base(x, &format!("{name}.conv2"), 1)?;
        for block in 0..BLOCKS {
            let part = |part: &str| format!("{name}.m.{block}.{part}");
            let first = part("conv1");
            if !self.net.weights.contains(&format!("{first}.conv.weight")) {
                break;
            }
            let y = self.base(&through, &first, 1)?;
            let y = self.conv(&y, &part("conv2"), 1)?;
            through = match shortcut && y.channels == through.channels {
                true => self.net.with("Add", &y, &[&through.value]),
                false => y,
            };
        }
        self.net.graph.set_scope(name);
        let y = self.net.join(&[&through, &beside]);
        self.base(&y, &format!("{name}.conv3"), 1)
    }

    /// A map at twice its size, before a finer one.
    fn doubled(&mut self, coarse: &Map, fine: &Map) -> Map {
        let x = self.net.double(coarse);
        self.net.join(&[&x, fine])
    }

    /// Writes the output, and answers how many classes there are.
    fn head(mut self, maps: &[Map; 3], size: [usize; 2]) -> Result<(Graph, usize), Error> {
        let mut rows = Vec::new();
        let mut classes = 0;
        for (level, map) in maps.iter().enumerate() {
            let part = |part: &str| format!("head.{part}.{level}");
            let x = self.base(map, &part("stems"), 1)?;
            let tower = |net: &mut Self, kind: &str| -> Result<Map, Error> {
                let y = net.conv(&x, &format!("{}.0", part(kind)), 1)?;
                net.conv(&y, &format!("{}.1", part(kind)), 1)
            };
            let scores = tower(&mut self, "cls_convs")?;
            let scores = {
                self.net.graph.set_scope(part("cls_preds"));
                self.net
                    .conv2d(&scores, &part("cls_preds"), Conv2d::PLAIN)?
            };
            let boxes = tower(&mut self, "reg_convs")?;
            // Box and objectness come of the same map: one convolution.
            let filter = |name: &str| self.net.filter(boxes.channels, &part(name), Conv2d::PLAIN);
            let [sides, objects] = [filter("reg_preds")?, filter("obj_preds")?];
            if classes == 0 {
                classes = scores.channels;
            }
            for (name, found, expected) in [
                ("reg_preds", outputs(&sides), 4),
                ("obj_preds", outputs(&objects), 1),
                ("cls_preds", scores.channels, classes),
            ] {
                // 0 while the weight is missing.
                if ![0, expected].contains(&found) {
                    return Err(Error::Unsupported {
                        family: NAME,
                        what: format!("`{}` with {found} outputs", part(name)),
                        next: format!("{expected} are, as for every level"),
                    });
                }
            }
            let filter = stacked(sides, objects);
            self.net.graph.set_scope(part("reg_preds"));
            let boxes = self.net.filtered(&boxes, filter, Conv2d::PLAIN);
            let all = self.net.join(&[&boxes, &scores]);
            let shape = self.net.i64s(&[0, all.channels as i64, -1]);
            let row = self.net.graph.node("Reshape", &[&all.value, &shape], []);
            rows.push(row);
        }
        let parts = self.net.i64s(&[4, 1 + classes as i64]);
        let mut graph = self.net.graph;
        graph.set_scope("head");
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let all = graph.node("Concat", &rows, [("axis", 2.into())]);
        let axis = || [("axis", 1.into())];
        let [boxes, scores]: [String; 2] = graph.node_of("Split", &[&all, &parts], axis());
        let scores = graph.node("Sigmoid", &[&scores], []);
        let all = graph.node("Concat", &[&boxes, &scores], axis());
        let all = graph.node("Transpose", &[&all], [("perm", [0, 2, 1].into())]);
        let cells = STRIDES.map(|stride| size.map(|side| side / stride as usize));
        let cells: usize = cells.iter().map(|[h, w]| h * w).sum();
        let dims = [
            Dim::named("batch"),
            Dim::Fixed(cells),
            Dim::Fixed(5 + classes),
        ];
        graph.output(&all, "predictions", DType::F32, dims);
        Ok((graph, classes))
    }
}

/// A filter over the four pixels of each 2×2 as one over the picture. Channels come colour by colour
/// of the pixels at (0, 0), (1, 0), (0, 1) and (1, 1), rows first.
fn unfocused(filter: Filter) -> Filter {
    let &[outputs, channels, h, w] = &filter.weight.dims[..] else {
        return filter;
    };
    let from = filter.weight.as_f32().unwrap_or_default();
    let colors = channels / 4;
    let mut to = vec![0.0; from.len()];
    let (rows, columns) = (2 * h, 2 * w);
    for (at, value) in from.iter().enumerate() {
        let (x, y) = (at % w, at / w % h);
        let (channel, output) = (at / (w * h) % channels, at / (w * h * channels));
        let (pixel, color) = (channel / colors.max(1), channel % colors.max(1));
        let (row, column) = (2 * y + pixel % 2, 2 * x + pixel / 2);
        let target = ((output * colors + color) * rows + row) * columns + column;
        if let Some(to) = to.get_mut(target) {
            *to = *value;
        }
    }
    let dims = [outputs, colors, rows, columns];
    Filter {
        weight: Tensor::f32(filter.weight.name.clone(), &dims, to),
        bias: filter.bias,
    }
}

/// How many maps a filter makes.
fn outputs(filter: &Filter) -> usize {
    filter.weight.dims.first().copied().unwrap_or(0)
}

/// The outputs of one filter before those of another over the same map.
fn stacked(first: Filter, second: Filter) -> Filter {
    let mut dims = first.weight.dims.clone();
    if let Some(count) = dims.first_mut() {
        *count += outputs(&second);
    }
    let elements = |filter: &Filter| filter.weight.as_f32().unwrap_or_default().into_owned();
    let bias = |filter: &Filter| {
        let none = || vec![0.0; outputs(filter)];
        filter.bias.clone().unwrap_or_else(none)
    };
    Filter {
        weight: Tensor::f32(
            first.weight.name.clone(),
            &dims,
            [elements(&first), elements(&second)].concat(),
        ),
        bias: Some([bias(&first), bias(&second)].concat()),
    }
}

#[cfg(test)]
mod tests;
