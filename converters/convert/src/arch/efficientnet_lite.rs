//! EfficientNet-Lite 0 … 4 (tensorflow/tpu, `efficientnet/lite`, 2020) from state dicts of the PyTorch
//! package `efficientnet_lite_pytorch` 0.1.0: EfficientNet (Tan and Le 2019, arXiv:1905.11946) without
//! squeeze-and-excitation, with ReLU6, stem and head of fixed width.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `pixels` | N×3×S×S | f32 | RGB, (pixel − 127) / 128; S of the variant |
//! | out `logits` | N×C | f32 | one per class |
//!
//! S is fixed: the padding of a stride-2 convolution depends on whether its input is odd or even.

use bevel_manifest::{
    Activation, ChannelOrder, ClassifySpec, Decode, ImageInput, Input, Interpolation, Resize, Task,
};
use bevel_onnx::{Attribute, DType, Dim, Graph, Tensor};

use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options, labels};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    recognises,
    build,
};

const NAME: &str = "efficientnet-lite";

/// Width factor, depth factor, input side in pixels (`efficientnet_lite_builder.py`).
const VARIANTS: [(f64, f64, usize); 5] = [
    (1.0, 1.0, 224),
    (1.0, 1.1, 240),
    (1.1, 1.2, 260),
    (1.2, 1.4, 280),
    (1.4, 1.8, 300),
];

/// Repeats, kernel, stride of the first block, expansion, output channels, before scaling.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// Channels of the stem and of the head, the same in all variants.
const STEM: usize = 32;
const HEAD: usize = 1280;

/// `batch_norm_epsilon` of the reference.
const NORM_EPSILON: f64 = 1e-3;

/// The picture is scaled to this much more than S, then the middle is cut out (`CROP_PADDING`).
const CROP_PADDING: u32 = 32;

/// How many labels are answered.
const TOP_K: usize = 5;

fn recognises(source: &Source) -> bool {
    let has = |name: &str| source.checkpoint.contains(name);
    has("_conv_stem.weight")
        && has("_blocks.0._depthwise_conv.weight")
        && has("_fc.weight")
        && !has("_blocks.0._se_reduce.weight")
}

/// One inverted residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    kernel: usize,
    stride: usize,
    expansion: usize,
    inputs: usize,
    outputs: usize,
}

/// The blocks of a variant, scaled as `round_filters` and `round_repeats` of the reference do.
fn blocks(width: f64, depth: f64) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut inputs = STEM;
    for (i, (repeats, kernel, stride, expansion, outputs)) in STAGES.into_iter().enumerate() {
        let outer = i == 0 || i == STAGES.len() - 1;
        let repeats = match outer {
            true => repeats,
            false => (repeats as f64 * depth).ceil() as usize,
        };
        let outputs = round_channels(outputs as f64 * width);
        for repeat in 0..repeats {
            blocks.push(Block {
                kernel,
                stride: if repeat == 0 { stride } else { 1 },
                expansion,
                inputs,
                outputs,
            });
            inputs = outputs;
        }
    }
    blocks
}

/// To the nearest multiple of 8 that is not below 90 %.
fn round_channels(channels: f64) -> usize {
    let rounded = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels {
        rounded + 8
    } else {
        rounded
    }
}

