//! The ways of a scheme: what may be chosen about it, as data.

use std::fmt;

use bevel_onnx::Graph;

use super::packed::{Bits, Blocks};
use super::range::Method;
use super::{Quantized, Request, blocks, dynamic, half, qdq, smooth};
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

/// One way to quantise, everything decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Way {
    /// int8 weights, activations quantised as they come, their outliers moved by α first.
    Dynamic { alpha: Option<f32> },
    /// int8 weights, activations in ranges that calibration has seen.
    Static(qdq::Settings),
    /// Integer weights alone.
    Blocks(Blocks),
    /// fp16.
    Half,
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
            Scheme::Int8Weights => vec![blocks(Bits::Eight, 32, false)],
            Scheme::Int4 => vec![blocks(Bits::Four, 32, false), blocks(Bits::Four, 32, true)],
            Scheme::Int8Static => {
                let methods = METHODS.iter().filter(|_| calibrated);
                let way = |method: &Method| {
                    Self::Static(qdq::Settings {
                        method: *method,
                        signed,
                        stem_channels: qdq::STEM_CHANNELS,
                    })
                };
                methods.map(way).collect()
            }
            Scheme::Fp16 => vec![Self::Half],
        }
    }

    /// The values that calibration has to see.
    pub fn wanted(&self, graph: &Graph) -> Vec<String> {
        match self {
            Self::Dynamic { alpha: Some(_) } => smooth::wanted(graph),
            Self::Static(_) => qdq::wanted(graph),
            Self::Dynamic { alpha: None } | Self::Blocks(_) | Self::Half => Vec::new(),
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
            Self::Static(settings) => qdq::quantize(request, settings),
            Self::Blocks(settings) => blocks::quantize(request, *settings),
            Self::Half => half::quantize(request),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic { alpha: None } => f.write_str("as it is"),
            Self::Dynamic { alpha: Some(alpha) } => write!(f, "smoothed by {alpha}"),
            Self::Static(settings) => {
                match settings.method {
                    Method::MinMax => f.write_str("min-max")?,
                    Method::Percentile(percent) => write!(f, "percentile {percent}")?,
                    Method::Mse => f.write_str("MSE")?,
                    Method::Entropy => f.write_str("entropy")?,
                }
                f.write_str(if settings.signed { ", s8/s8" } else { "" })
            }
            Self::Half => f.write_str("as it is"),
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
