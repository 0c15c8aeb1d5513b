use bevel_onnx::{Attribute, DType, Dim, Graph, Tensor};

use super::NAME;
use super::scale::{Block, HEAD, STEM};
use crate::Error;
use crate::weights::Weights;

/// `batch_norm_epsilon` of the reference.
const NORM_EPSILON: f64 = 1e-3;

/// The graph for pictures of `side`², and its number of classes.
pub(super) fn build(
    weights: &Weights<'_>,
    side: usize,
    blocks: &[Block],
) -> Result<(Graph, usize), Error> {
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
