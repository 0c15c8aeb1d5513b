//! Layers over pictures and feature maps: N×C×H×W.

// Until the families that use them have landed.
#![allow(dead_code)]

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
    norm: Option<Norm<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Groups {
    Count(usize),
    /// One a channel.
    Channels,
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

    /// Zeros at the top, left, bottom and right.
    pub const fn padding(self, pixels: [usize; 4]) -> Self {
        let padding = Padding::Pixels(pixels);
        Self { padding, ..self }
    }

    /// Batch normalisation behind it.
    pub const fn norm(self, name: &'a str, epsilon: f64) -> Self {
        let norm = Some(Norm { name, epsilon });
        Self { norm, ..self }
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

    /// A `Conv2d`, its bias where the checkpoint has one, and the batch normalisation behind it, as
    /// one node.
    pub fn conv2d(&mut self, x: &Map, name: &str, conv: Conv2d<'_>) -> Result<Map, Error> {
        let weight = format!("{name}.weight");
        let Some(&[outputs, per_group, h, w]) = self.weights.shape(&weight) else {
            // Noted as missing, or an error where it is no weight of a convolution. The graph is never
            // seen, so it does not matter what goes on in it.
            self.weights.take(&weight, &[0; 4])?;
            return Ok(Map {
                value: x.value.clone(),
                channels: 0,
            });
        };
        let kernel = [h, w];
        let groups = match conv.groups {
            Groups::Count(groups) => groups,
            Groups::Channels if x.channels == 0 => outputs,
            Groups::Channels => x.channels,
        };
        let expected = match x.channels {
            0 => per_group,
            channels => channels / groups.max(1),
        };
        let dims = [outputs, expected, kernel[0], kernel[1]];
        let mut weight = self.weights.take(&weight, &dims)?;
        let bias = format!("{name}.bias");
        let mut bias = match self.weights.contains(&bias) {
            true => Some(self.weights.take_f32(&bias, &[outputs])?),
            false => None,
        };
        if let Some(norm) = conv.norm {
            let (folded, shift) = self.fold(&weight, bias, norm, outputs)?;
            weight = folded;
            bias = Some(shift);
        }
        let weight = self.graph.initializer(weight);
        let bias = bias.map(|bias| Tensor::f32(format!("{name}.bias"), &[outputs], bias));
        let bias = bias.map(|bias| self.graph.initializer(bias));
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
        Ok(Map {
            value: self.graph.node("Conv", &inputs, attributes),
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
        let scales = self.f32s(&[1.0, 1.0, 2.0, 2.0]);
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

    /// `x·Wᵀ + b` of N×D from a PyTorch `Linear` as it lies, N×C.
    pub fn dense(&mut self, x: &str, name: &str, inputs: usize) -> Result<(String, usize), Error> {
        let outputs = self.rows(&format!("{name}.weight"));
        let weight = self.table(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = format!("{name}.bias");
        let bias = match self.weights.contains(&bias) {
            true => Some(self.table(&bias, &[outputs])?),
            false => None,
        };
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        let value = self.graph.node("Gemm", &inputs, [("transB", 1.into())]);
        Ok((value, outputs))
    }
}

fn pair(n: usize) -> Attribute {
    [n as i64; 2].into()
}