/// The variant whose blocks have the depth and the output widths of the checkpoint.
fn variant(weights: &Weights<'_>) -> Option<(usize, Vec<Block>)> {
    let outputs = |block: usize| {
        let shape = weights.shape(&format!("_blocks.{block}._project_conv.weight"))?;
        shape.first().copied()
    };
    VARIANTS.into_iter().find_map(|(width, depth, side)| {
        let blocks = blocks(width, depth);
        let same = blocks
            .iter()
            .enumerate()
            .all(|(i, block)| outputs(i).is_none_or(|outputs| outputs == block.outputs));
        // A missing block is named later; one too many is another network.
        let last = blocks.len() - 1;
        let as_deep = outputs(last).is_some() && outputs(last + 1).is_none();
        (same && as_deep).then_some((side, blocks))
    })
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let task = options.wanted_task().unwrap_or(Task::Classify);
    if !matches!(task, Task::Classify | Task::Tensors) {
        return Err(Error::Task {
            family: NAME,
            task,
            known: "classify, tensors".into(),
        });
    }
    let weights = Weights::new(&source.checkpoint, NAME);
    let Some((side, blocks)) = variant(&weights) else {
        return Err(Error::Unsupported {
            family: NAME,
            what: "a network of this depth and width".into(),
            next: "lite0 to lite4 of efficientnet_lite_pytorch are".into(),
        });
    };
    let (graph, classes) = network(&weights, side, &blocks)?;
    let unused = weights.finish(|name| name.ends_with(".num_batches_tracked"))?;

    let labels = match options.labels_path()? {
        Some(path) => Some(labels::from_file(&path, options.labels_name(), classes)?),
        None => None,
    };
    let image = ImageInput {
        width: side as u32,
        height: side as u32,
        resize: Resize::CenterCrop {
            shorter_side: side as u32 + CROP_PADDING,
        },
        interpolation: Interpolation::BicubicAntialias,
        channels: ChannelOrder::Rgb,
        scale: 1.0 / 255.0,
        mean: [127.0 / 255.0; 3],
        std: [128.0 / 255.0; 3],
    };
    let classify = ClassifySpec {
        labels: labels.as_ref().map(|file| file.name.clone()),
        activation: Activation::Softmax,
        top_k: classes.min(TOP_K),
    };
    let (input, decode) = match task {
        Task::Tensors => (Input::Tensors, Decode::Tensors),
        _ => (Input::Image(image), Decode::Classify(classify)),
    };
    Ok(Built {
        graph,
        task,
        input,
        decode,
        files: labels.into_iter().collect(),
        unused: unused.0,
        notes: Vec::new(),
    })
}

fn network(weights: &Weights<'_>, side: usize, blocks: &[Block]) -> Result<(Graph, usize), Error> {
    let mut graph = Graph::new(NAME);
    let square = [Dim::Fixed(3), Dim::Fixed(side), Dim::Fixed(side)];
    let dims = [Dim::named("batch")].into_iter().chain(square);
    let pixels = graph.input("pixels", DType::F32, dims);
    let low = graph.initializer(Tensor::scalar("relu6/low", 0.0));
    let high = graph.initializer(Tensor::scalar("relu6/high", 6.0));
    let mut net = Network {
        graph,
        weights,
        relu6: [low, high],
        side,
    };
    let mut x = net.conv(&pixels, "_conv_stem", "_bn0", [3, STEM, 3, 2, 1])?;
    x = net.relu6(&x);
    for (i, block) in blocks.iter().enumerate() {
        x = net.block(&x, &format!("_blocks.{i}"), *block)?;
    }
    let width = blocks.last().map_or(STEM, |block| block.outputs);
    x = net.conv(&x, "_conv_head", "_bn1", [width, HEAD, 1, 1, 1])?;
    x = net.relu6(&x);

    let classes = weights.shape("_fc.weight").and_then(|s| s.first());
    let classes = classes.copied().unwrap_or(1);
    let weight = weights.take("_fc.weight", &[classes, HEAD])?;
    let bias = weights.take("_fc.bias", &[classes])?;
    let mut graph = net.graph;
    graph.set_scope("_fc");
    let weight = graph.initializer(weight);
    let bias = graph.initializer(bias);
    let x = graph.node("GlobalAveragePool", &[&x], []);
    let x = graph.node("Flatten", &[&x], []);
    let logits = graph.node("Gemm", &[&x, &weight, &bias], [("transB", 1.into())]);
    let dims = [Dim::named("batch"), Dim::Fixed(classes)];
    graph.output(&logits, "logits", DType::F32, dims);
    Ok((graph, classes))
}

struct Network<'a> {
    graph: Graph,
    weights: &'a Weights<'a>,
    relu6: [String; 2],
    /// Height and width of the current feature map.
    side: usize,
}

