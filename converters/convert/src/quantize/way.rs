//! The ways of a scheme: what may be chosen about it, as data.

use std::borrow::Cow;
use std::fmt;

use bevel_onnx::Graph;

use super::packed::{Bits, Blocks};
use super::range::Method;
use super::{Quantized, Request, Seen, bias, blocks, dynamic, equalize, half, qdq, smooth, stored};
use crate::Scheme;

/// How much of an outlier moves into the weights; see [`smooth`]. The authors take 0.5, and more for
/// models with larger outliers.
const ALPHAS: [f32; 3] = [0.35, 0.5, 0.65];

/// How ranges are chosen from what calibration saw.
const METHODS: [Method; 6] = [
    Method::MinMax,
    Method::Percentile(99.999),
    Method::Percentile(99.99),
    Method::Percentile(99.9),
    Method::Mse,
    Method::Entropy,
];

/// Up to how many channels the first convolutions stay in float.
const STEMS: [usize; 4] = [0, qdq::STEM_CHANNELS, 64, 128];

/// One way to quantise, everything decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Way {
    /// int8 weights, activations quantised as they come, their outliers moved by α first.
    Dynamic { alpha: Option<f32> },
    /// int8 weights, activations in ranges that calibration has seen.
    Static(Static),
    /// int8 weights that are unpacked when the model is loaded.
    Stored,
    /// Integer weights alone.
    Blocks(Blocks),
    /// fp16.
    Half,
    /// Dynamic int8 by somebody who doubles the scale of every weight.
    #[cfg(test)]
    Broken,
}

/// What is chosen about static int8.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Static {
    pub settings: qdq::Settings,
    /// Channels of neighbouring layers are brought to like ranges first.
    pub equalize: bool,
    /// Biases take back what rounding shifts; needs to see the quantised graph run.
    pub correct_bias: bool,
}

/// What is done to a graph before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Prepared {
    Nothing,
    Equalized,
}

impl Way {
    /// The ways of a scheme, with and without calibration. `signed` is about the activations of static
    /// int8.
    pub fn of(scheme: Scheme, calibrated: bool, signed: bool) -> Vec<Self> {
        let blocks = |bits, size, zero_points| {
            Self::Blocks(Blocks {
                bits,
                size,
                zero_points,
            })
        };
        match scheme {
            Scheme::Fp32 | Scheme::AsShipped => Vec::new(),
            Scheme::Int8 => {
                let alphas = ALPHAS.iter().filter(|_| calibrated).copied();
                let alphas = std::iter::once(None).chain(alphas.map(Some));
                alphas.map(|alpha| Self::Dynamic { alpha }).collect()
            }
            Scheme::Int8Weights => vec![blocks(Bits::Eight, 32, false), Self::Stored],
            Scheme::Int4 => vec![blocks(Bits::Four, 32, false), blocks(Bits::Four, 32, true)],
            Scheme::Int8Static => {
                let methods = METHODS.iter().filter(|_| calibrated);
                let way = |method: &Method| {
                    Self::Static(Static {
                        settings: qdq::Settings {
                            method: *method,
                            signed,
                            stem_channels: qdq::STEM_CHANNELS,
                        },
                        equalize: false,
                        correct_bias: false,
                    })
                };
                methods.map(way).collect()
            }
            Scheme::Fp16 => vec![Self::Half],
        }
    }

    /// What may still make a way better: tried one after the other on the best of a scheme, each kept
    /// where it helps.
    pub fn refinements(&self) -> Vec<fn(&mut Static)> {
        match self {
            Self::Static(_) => vec![|way| way.equalize = true, |way| way.correct_bias = true],
            _ => Vec::new(),
        }
    }

    /// Ways that trade time for quality against this one, which only measuring can tell.
    pub fn siblings(&self) -> Vec<Self> {
        let Self::Static(own) = self else {
            return Vec::new();
        };
        let others = STEMS
            .iter()
            .filter(|stem| **stem != own.settings.stem_channels);
        let with = |stem: &usize| {
            let mut way = *own;
            way.settings.stem_channels = *stem;
            Self::Static(way)
        };
        others.map(with).collect()
    }

