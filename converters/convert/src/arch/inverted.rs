//! Inverted residual blocks (Sandler et al. 2018, arXiv:1801.04381): wide inside, narrow between, of
//! MobileNet and EfficientNet; with squeeze-and-excitation (Hu et al. 2017, arXiv:1709.01507) in the
//! later ones.

use bevel_manifest::ImageInput;

use super::classifier::Classifier;
use super::layers::{Activation, Net};
use super::map::{Conv2d, Map};
use crate::Error;
use crate::arch::Built;
use crate::weights::Weights;

/// What a block consists of, in order, under the names of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A convolution, each channel on its own where the weight is made so, and its normalisation.
    Conv([String; 2]),
    /// Squeeze and excitation: the convolutions to few channels and back.
    Gate([String; 2]),
}

/// Zeros around a map before a convolution that strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    /// Half of the filter on all sides, as PyTorch has it.
    Half,
    /// One fewer at the top and at the left: TensorFlow's padding for even sides, taken for all.
    After,
    /// TensorFlow's `SAME`, which depends on whether the side is odd.
    Same,
}

/// One block.
pub(super) struct Block {
    pub parts: Vec<Part>,
    pub stride: usize,
    pub dilation: usize,
    pub border: Border,
    pub activation: Activation,
    /// Whether the input is added where it has the size of the output.
    pub adds: bool,
}

impl Block {
    /// A block as PyTorch's own models have them.
    pub fn plain(parts: Vec<Part>, stride: usize, activation: Activation) -> Self {
        Self {
            parts,
            stride,
            dilation: 1,
            border: Border::Half,
            activation,
            adds: true,
        }
    }
}

/// Non-linearities of squeeze and excitation: between the convolutions, and behind them.
pub(super) type GateActivations = [Activation; 2];

/// A network of blocks between a first convolution, which strides by two, and a last one.
pub(super) struct Network {
    pub first: [String; 2],
    pub blocks: Vec<(String, Block)>,
    pub last: [String; 2],
    /// Of every batch normalisation.
    pub norm_epsilon: f64,
    /// Around the input of the first convolution.
    pub border: Border,
    /// Behind the first and the last convolution.
    pub activation: Activation,
    pub gate: GateActivations,
}

impl Network {
    /// The network as a classifier with the linear layers of `head`.
    pub fn classifier(
        &self,
        weights: Weights<'_>,
        classifier: Classifier<'_>,
        image: ImageInput,
        head: &[&str],
    ) -> Result<Built, Error> {
        let side = image.width as usize;
        let mut borders = self.blocks.iter().map(|(_, block)| block.border);
        let padded = self.border == Border::Same || borders.any(|border| border == Border::Same);
        let size = match padded {
            true => Some([side; 2]),
            false => classifier.size(&image),
        };
        let mut net = Net::new(classifier.family, &weights);
        let [_, channels, ..] = net.filters(&format!("{}.weight", self.first[0]));
        let pixels = net.picture(classifier.input_name(), channels, size);
        let maps = self.maps(&mut net, &pixels, Some(side))?;
        let map = maps.last().unwrap_or(&pixels);
        let classes = classifier.end(&mut net, map, head, self.activation)?;
        let graph = net.graph;
        let unused = weights.finish(|name| classifier.needless(name, head))?;
        classifier.built(graph, unused, classes, image)
    }

    /// The map behind the first convolution, each block and the last convolution; `side` is the height
    /// and the width of the pictures where padding depends on it.
    pub fn maps(
        &self,
        net: &mut Net<'_>,
        pixels: &Map,
        side: Option<usize>,
    ) -> Result<Vec<Map>, Error> {
        let mut trunk = Trunk {
            net,
            norm_epsilon: self.norm_epsilon,
            gate: self.gate,
            side: side.unwrap_or_default(),
        };
        let layer = |trunk: &mut Trunk<'_, '_>, x: &Map, names: &[String; 2], stride| {
            trunk.net.graph.set_scope(&names[0]);
            let x = trunk.conv(x, names, [stride, 1], self.border)?;
            Ok::<_, Error>(trunk.net.activated(&x, self.activation))
        };
        let mut x = layer(&mut trunk, pixels, &self.first, 2)?;
        let mut maps = vec![x.clone()];
        for (name, block) in &self.blocks {
            x = trunk.block(&x, name, block)?;
            maps.push(x.clone());
        }
        maps.push(layer(&mut trunk, &x, &self.last, 1)?);
        Ok(maps)
    }
}

/// A network under construction.
struct Trunk<'n, 'w> {
    net: &'n mut Net<'w>,
    norm_epsilon: f64,
    gate: GateActivations,
    /// Height and width of the current map, which only [`Border::Same`] asks for.
    side: usize,
}

