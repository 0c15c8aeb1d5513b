use bevel_onnx::{DType, Dim, Graph};

use super::NAME;
use super::scale::{Block, HEAD};
use crate::Error;
use crate::arch::layers::{Activation, Net};
use crate::arch::map::{Conv2d, Map};
use crate::weights::Weights;

/// `batch_norm_epsilon` of the reference.
const NORM_EPSILON: f64 = 1e-3;

/// The graph for pictures of `side`², and its number of classes.
pub(super) fn build(
    weights: &Weights<'_>,
    side: usize,
    blocks: &[Block],
) -> Result<(Graph, usize), Error> {
    let mut net = Network {
        net: Net::new(NAME, weights),
        side,
    };
    let pixels = net.net.picture("pixels", 3, Some([side; 2]));
    let mut x = net.conv(&pixels, "_conv_stem", "_bn0", [3, 2], Conv2d::PLAIN)?;
    x = net.relu6(&x);
    for (i, block) in blocks.iter().enumerate() {
        x = net.block(&x, &format!("_blocks.{i}"), *block)?;
    }
    x = net.conv(&x, "_conv_head", "_bn1", [1, 1], Conv2d::PLAIN)?;
    x = net.relu6(&x);

    let mut net = net.net;
    net.graph.set_scope("_fc");
    let x = net.global_average(&x);
    let x = net.graph.node("Flatten", &[&x.value], []);
    let (logits, classes) = net.dense(&x, "_fc", HEAD)?;
    let dims = [Dim::named("batch"), Dim::Fixed(classes)];
    net.graph.output(&logits, "logits", DType::F32, dims);
    Ok((net.graph, classes))
}

struct Network<'a> {
    net: Net<'a>,
    /// Height and width of the current feature map.
    side: usize,
}

impl Network<'_> {
    /// Expand 1×1, filter each channel k×k, project 1×1; the input is added where shapes allow.
    fn block(&mut self, x: &Map, name: &str, block: Block) -> Result<Map, Error> {
        let Block {
            kernel,
            stride,
            expansion,
            inputs,
            outputs,
        } = block;
        let part = |part: &str| format!("{name}.{part}");
        let mut y = x.clone();
        if expansion != 1 {
            let names = [part("_expand_conv"), part("_bn0")];
            y = self.conv(&y, &names[0], &names[1], [1, 1], Conv2d::PLAIN)?;
            y = self.relu6(&y);
        }
        let names = [part("_depthwise_conv"), part("_bn1")];
        let depthwise = Conv2d::PLAIN.depthwise();
        y = self.conv(&y, &names[0], &names[1], [kernel, stride], depthwise)?;
        y = self.relu6(&y);
        let names = [part("_project_conv"), part("_bn2")];
        y = self.conv(&y, &names[0], &names[1], [1, 1], Conv2d::PLAIN)?;
        if stride == 1 && inputs == outputs {
            y = self.net.with("Add", &y, &[&x.value]);
        }
        Ok(y)
    }

    /// A convolution of a kernel and a stride with the padding that the size of the map asks for.
    fn conv(
        &mut self,
        x: &Map,
        name: &str,
        norm: &str,
        [kernel, stride]: [usize; 2],
        conv: Conv2d<'_>,
    ) -> Result<Map, Error> {
        self.net.graph.set_scope(name);
        let (before, after) = same_padding(self.side, kernel, stride);
        self.side = self.side.div_ceil(stride);
        let conv = conv.stride(stride).padding([before, before, after, after]);
        self.net.conv2d(x, name, conv.norm(norm, NORM_EPSILON))
    }

    fn relu6(&mut self, x: &Map) -> Map {
        self.net.activated(x, Activation::Relu6)
    }
}

/// TensorFlow's `SAME`: ⌈side/stride⌉ outputs; an odd pixel goes after.
fn same_padding(side: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let outputs = side.div_ceil(stride);
    let padding = ((outputs - 1) * stride + kernel).saturating_sub(side);
    (padding / 2, padding - padding / 2)
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