impl Network<'_> {
    /// Expand 1×1, filter each channel k×k, project 1×1; the input is added where shapes allow.
    fn block(&mut self, x: &str, name: &str, block: Block) -> Result<String, Error> {
        let Block {
            kernel,
            stride,
            expansion,
            inputs,
            outputs,
        } = block;
        let wide = inputs * expansion;
        let part = |part: &str| format!("{name}.{part}");
        let mut y = x.to_owned();
        if expansion != 1 {
            let size = [inputs, wide, 1, 1, 1];
            y = self.conv(&y, &part("_expand_conv"), &part("_bn0"), size)?;
            y = self.relu6(&y);
        }
        let size = [wide, wide, kernel, stride, wide];
        y = self.conv(&y, &part("_depthwise_conv"), &part("_bn1"), size)?;
        y = self.relu6(&y);
        let size = [wide, outputs, 1, 1, 1];
        y = self.conv(&y, &part("_project_conv"), &part("_bn2"), size)?;
        if stride == 1 && inputs == outputs {
            y = self.graph.node("Add", &[&y, x], []);
        }
        Ok(y)
    }

    /// A convolution with the batch normalisation after it folded in; `size` is inputs, outputs,
    /// kernel, stride, groups.
    fn conv(&mut self, x: &str, name: &str, norm: &str, size: [usize; 5]) -> Result<String, Error> {
        let [inputs, outputs, kernel, stride, groups] = size;
        let dims = [outputs, inputs / groups, kernel, kernel];
        let weight = self.weights.take_f32(&format!("{name}.weight"), &dims)?;
        let (weight, bias) = self.fold(weight, norm, outputs)?;
        let graph = &mut self.graph;
        graph.set_scope(name);
        let weight = graph.initializer(Tensor::f32(format!("{name}.weight"), &dims, weight));
        let bias = graph.initializer(Tensor::f32(format!("{name}.bias"), &[outputs], bias));
        let (before, after) = same_padding(self.side, kernel, stride);
        self.side = self.side.div_ceil(stride);
        let int = |n: usize| Attribute::from(n as i64);
        let pair = |n: usize| Attribute::from([n as i64; 2]);
        let attributes = [
            ("group", int(groups)),
            ("kernel_shape", pair(kernel)),
            ("pads", [before, before, after, after].into()),
            ("strides", pair(stride)),
        ];
        Ok(graph.node("Conv", &[x, &weight, &bias], attributes))
    }

    /// `γ·(w·x − μ)/√(σ² + ε) + β` as one weight and one bias.
    fn fold(
        &self,
        mut weight: Vec<f32>,
        norm: &str,
        channels: usize,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let take = |of: &str| self.weights.take_f32(&format!("{norm}.{of}"), &[channels]);
        let gamma = take("weight")?;
        let beta = take("bias")?;
        let mean = take("running_mean")?;
        let variance = take("running_var")?;
        let per_channel = weight.len() / channels;
        let mut bias = Vec::with_capacity(channels);
        for (c, filter) in weight.chunks_exact_mut(per_channel).enumerate() {
            let factor = f64::from(gamma[c]) / (f64::from(variance[c]) + NORM_EPSILON).sqrt();
            for w in filter {
                *w = (f64::from(*w) * factor) as f32;
            }
            bias.push((f64::from(beta[c]) - f64::from(mean[c]) * factor) as f32);
        }
        Ok((weight, bias))
    }

    fn relu6(&mut self, x: &str) -> String {
        let [low, high] = &self.relu6;
        self.graph.node("Clip", &[x, low, high], [])
    }
}