impl Trunk<'_, '_> {
    /// The first convolution that sees more than one pixel strides. None but the last part is linear,
    /// unless it stands alone, as in a fused block that does not widen.
    fn block(&mut self, x: &Map, name: &str, block: &Block) -> Result<Map, Error> {
        self.net.graph.set_scope(name);
        let mut stride = block.stride;
        let mut y = x.clone();
        for (i, part) in block.parts.iter().enumerate() {
            let names = match part {
                Part::Conv(names) => names,
                Part::Gate(names) => {
                    y = self.gated(&y, names)?;
                    continue;
                }
            };
            let [_, _, kernel, _] = self.net.filters(&format!("{}.weight", names[0]));
            let steps = match kernel {
                1 => [1, 1],
                _ => [std::mem::replace(&mut stride, 1), block.dilation],
            };
            y = self.conv(&y, names, steps, block.border)?;
            if i + 1 < block.parts.len() || i == 0 {
                y = self.net.activated(&y, block.activation);
            }
        }
        if block.adds && block.stride == 1 && y.channels == x.channels {
            y = self.net.with("Add", &y, &[&x.value]);
        }
        Ok(y)
    }

    fn conv(
        &mut self,
        x: &Map,
        [conv, norm]: &[String; 2],
        [stride, dilation]: [usize; 2],
        border: Border,
    ) -> Result<Map, Error> {
        let [_, _, kernel, _] = self.net.filters(&format!("{conv}.weight"));
        let spread = (kernel - kernel.min(1)) * dilation + 1;
        let (before, after) = match border {
            Border::Same => same_padding(self.side, spread, stride),
            Border::After if stride > 1 => (spread.saturating_sub(2) / 2, spread / 2),
            Border::After | Border::Half => (spread / 2, spread / 2),
        };
        self.side = self.side.div_ceil(stride);
        let plain = Conv2d::PLAIN.grouped().stride(stride).dilation(dilation);
        let plain = plain.padding([before, before, after, after]);
        self.net
            .conv2d(x, conv, plain.norm(norm, self.norm_epsilon))
    }

    /// `x · gate(expand(activation(reduce(mean of x))))`.
    fn gated(&mut self, x: &Map, [reduce, expand]: &[String; 2]) -> Result<Map, Error> {
        let [inner, outer] = self.gate;
        let y = self.net.global_average(x);
        let y = self.net.conv2d(&y, reduce, Conv2d::PLAIN)?;
        let y = self.net.activated(&y, inner);
        let y = self.net.conv2d(&y, expand, Conv2d::PLAIN)?;
        let y = self.net.activated(&y, outer);
        Ok(self.net.with("Mul", x, &[&y.value]))
    }
}

/// TensorFlow's `SAME`: ⌈side/stride⌉ outputs; an odd pixel goes after.
fn same_padding(side: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let outputs = side.div_ceil(stride);
    let padding = (outputs.saturating_sub(1) * stride + kernel).saturating_sub(side);
    (padding / 2, padding - padding / 2)
}

/// A convolution and its normalisation at `0` and `1` below `name`: `Conv2dNormActivation` of
/// torchvision.
pub(super) fn numbered(name: &str) -> [String; 2] {
    [0, 1].map(|i| format!("{name}.{i}"))
}

/// The parts of a block that torchvision numbers below `name`.
fn torchvision_parts(weights: &Weights<'_>, name: &str) -> Vec<Part> {
    let has = |part: String| weights.contains(&part);
    let part = |i: usize| {
        let part = format!("{name}.{i}");
        if has(format!("{part}.0.weight")) {
            Some(Part::Conv(numbered(&part)))
        } else if has(format!("{part}.fc1.weight")) {
            Some(Part::Gate(["fc1", "fc2"].map(|of| format!("{part}.{of}"))))
        } else {
            // The last convolution of MobileNet v2 is not in a sequence of its own.
            let norm = format!("{name}.{}", i + 1);
            let alone = has(format!("{part}.weight")) && has(format!("{norm}.running_mean"));
            alone.then_some(Part::Conv([part, norm]))
        }
    };
    (0..).map_while(part).collect()
}

/// Blocks of torchvision's and their parts, as many of `names` as are there without a gap.
pub(super) fn torchvision_blocks(
    weights: &Weights<'_>,
    names: impl Iterator<Item = String>,
) -> Vec<(String, Vec<Part>)> {
    let blocks = names.map_while(|name| {
        let parts = torchvision_parts(weights, &name);
        (!parts.is_empty()).then_some((name, parts))
    });
    blocks.collect()
}

/// What a library calls the parts of a block, below the block's own name: convolutions with their
/// normalisation, the two convolutions of the gate.
pub(super) struct Names {
    /// Missing from a block that does not widen.
    pub expand: [&'static str; 2],
    pub depthwise: [&'static str; 2],
    pub gate: Option<[&'static str; 2]>,
    pub project: [&'static str; 2],
}

impl Names {
    pub fn parts(&self, weights: &Weights<'_>, block: &str) -> Vec<Part> {
        let below = |names: [&str; 2]| names.map(|name| format!("{block}.{name}"));
        let expand = below(self.expand);
        let widens = weights.contains(&format!("{}.weight", expand[0]));
        let mut parts = Vec::new();
        if widens {
            parts.push(Part::Conv(expand));
        }
        parts.push(Part::Conv(below(self.depthwise)));
        parts.extend(self.gate.map(|gate| Part::Gate(below(gate))));
        parts.push(Part::Conv(below(self.project)));
        parts
    }
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
