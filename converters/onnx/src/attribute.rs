use bytes::Bytes;

use crate::proto::attribute_proto::AttributeType;
use crate::proto::{AttributeProto, TensorProto};
use crate::{Graph, Tensor};

/// The value of an operator's attribute.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Attribute {
    /// A whole number, also a flag or a data type.
    Int(i64),
    /// A number.
    Float(f32),
    /// A list of whole numbers, such as axes, pads, permutations.
    Ints(Vec<i64>),
    /// Text, such as a mode.
    Text(String),
    /// A list of names, such as the activations of an `RNN`.
    Texts(Vec<String>),
    /// A small constant.
    Tensor(Tensor),
    /// The body of an `If`, `Loop` or `Scan`; see [`Graph::body`].
    Graph(Box<Graph>),
}

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl<const N: usize> From<[i64; N]> for Attribute {
    fn from(value: [i64; N]) -> Self {
        Self::Ints(value.to_vec())
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(values)
    }
}

impl From<&str> for Attribute {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl<const N: usize> From<[&str; N]> for Attribute {
    fn from(values: [&str; N]) -> Self {
        Self::Texts(values.map(str::to_owned).to_vec())
    }
}

impl Attribute {
    /// The protobuf message of an attribute called `name`.
    pub fn into_proto(self, name: &str) -> AttributeProto {
        let mut proto = AttributeProto {
            name: Some(name.into()),
            ..AttributeProto::default()
        };
        let kind = match self {
            Self::Int(value) => {
                proto.i = Some(value);
                AttributeType::Int
            }
            Self::Float(value) => {
                proto.f = Some(value);
                AttributeType::Float
            }
            Self::Ints(values) => {
                proto.ints = values;
                AttributeType::Ints
            }
            Self::Text(text) => {
                proto.s = Some(Bytes::from(text));
                AttributeType::String
            }
            Self::Texts(texts) => {
                proto.strings = texts.into_iter().map(Bytes::from).collect();
                AttributeType::Strings
            }
            Self::Tensor(tensor) => {
                proto.t = Some(TensorProto::from(&tensor));
                AttributeType::Tensor
            }
            Self::Graph(graph) => {
                proto.g = Some(graph.to_proto());
                AttributeType::Graph
            }
        };
        proto.r#type = Some(kind.into());
        proto
    }
}