/// TensorFlow's `SAME`: ⌈side/stride⌉ outputs; an odd pixel goes after.
fn same_padding(side: usize, kernel: usize, stride: usize) -> (i64, i64) {
    let outputs = side.div_ceil(stride);
    let padding = ((outputs - 1) * stride + kernel).saturating_sub(side);
    ((padding / 2) as i64, (padding - padding / 2) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shapes, write_safetensors};

    #[test]
    fn variants_scale_as_the_reference() {
        // Blocks, widths of the stages: `EfficientNet.from_name` of efficientnet_lite_pytorch 0.1.0.
        let expected: [(usize, [usize; 7]); 5] = [
            (16, [16, 24, 40, 80, 112, 192, 320]),
            (21, [16, 24, 40, 80, 112, 192, 320]),
            (21, [16, 24, 48, 88, 120, 208, 352]),
            (24, [24, 32, 48, 96, 136, 232, 384]),
            (30, [24, 32, 56, 112, 160, 272, 448]),
        ];
        for ((width, depth, side), (count, widths)) in VARIANTS.into_iter().zip(expected) {
            let blocks = blocks(width, depth);
            assert_eq!(blocks.len(), count, "{side}");
            let mut got: Vec<_> = blocks.iter().map(|block| block.outputs).collect();
            got.dedup();
            assert_eq!(got, widths, "{side}");
        }
    }

    /// Tensors of a variant as `state_dict()` names them.
    fn shapes(variant: usize, classes: usize) -> Shapes {
        let (width, depth, _) = VARIANTS[variant];
        let mut shapes = Shapes::new();
        let mut conv = |name: String, norm: String, dims: [usize; 4]| {
            shapes.insert(format!("{name}.weight"), dims.to_vec());
            for of in ["weight", "bias", "running_mean", "running_var"] {
                shapes.insert(format!("{norm}.{of}"), vec![dims[0]]);
            }
            shapes.insert(format!("{norm}.num_batches_tracked"), vec![]);
        };
        conv("_conv_stem".into(), "_bn0".into(), [STEM, 3, 3, 3]);
        let blocks = blocks(width, depth);
        for (i, block) in blocks.iter().enumerate() {
            let part = |part: &str| format!("_blocks.{i}.{part}");
            let wide = block.inputs * block.expansion;
            if block.expansion != 1 {
                let dims = [wide, block.inputs, 1, 1];
                conv(part("_expand_conv"), part("_bn0"), dims);
            }
            let dims = [wide, 1, block.kernel, block.kernel];
            conv(part("_depthwise_conv"), part("_bn1"), dims);
            let dims = [block.outputs, wide, 1, 1];
            conv(part("_project_conv"), part("_bn2"), dims);
        }
        let last = blocks.last().unwrap().outputs;
        conv("_conv_head".into(), "_bn1".into(), [HEAD, last, 1, 1]);
        shapes.insert("_fc.weight".into(), vec![classes, HEAD]);
        shapes.insert("_fc.bias".into(), vec![classes]);
        shapes
    }

    #[test]
    fn a_state_dict_is_recognised_by_its_weights() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("any-name.bin");
        let labels = dir.path().join("names.txt");
        std::fs::write(&labels, "cat\ndog\nowl\n").unwrap();
        let out = dir.path().join("out.bevel");
        let mut options = Options {
            labels: Some(labels.clone()),
            ..Options::default()
        };
        for (variant, (_, _, side)) in VARIANTS.into_iter().enumerate().step_by(2) {
            write_safetensors(&file, &shapes(variant, 3));
            let report = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap();
            assert_eq!(
                (report.family.as_str(), report.task),
                (NAME, Task::Classify)
            );
            assert_eq!(report.chosen, "fp32");
            // int8 without calibration covers the classifier alone.
            assert!(report.notes[0].starts_with("int8 is left out"), "{variant}");
            let text = std::fs::read_to_string(out.join("bundle.toml")).unwrap();
            assert!(text.contains(&format!("width = {side}")), "{text}");
            assert!(out.join("labels.txt").is_file());
        }

        let mut lacking = shapes(0, 3);
        lacking.remove("_blocks.3._bn1.running_var");
        lacking.insert("_blocks.3._extra.weight".into(), vec![1]);
        write_safetensors(&file, &lacking);
        let error = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`_blocks.3._bn1.running_var`"), "{text}");

        write_safetensors(&file, &shapes(0, 4));
        let error = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("3 labels"), "{error}");

        options.quantize = "int8".parse().unwrap();
        options.labels = None;
        let error = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap_err();
        assert_eq!(
            error.kind(),
            bevel_manifest::ErrorKind::Unsupported,
            "{error}"
        );
        // The bundle that was there before is there still.
        assert!(out.join("labels.txt").is_file());
    }

    #[test]
    fn padding_is_tensorflows() {
        // tf.nn.conv2d with padding="SAME".
        let cases = [
            ("even side, stride 2", (224, 3, 2), (0, 1)),
            ("odd side, stride 2", (15, 3, 2), (1, 1)),
            ("5×5, even, stride 2", (56, 5, 2), (1, 2)),
            ("5×5, stride 1", (14, 5, 1), (2, 2)),
            ("1×1", (7, 1, 1), (0, 0)),
        ];
        for (name, (side, kernel, stride), expected) in cases {
            assert_eq!(same_padding(side, kernel, stride), expected, "{name}");
        }
    }
}
