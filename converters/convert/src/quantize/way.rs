//! The ways of a scheme: what may be chosen about it, as data.

use std::fmt;

use bevel_onnx::Graph;

use super::packed::{Bits, Blocks};
use super::{Quantized, Request, blocks, dynamic, smooth};
use crate::Scheme;

/// How much of an outlier moves into the weights; see [`smooth`]. The authors take 0.5, and more for
/// models with larger outliers.
const ALPHAS: [f32; 3] = [0.35, 0.5, 0.65];

/// One way to quantise, everything decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Way {
    /// int8 weights, activations quantised as they come, their outliers moved by α first.
    Dynamic { alpha: Option<f32> },
    /// Integer weights alone.
    Blocks(Blocks),
}

impl Way {
    /// The ways of a scheme, with and without calibration.
    pub fn of(scheme: Scheme, calibrated: bool) -> Vec<Self> {
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
            // Not yet.
            Scheme::Fp16 | Scheme::Int8Static => Vec::new(),
        }
    }

    /// The values that calibration has to see.
    pub fn wanted(&self, graph: &Graph) -> Vec<String> {
        match self {
            Self::Dynamic { alpha: Some(_) } => smooth::wanted(graph),
            Self::Dynamic { alpha: None } | Self::Blocks(_) => Vec::new(),
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
            Self::Blocks(settings) => blocks::quantize(request, *settings),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic { alpha: None } => f.write_str("as it is"),
            Self::Dynamic { alpha: Some(alpha) } => write!(f, "smoothed by {alpha}"),
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
