//! The ways of a scheme: what may be chosen about it, as data.

use std::fmt;

use bevel_onnx::Graph;

use super::{Quantized, Request, Seen, dynamic};
use crate::Scheme;

/// One way to quantise, everything decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Way {
    /// int8 weights, activations quantised as they come.
    Dynamic,
}

impl Way {
    /// The ways of a scheme, with and without calibration.
    pub fn of(scheme: Scheme, calibrated: bool) -> Vec<Self> {
        let _ = calibrated;
        match scheme {
            Scheme::Fp32 | Scheme::AsShipped => Vec::new(),
            Scheme::Int8 => vec![Self::Dynamic],
            // Not yet.
            Scheme::Fp16 | Scheme::Int8Static | Scheme::Int8Weights | Scheme::Int4 => Vec::new(),
        }
    }

    /// The values that calibration has to see.
    pub fn wanted(&self, _graph: &Graph) -> Vec<String> {
        match self {
            Self::Dynamic => Vec::new(),
        }
    }

    /// The graph, quantised.
    pub fn quantize(&self, request: &Request<'_>) -> Quantized {
        match self {
            Self::Dynamic => dynamic::quantize(request),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dynamic => f.write_str("dynamic"),
        }
    }
}
