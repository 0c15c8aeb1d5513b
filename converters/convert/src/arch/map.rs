//! Layers over pictures and feature maps: N×C×H×W.

use bevel_onnx::{Attribute, DType, Dim, Tensor};

use super::layers::{Activation, Net};
use crate::Error;

/// A feature map in a graph.
#[derive(Debug, Clone)]
pub(super) struct Map {
    /// Its name in the graph.
    pub value: String,
    /// Its channels; 0 while a weight that is missing leaves it open.
    pub channels: usize,
}

/// What a PyTorch `Conv2d` has besides its weight, from which its outputs and its kernel are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv2d<'a> {
    stride: usize,
    dilation: usize,
    groups: Groups,
    padding: Padding,
    before: Option<[&'a [f32]; 2]>,
    norm: Option<Norm<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Groups {
    Count(usize),
    /// One a channel.
    Channels,
    /// As many as the inputs of each filter ask for.
    Weight,
}

/// Zeros around a map.
#[derive(Debug, Clone, Copy)]
enum Padding {
    /// What keeps the size at stride 1: half of the kernel that dilation spreads.
    Half,
    /// Top, left, bottom, right.
    Pixels([usize; 4]),
}

/// The batch normalisation behind a convolution, which is folded into it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<'a> {
    pub name: &'a str,
    pub epsilon: f64,
}

impl<'a> Conv2d<'a> {
    /// Stride 1, one group, as many zeros around as keep the size.
    pub const PLAIN: Self = Self {
        stride: 1,
        dilation: 1,
        groups: Groups::Count(1),
        padding: Padding::Half,
        before: None,
        norm: None,
    };

    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub const fn dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }

    pub const fn groups(self, groups: usize) -> Self {
        let groups = Groups::Count(groups);
        Self { groups, ..self }
    }

    /// Each channel by a filter of its own.
    pub const fn depthwise(self) -> Self {
        let groups = Groups::Channels;
        Self { groups, ..self }
    }

    /// In as many groups as the weight is made for.
    pub const fn grouped(self) -> Self {
        let groups = Groups::Weight;
        Self { groups, ..self }
    }

    /// Zeros at the top, left, bottom and right.
    pub const fn padding(self, pixels: [usize; 4]) -> Self {
        let padding = Padding::Pixels(pixels);
        Self { padding, ..self }
    }

    /// Behind `scale·x + shift` of each channel, for one group without zeros around the map.
    pub const fn behind(self, scale: &'a [f32], shift: &'a [f32]) -> Self {
        let before = Some([scale, shift]);
        Self { before, ..self }
    }

    /// Batch normalisation behind it.
    pub const fn norm(self, name: &'a str, epsilon: f64) -> Self {
        let norm = Some(Norm { name, epsilon });
        Self { norm, ..self }
    }
}

impl Conv2d<'_> {
    /// Of so many channels, and a weight of `per_group` inputs.
    fn group_count(&self, channels: usize, per_group: usize) -> usize {
        match self.groups {
            Groups::Count(groups) => groups,
            Groups::Channels => channels,
            Groups::Weight if per_group > 0 && channels.is_multiple_of(per_group) => {
                (channels / per_group).max(1)
            }
            // The weight is refused, as it has not the inputs of one group.
            Groups::Weight => 1,
        }
    }
}

/// The weight and bias of a convolution, the batch normalisation behind it folded in.
#[derive(Debug)]
pub(super) struct Filter {
    /// Outputs×inputs a group×height×width.
    pub weight: Tensor,
    pub bias: Option<Vec<f32>>,
}

impl Filter {
    /// Each output times its factor.
    pub fn scale(&mut self, factors: &[f32]) {
        let mut elements = self.weight.as_f32().unwrap_or_default().into_owned();
        let one = elements.len().checked_div(factors.len()).unwrap_or(0);
        for (filter, factor) in elements.chunks_exact_mut(one.max(1)).zip(factors) {
            filter.iter_mut().for_each(|w| *w *= factor);
        }
        for (bias, factor) in self.bias.iter_mut().flatten().zip(factors) {
            *bias *= factor;
        }
        self.weight = Tensor::f32(self.weight.name.clone(), &self.weight.dims, elements);
    }
}

