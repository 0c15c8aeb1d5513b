//! Non-linearities between `Linear` layers, as `torch.nn` has them.
//!
//! They are called by `--set activation=NAME`, or by the class of a module that was pickled with its
//! numbers.

use bevel_weights::pickle::{Record, Value};

use super::layers::{Activation, Net};

/// A non-linearity and its number, where it has one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nonlinear {
    kind: Kind,
    number: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// One that other families have too.
    Shared(Activation),
    /// An operator of ONNX without attributes.
    Plain(&'static str),
    /// One with a number as its attribute `alpha`.
    Alpha(&'static str),
    /// As it is.
    Nothing,
}

/// Name of a setting, class in `torch.nn`, what it is, its number, and the attribute of the class that
/// says another. The defaults are those of torch 2.15.
type Row = (&'static str, &'static str, Kind, f32, Option<&'static str>);

const ROWS: [Row; 18] = [
    ("relu", "ReLU", Kind::Shared(Activation::Relu), 0.0, None),
    ("tanh", "Tanh", Kind::Shared(Activation::Tanh), 0.0, None),
    ("gelu", "GELU", Kind::Shared(Activation::Gelu), 0.0, None),
    (
        "gelu_tanh",
        "",
        Kind::Shared(Activation::GeluTanh),
        0.0,
        None,
    ),
    ("silu", "SiLU", Kind::Shared(Activation::Silu), 0.0, None),
    ("swish", "", Kind::Shared(Activation::Silu), 0.0, None),
    (
        "sigmoid",
        "Sigmoid",
        Kind::Shared(Activation::Sigmoid),
        0.0,
        None,
    ),
    ("elu", "ELU", Kind::Alpha("Elu"), 1.0, Some("alpha")),
    ("celu", "CELU", Kind::Alpha("Celu"), 1.0, Some("alpha")),
    (
        "leaky_relu",
        "LeakyReLU",
        Kind::Alpha("LeakyRelu"),
        0.01,
        Some("negative_slope"),
    ),
    (
        "hardsigmoid",
        "Hardsigmoid",
        Kind::Shared(Activation::HardSigmoid),
        0.0,
        None,
    ),
    ("selu", "SELU", Kind::Plain("Selu"), 0.0, None),
    ("softplus", "Softplus", Kind::Plain("Softplus"), 0.0, None),
    ("softsign", "Softsign", Kind::Plain("Softsign"), 0.0, None),
    ("mish", "Mish", Kind::Plain("Mish"), 0.0, None),
    (
        "hardswish",
        "Hardswish",
        Kind::Shared(Activation::HardSwish),
        0.0,
        None,
    ),
    ("relu6", "ReLU6", Kind::Shared(Activation::Relu6), 0.0, None),
    ("none", "Identity", Kind::Nothing, 0.0, None),
];

/// Where the classes are.
pub(super) const MODULE: &str = "torch.nn.modules.";

impl Nonlinear {
    pub const RELU: Self = Self::shared(Activation::Relu);
    pub const TANH: Self = Self::shared(Activation::Tanh);

    const fn shared(activation: Activation) -> Self {
        Self {
            kind: Kind::Shared(activation),
            number: 0.0,
        }
    }

    /// Names of settings and what they stand for.
    pub fn settings() -> [(&'static str, Self); ROWS.len()] {
        ROWS.map(|(name, _, kind, number, _)| (name, Self { kind, number }))
    }

    /// The class of this name in `torch.nn`, with its defaults.
    pub fn class(name: &str) -> Option<Self> {
        let row = ROWS.iter().find(|(_, class, ..)| *class == name)?;
        Some(Self {
            kind: row.2,
            number: row.3,
        })
    }

    /// A pickled module with its numbers; `None` for other modules, and for those whose numbers ONNX
    /// has no operator for.
    pub fn module(record: Record<'_>) -> Option<Self> {
        let class = record.class()?;
        let class = class.module().starts_with(MODULE).then(|| class.name())?;
        let mut found = Self::class(class)?;
        let row = ROWS.iter().find(|row| row.1 == class)?;
        if let Some(number) = row.4.and_then(|name| record.attribute(name)) {
            found.number = number.float()? as f32;
        }
        match class {
            "GELU" if record.attribute("approximate").and_then(Value::text) == Some("tanh") => {
                Some(Self::shared(Activation::GeluTanh))
            }
            "Softplus" if record.attribute("beta").and_then(Value::float) != Some(1.0) => None,
            _ => Some(found),
        }
    }
}

impl Net<'_> {
    pub fn nonlinear(&mut self, x: &str, nonlinear: Nonlinear) -> String {
        match nonlinear.kind {
            Kind::Shared(activation) => self.activation(x, activation),
            Kind::Plain(op) => self.graph.node(op, &[x], []),
            Kind::Alpha(op) => {
                let alpha = [("alpha", nonlinear.number.into())];
                self.graph.node(op, &[x], alpha)
            }
            Kind::Nothing => x.to_owned(),
        }
    }
}