    /// The same with a refinement.
    pub fn refined(&self, refine: fn(&mut Static)) -> Self {
        let mut way = self.clone();
        if let Self::Static(settings) = &mut way {
            refine(settings);
        }
        way
    }

    /// What [`prepare`](Self::prepare) does, so that what was seen of one graph is not taken for that
    /// of another.
    pub fn prepared(&self) -> Prepared {
        match self {
            Self::Static(Static { equalize: true, .. }) => Prepared::Equalized,
            _ => Prepared::Nothing,
        }
    }

    /// The fp32 graph that is looked at and quantised, which answers the same.
    pub fn prepare<'g>(&self, graph: &'g Graph) -> Cow<'g, Graph> {
        match self {
            Self::Static(Static { equalize: true, .. }) => Cow::Owned(equalize::equalize(graph)),
            _ => Cow::Borrowed(graph),
        }
    }

    /// Whether the quantised graph has to be seen as well, and what of it.
    pub fn wanted_after(&self, quantized: &Graph) -> Vec<String> {
        match self {
            Self::Static(Static {
                correct_bias: true, ..
            }) => bias::wanted(quantized),
            _ => Vec::new(),
        }
    }

    /// Puts to use what was seen of the quantised graph.
    pub fn correct(&self, quantized: &mut Graph, fp32: &Seen, after: &Seen) {
        bias::correct_bias(quantized, fp32, after);
    }

    /// The values that calibration has to see.
    pub fn wanted(&self, graph: &Graph) -> Vec<String> {
        match self {
            Self::Dynamic { alpha: Some(_) } => smooth::wanted(graph),
            Self::Static(_) => qdq::wanted(graph),
            _ => Vec::new(),
        }
    }

    /// The graph, quantised.
    pub fn quantize(&self, request: &Request<'_>) -> Quantized {
        match self {
            Self::Dynamic { alpha: None } => dynamic::quantize(request),
            Self::Dynamic { alpha: Some(alpha) } => {
                let graph = smooth::smooth(request.graph, request.seen, *alpha);
                dynamic::quantize(&Request {
                    graph: &graph,
                    ..*request
                })
            }
            Self::Static(way) => qdq::quantize(request, &way.settings),
            Self::Stored => stored::quantize(request),
            Self::Blocks(settings) => blocks::quantize(request, *settings),
            Self::Half => half::quantize(request),
            #[cfg(test)]
            Self::Broken => {
                let mut quantized = dynamic::quantize(request);
                for tensor in &mut quantized.graph.initializers {
                    let scales = tensor.as_f32().filter(|_| tensor.name.ends_with(".scale"));
                    if let Some(scales) = scales.map(std::borrow::Cow::into_owned) {
                        let doubled = scales.into_iter().map(|s| 2.0 * s).collect();
                        *tensor = bevel_onnx::Tensor::f32(&tensor.name, &tensor.dims, doubled);
                    }
                }
                quantized
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic { alpha: None } => f.write_str("as it is"),
            Self::Dynamic { alpha: Some(alpha) } => write!(f, "smoothed by {alpha}"),
            Self::Static(way) => {
                match way.settings.method {
                    Method::MinMax => f.write_str("min-max")?,
                    Method::Percentile(percent) => write!(f, "percentile {percent}")?,
                    Method::Mse => f.write_str("MSE")?,
                    Method::Entropy => f.write_str("entropy")?,
                }
                let more = [
                    (way.settings.signed, ", s8/s8"),
                    (way.equalize, ", equalised"),
                    (way.correct_bias, ", biases corrected"),
                ];
                let stem = way.settings.stem_channels;
                match stem {
                    0 => f.write_str(", from the first layer on")?,
                    qdq::STEM_CHANNELS => {}
                    _ => write!(f, ", first layers to {stem} channels in float")?,
                }
                let mut more = more.iter().filter(|(is, _)| *is);
                more.try_for_each(|(_, text)| f.write_str(text))
            }
            Self::Stored => f.write_str("unpacked when loaded"),
            Self::Half => f.write_str("as it is"),
            #[cfg(test)]
            Self::Broken => f.write_str("broken"),
            Self::Blocks(blocks) => {
                let zero_points = if blocks.zero_points {
                    ", zero points"
                } else {
                    ""
                };
                write!(f, "blocks of {}{zero_points}", blocks.size)
            }
        }
    }
}