/// The kernel, the stride and the zeros around of a pooling.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    /// Whether a window that begins inside the map counts when it ends outside.
    pub ceil: bool,
}

impl Net<'_> {
    /// The picture N×C×H×W that a graph takes; `None` for lengths that the caller decides.
    pub fn picture(&mut self, name: &str, channels: usize, size: Option<[usize; 2]>) -> Map {
        let sides = match size {
            Some(size) => size.map(Dim::Fixed),
            None => ["height", "width"].map(Dim::named),
        };
        let dims = [Dim::named("batch"), Dim::Fixed(channels)];
        let value = self
            .graph
            .input(name, DType::F32, dims.into_iter().chain(sides));
        Map { value, channels }
    }

    /// Outputs, inputs of each group, height and width of the filters of a convolution; 1 where the
    /// weight is missing, which [`Weights::finish`](crate::weights::Weights::finish) reports.
    pub fn filters(&self, name: &str) -> [usize; 4] {
        let shape = self.weights.shape(name).unwrap_or_default();
        shape.try_into().unwrap_or([1; 4])
    }

    /// A `Conv2d`, its bias where the checkpoint has one, and the batch normalisation behind it, as
    /// one node.
    pub fn conv2d(&mut self, x: &Map, name: &str, conv: Conv2d<'_>) -> Result<Map, Error> {
        let filter = self.filter(x.channels, name, conv)?;
        Ok(self.filtered(x, filter, conv))
    }

    /// The weight and bias of such a node.
    pub fn filter(&self, channels: usize, name: &str, conv: Conv2d<'_>) -> Result<Filter, Error> {
        let weight = format!("{name}.weight");
        let Some(&[outputs, per_group, h, w]) = self.weights.shape(&weight) else {
            // Noted as missing, or an error where it is no weight of a convolution. The graph is never
            // seen, so it does not matter what goes on in it.
            let weight = self.weights.take(&weight, &[0; 4])?;
            return Ok(Filter { weight, bias: None });
        };
        if [outputs, per_group, h, w].contains(&0) {
            // Without elements it says nothing about its size, which may be any.
            self.weights
                .take(&weight, &[outputs, per_group, h, w].map(|n| n.max(1)))?;
        }
        let groups = conv.group_count(channels, per_group).max(1);
        let expected = match channels {
            0 => per_group,
            channels if channels.is_multiple_of(groups) => channels / groups,
            channels => channels,
        };
        if channels > 0 && !outputs.is_multiple_of(groups) {
            return Err(Error::Request(format!(
                "`{weight}` has {outputs} outputs, which cannot be shared between {groups} groups of \
                 inputs; save the checkpoint again"
            )));
        }
        let mut weight = self.weights.take(&weight, &[outputs, expected, h, w])?;
        let bias = format!("{name}.bias");
        let mut bias = match self.weights.contains(&bias) {
            true => Some(self.weights.take_f32(&bias, &[outputs])?),
            false => None,
        };
        if let Some(before) = conv.before {
            let (folded, shift) = absorb(&weight, bias, before, outputs);
            weight = folded;
            bias = Some(shift);
        }
        if let Some(norm) = conv.norm {
            let (folded, shift) = self.fold(&weight, bias, norm, outputs)?;
            weight = folded;
            bias = Some(shift);
        }
        Ok(Filter { weight, bias })
    }

    /// A convolution with this weight and bias; of `conv` the rest.
    pub fn filtered(&mut self, x: &Map, filter: Filter, conv: Conv2d<'_>) -> Map {
        let Filter { weight, bias } = filter;
        let &[outputs, per_group, h, w] = &weight.dims[..] else {
            return x.clone();
        };
        let (kernel, groups) = ([h, w], conv.group_count(x.channels, per_group));
        let bias = bias.map(|bias| {
            let name = weight.name.trim_end_matches("weight");
            Tensor::f32(format!("{name}bias"), &[outputs], bias)
        });
        // Heads run over several maps share their weights.
        let weight = self.constant(weight);
        let bias = bias.map(|bias| self.constant(bias));
        let inputs: Vec<&str> = [x.value.as_str(), &weight]
            .into_iter()
            .chain(bias.as_deref())
            .collect();
        let pads = match conv.padding {
            Padding::Half => {
                let [h, w] = kernel.map(|k| k.saturating_sub(1) * conv.dilation / 2);
                [h, w, h, w]
            }
            Padding::Pixels(pixels) => pixels,
        };
        let attributes = [
            ("dilations", pair(conv.dilation)),
            ("group", (groups as i64).into()),
            ("kernel_shape", kernel.map(|k| k as i64).into()),
            ("pads", pads.map(|n| n as i64).into()),
            ("strides", pair(conv.stride)),
        ];
        Map {
            value: self.graph.node("Conv", &inputs, attributes),
            channels: outputs,
        }
    }

    /// A `ConvTranspose2d` whose kernel is as wide as its stride, so that nothing overlaps: each pixel
    /// becomes a square of `side` pixels.
    pub fn spread2d(&mut self, x: &Map, name: &str, side: usize) -> Result<Map, Error> {
        let weight = format!("{name}.weight");
        let shape = self.weights.shape(&weight).unwrap_or_default();
        let outputs = shape.get(1).copied().unwrap_or(0);
        let weight = self
            .weights
            .take(&weight, &[x.channels, outputs, side, side])?;
        let weight = self.constant(weight);
        let bias = format!("{name}.bias");
        let bias = match self.weights.contains(&bias) {
            true => Some(self.table(&bias, &[outputs])?),
            false => None,
        };
        let inputs: Vec<&str> = [x.value.as_str(), &weight]
            .into_iter()
            .chain(bias.as_deref())
            .collect();
        let attributes = [("kernel_shape", pair(side)), ("strides", pair(side))];
        Ok(Map {
            value: self.graph.node("ConvTranspose", &inputs, attributes),
            channels: outputs,
        })
    }

    /// `γ·(w·x + b − μ)/√(σ² + ε) + β` as one weight and one bias; γ and β are 1 and 0 where the
    /// normalisation has none.
    fn fold(
        &self,
        weight: &Tensor,
        bias: Option<Vec<f32>>,
        norm: Norm<'_>,
        outputs: usize,
    ) -> Result<(Tensor, Vec<f32>), Error> {
        let part = |part: &str| format!("{}.{part}", norm.name);
        let take = |name: &str| self.weights.take_f32(&part(name), &[outputs]);
        let plain = !self.weights.contains(&part("weight"));
        let (gamma, beta) = match plain && self.weights.contains(&part("running_mean")) {
            true => (vec![1.0; outputs], vec![0.0; outputs]),
            false => (take("weight")?, take("bias")?),
        };
        let (mean, variance) = (take("running_mean")?, take("running_var")?);
        let bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
        let mut elements = weight.as_f32().unwrap_or_default().into_owned();
        let per_channel = elements.len().checked_div(outputs).unwrap_or(0).max(1);
        let mut shift = vec![0.0; outputs];
        // In f64: the factor is applied to every weight.
        for (c, filter) in elements.chunks_exact_mut(per_channel).enumerate() {
            let factor = f64::from(gamma[c]) / (f64::from(variance[c]) + norm.epsilon).sqrt();
            for w in filter {
                *w = (f64::from(*w) * factor) as f32;
            }
            let offset = f64::from(bias[c]) - f64::from(mean[c]);
            shift[c] = (f64::from(beta[c]) + offset * factor) as f32;
        }
        Ok((
            Tensor::f32(weight.name.clone(), &weight.dims, elements),
            shift,
        ))
    }

    /// `MaxPool2d`.
    pub fn max_pool(&mut self, x: &Map, pool: Pool) -> Map {
        self.pool("MaxPool", x, pool)
    }

    /// `AvgPool2d` that counts the zeros around, as PyTorch does unless it is told otherwise.
    pub fn average_pool(&mut self, x: &Map, pool: Pool) -> Map {
        self.pool("AveragePool", x, pool)
    }

    fn pool(&mut self, op: &str, x: &Map, pool: Pool) -> Map {
        let mut attributes = vec![
            ("kernel_shape", pair(pool.kernel)),
            ("pads", [pool.padding as i64; 4].into()),
            ("strides", pair(pool.stride)),
        ];
        if pool.ceil {
            attributes.push(("ceil_mode", 1.into()));
        }
        if op == "AveragePool" && pool.padding > 0 {
            attributes.push(("count_include_pad", 1.into()));
        }
        Map {
            value: self.graph.node(op, &[&x.value], attributes),
            channels: x.channels,
        }
    }

    /// The mean of each channel, N×C×1×1.
    pub fn global_average(&mut self, x: &Map) -> Map {
        Map {
            value: self.graph.node("GlobalAveragePool", &[&x.value], []),
            channels: x.channels,
        }
    }

    /// Maps of one size behind each other, channel by channel.
    pub fn join(&mut self, maps: &[&Map]) -> Map {
        let values: Vec<&str> = maps.iter().map(|map| map.value.as_str()).collect();
        let axis = [("axis", 1.into())];
        Map {
            value: self.graph.node("Concat", &values, axis),
            channels: maps.iter().map(|map| map.channels).sum(),
        }
    }

    /// Twice as high and as wide, each pixel four times.
    pub fn double(&mut self, x: &Map) -> Map {
        self.enlarged(x, 2)
    }

    /// `times` as high and as wide, each pixel as a square of its own.
    pub fn enlarged(&mut self, x: &Map, times: usize) -> Map {
        let times = times as f32;
        let scales = self.f32s(&[1.0, 1.0, times, times]);
        let attributes = [
            ("coordinate_transformation_mode", "asymmetric".into()),
            ("mode", "nearest".into()),
            ("nearest_mode", "floor".into()),
        ];
        Map {
            value: self
                .graph
                .node("Resize", &[&x.value, "", &scales], attributes),
            channels: x.channels,
        }
    }

    /// Twice as high and as wide, blended so that corners stay corners (`Upsample` in PyTorch, bilinear
    /// with `align_corners`).
    pub fn stretch(&mut self, x: &Map) -> Map {
        let scales = self.f32s(&[1.0, 1.0, 2.0, 2.0]);
        let attributes = [
            ("coordinate_transformation_mode", "align_corners".into()),
            ("mode", "linear".into()),
        ];
        Map {
            value: self
                .graph
                .node("Resize", &[&x.value, "", &scales], attributes),
            channels: x.channels,
        }
    }

    /// Another node over a map that leaves its channels: an `Add`, a `Mul`, a non-linearity.
    pub fn with(&mut self, op: &str, x: &Map, others: &[&str]) -> Map {
        let inputs: Vec<&str> = [x.value.as_str()]
            .into_iter()
            .chain(others.iter().copied())
            .collect();
        Map {
            value: self.graph.node(op, &inputs, []),
            channels: x.channels,
        }
    }

    /// A non-linearity.
    pub fn activated(&mut self, x: &Map, activation: Activation) -> Map {
        Map {
            value: self.activation(&x.value, activation),
            channels: x.channels,
        }
    }
}

/// `w·(scale·x + shift) + b` as one weight and one bias.
fn absorb(
    weight: &Tensor,
    bias: Option<Vec<f32>>,
    [scale, shift]: [&[f32]; 2],
    outputs: usize,
) -> (Tensor, Vec<f32>) {
    let mut bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
    let mut elements = weight.as_f32().unwrap_or_default().into_owned();
    let per_filter = elements.len().checked_div(outputs).unwrap_or(0).max(1);
    let per_channel = per_filter.checked_div(scale.len()).unwrap_or(0).max(1);
    for (filter, bias) in elements.chunks_exact_mut(per_filter).zip(&mut bias) {
        let mut sum = f64::from(*bias);
        let channels = filter
            .chunks_exact_mut(per_channel)
            .zip(scale.iter().zip(shift));
        for (pixels, (scale, shift)) in channels {
            for w in pixels {
                sum += f64::from(*w) * f64::from(*shift);
                *w *= scale;
            }
        }
        *bias = sum as f32;
    }
    (
        Tensor::f32(weight.name.clone(), &weight.dims, elements),
        bias,
    )
}

fn pair(n: usize) -> Attribute {
    [n as i64; 2].into()
}

#[cfg(test)]
mod tests;
