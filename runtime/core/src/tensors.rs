//! Named tensors in, named tensors out: runs any graph, whatever its task.

use std::collections::BTreeMap;

use ort::session::SessionInputValue;
use ort::value::{DynValue, Tensor as OrtTensor, TensorElementType};

use crate::error::{Error, Result, internal};
use crate::session::Session;

/// A tensor that owns its values in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Size of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values.
    pub data: TensorData,
}

/// Values of a [`Tensor`] by element type. float16 is read as f32.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TensorData {
    /// float32
    F32(Vec<f32>),
    /// float64
    F64(Vec<f64>),
    /// int64
    I64(Vec<i64>),
    /// int32
    I32(Vec<i32>),
    /// int8
    I8(Vec<i8>),
    /// uint8
    U8(Vec<u8>),
    /// bool
    Bool(Vec<bool>),
}

/// Calls `$body` with `$values` bound to the vector of whichever type.
macro_rules! each {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            TensorData::F32($values) => $body,
            TensorData::F64($values) => $body,
            TensorData::I64($values) => $body,
            TensorData::I32($values) => $body,
            TensorData::I8($values) => $body,
            TensorData::U8($values) => $body,
            TensorData::Bool($values) => $body,
        }
    };
}

impl TensorData {
    /// Number of values.
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type as ONNX spells it.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
            Self::I64(_) => "int64",
            Self::I32(_) => "int32",
            Self::I8(_) => "int8",
            Self::U8(_) => "uint8",
            Self::Bool(_) => "bool",
        }
    }

    /// The values as f64, for comparing; true is 1.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::F64(v) => v.clone(),
            Self::I64(v) => v.iter().map(|&x| x as f64).collect(),
            Self::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::I8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::Bool(v) => v.iter().map(|&x| f64::from(u8::from(x))).collect(),
        }
    }
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Errors
    /// [`Error::Input`] when the number of values is not the product of the axes.
    pub fn new(shape: Vec<usize>, data: TensorData) -> Result<Self> {
        let expected = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if expected != Some(data.len()) {
            return Err(Error::Input(format!(
                "{} values do not fill a tensor of shape {shape:?}",
                data.len()
            )));
        }
        Ok(Self { shape, data })
    }

    fn to_value(&self) -> ort::Result<DynValue> {
        let shape = self.shape.clone();
        each!(&self.data, v => Ok(OrtTensor::from_array((shape, v.clone()))?.into_dyn()))
    }

    fn from_value(value: &DynValue) -> ort::Result<Option<Self>> {
        let ort::value::ValueType::Tensor { ty, .. } = value.dtype() else {
            return Ok(None);
        };
        macro_rules! take {
            ($kind:ident, $t:ty) => {{
                let (shape, values) = value.try_extract_tensor::<$t>()?;
                let shape = shape.iter().map(|&d| d.max(0) as usize).collect();
                Some(Self {
                    shape,
                    data: TensorData::$kind(values.to_vec()),
                })
            }};
        }
        Ok(match ty {
            TensorElementType::Float32 => take!(F32, f32),
            TensorElementType::Float64 => take!(F64, f64),
            TensorElementType::Int64 => take!(I64, i64),
            TensorElementType::Int32 => take!(I32, i32),
            TensorElementType::Int8 => take!(I8, i8),
            TensorElementType::Uint8 => take!(U8, u8),
            TensorElementType::Bool => take!(Bool, bool),
            TensorElementType::Float16 => {
                let array = value.try_extract_tensor::<half::f16>()?;
                let shape = array.0.iter().map(|&d| d.max(0) as usize).collect();
                let values = array.1.iter().map(|v| v.to_f32()).collect();
                Some(Self {
                    shape,
                    data: TensorData::F32(values),
                })
            }
            _ => None,
        })
    }
}

impl Session {
    /// Runs the graph on named tensors and returns all its outputs.
    ///
    /// # Errors
    /// [`Error::Input`] when names, types or shapes are not the graph's, [`Error::Run`] when ONNX
    /// Runtime fails, [`Error::Unsupported`] for an output type that [`TensorData`] lacks.
    pub fn run_tensors(
        &mut self,
        inputs: &BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>> {
        self.check_inputs(inputs)?;
        let values = inputs
            .iter()
            .map(|(name, tensor)| Ok((name.as_str(), SessionInputValue::from(tensor.to_value()?))))
            .collect::<ort::Result<Vec<_>>>()
            .map_err(internal)?;
        let outputs = self.run(values)?;
        let mut answers = BTreeMap::new();
        for (name, value) in outputs.iter() {
            let tensor = Tensor::from_value(&value.view())
                .map_err(internal)?
                .ok_or_else(|| {
                    Error::Unsupported(format!("output `{name}` is {}", value.dtype()))
                })?;
            answers.insert(name.to_string(), tensor);
        }
        Ok(answers)
    }

    fn check_inputs(&self, inputs: &BTreeMap<String, Tensor>) -> Result<()> {
        for info in self.inputs() {
            let tensor = inputs.get(&info.name).ok_or_else(|| {
                let given: Vec<_> = inputs.keys().map(String::as_str).collect();
                Error::Input(format!(
                    "the graph's input `{}` is not given, only: {}",
                    info.name,
                    given.join(", ")
                ))
            })?;
            let fits = info.shape.len() == tensor.shape.len()
                && info
                    .shape
                    .iter()
                    .zip(&tensor.shape)
                    .all(|(a, b)| a.is_none_or(|a| a == *b));
            if info.dtype != tensor.data.dtype() || !fits {
                return Err(Error::Input(format!(
                    "input `{}` is {} {:?}, the graph asks for {} {}",
                    info.name,
                    tensor.data.dtype(),
                    tensor.shape,
                    info.dtype,
                    info.shape_text()
                )));
            }
        }
        let unknown = inputs.keys().find(|name| !self.has_input(name));
        unknown.map_or(Ok(()), |name| {
            Err(Error::Input(format!("the graph has no input `{name}`")))
        })
    }
}
