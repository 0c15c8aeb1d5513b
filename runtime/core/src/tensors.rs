//! Named tensors in, named tensors out: runs any graph, whatever its task.
//!
//! [`from_json`], [`load`] and [`from_safetensors`] read them, [`RunTensors`] is the pipeline of task
//! `tensors`.

mod fit;
mod json;
mod model;
mod npy;
mod safetensors;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{DynValue, Tensor as OrtTensor, TensorElementType, TensorRef};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::error::{Error, Result, internal};
use crate::session::Session;

pub use json::from_json;
pub(crate) use model::open_boxed;
pub use model::{Outputs, RunTensors};
pub use safetensors::{from_safetensors, to_safetensors};

/// Tensors by name.
pub type Named = BTreeMap<String, Tensor>;

/// The name of a tensor for a graph that has only one input, where nobody has given it another.
pub const ONLY: &str = "";

/// The tensors of a file for the inputs of a graph: JSON, NPY, which is one array without a name, or
/// safetensors. Of a recording those named `input.NAME` are read. The content decides.
///
/// # Errors
/// [`Error::InputFile`] when it cannot be read, [`Error::Input`] when it is of another kind, cut off
/// or of element types that [`TensorData`] lacks.
pub fn load(path: &Path) -> Result<Named> {
    let bytes = std::fs::read(path).map_err(|source| Error::InputFile {
        path: path.to_path_buf(),
        source,
    })?;
    from_bytes(&bytes).map_err(|error| match error {
        Error::Input(what) => Error::Input(format!("{}: {what}", path.display())),
        Error::Unsupported(what) => Error::Unsupported(format!("{}: {what}", path.display())),
        error => error,
    })
}

/// The same from the content of such a file.
///
/// # Errors
/// [`Error::Input`] and [`Error::Unsupported`] as [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<Named> {
    if bytes.starts_with(npy::MAGIC) {
        let tensor = npy::read(bytes).map_err(Error::Input)?;
        return Ok(Named::from([(ONLY.to_owned(), tensor)]));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        let what = "a zip archive, NPZ perhaps; unpack it and give NAME=FILE.npy for each input";
        return Err(Error::Unsupported(what.into()));
    }
    // A little-endian length, then a JSON object.
    if bytes.get(8) == Some(&b'{') && bytes.get(..8).is_some_and(|n| n[5..] == [0, 0, 0]) {
        return from_safetensors(bytes).map(safetensors::inputs);
    }
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| Error::Input("neither JSON nor NPY nor safetensors".into()))?;
    from_json(text)
}

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

    /// Bytes of the values.
    pub fn size_bytes(&self) -> usize {
        each!(self, v => std::mem::size_of_val(v.as_slice()))
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

    /// The values in row-major order, little-endian, as files hold them.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I8(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U8(v) => v.clone(),
            Self::Bool(v) => v.iter().map(|x| u8::from(*x)).collect(),
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

    /// The tensor as an input of this type: float16 has no values of its own here.
    fn value(&self, dtype: &str) -> ort::Result<SessionInputValue<'_>> {
        let shape = self.shape.as_slice();
        if let (TensorData::F32(values), "float16") = (&self.data, dtype) {
            let values = values.iter().map(|x| half::f16::from_f32(*x)).collect();
            let values: Vec<half::f16> = values;
            return Ok(OrtTensor::from_array((shape, values))?.into());
        }
        each!(&self.data, v => Ok(TensorRef::from_array_view((shape, v.as_slice()))?.into()))
    }

    fn all(outputs: &SessionOutputs<'_>) -> Result<Named> {
        let read = |(name, value): (&str, &DynValue)| {
            let tensor = Self::from_value(value).map_err(internal)?;
            let unknown = || Error::Unsupported(format!("output `{name}` is {}", value.dtype()));
            Ok((name.to_owned(), tensor.ok_or_else(unknown)?))
        };
        outputs
            .iter()
            .map(|(name, value)| read((name, &value.view())))
            .collect()
    }

    /// `None` for element types that [`TensorData`] lacks.
    pub(crate) fn from_value(value: &DynValue) -> ort::Result<Option<Self>> {
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

/// As `--json` writes it: `{"shape", "dtype", "data"}`, the values row-major; null for those that are
/// not finite.
impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Tensor", 3)?;
        object.serialize_field("shape", &self.shape)?;
        object.serialize_field("dtype", self.data.dtype())?;
        each!(&self.data, v => object.serialize_field("data", v))?;
        object.end()
    }
}

impl Session {
    /// Runs the graph on named tensors and returns all its outputs.
    ///
    /// # Errors
    /// [`Error::Input`] when names, types or shapes are not the graph's, [`Error::Run`] when ONNX
    /// Runtime fails, [`Error::Unsupported`] for an output type that [`TensorData`] lacks.
    pub fn run_tensors(&mut self, inputs: &Named) -> Result<Named> {
        let inputs = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let values = self.values(inputs.collect())?;
        Tensor::all(&self.run(values)?)
    }

    /// Runs the graph on named tensors, throws its outputs away, and answers how long it ran.
    ///
    /// # Errors
    /// [`Error::Input`] when names, types or shapes are not the graph's, [`Error::Run`] when ONNX
    /// Runtime fails.
    pub fn time_run(&mut self, inputs: &Named) -> Result<Duration> {
        let inputs = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let values = self.values(inputs.collect())?;
        let start = Instant::now();
        let outputs = self.run(values)?;
        let time = start.elapsed();
        drop(outputs);
        Ok(time)
    }

    /// Checks tensors against the inputs of the graph and lends them to ONNX Runtime.
    fn values<'t>(
        &self,
        tensors: BTreeMap<&'t str, &'t Tensor>,
    ) -> Result<Vec<(&'t str, SessionInputValue<'t>)>> {
        for info in self.inputs() {
            let tensor = tensors.get(info.name.as_str()).ok_or_else(|| {
                let given: Vec<_> = tensors.keys().copied().collect();
                Error::Input(format!(
                    "the graph's input `{}` is not given, only: {}; it takes {}",
                    info.name,
                    given.join(", "),
                    self.inputs_text()
                ))
            })?;
            let mut sizes = info.shape.iter().zip(&tensor.shape);
            let fits = info.shape.len() == tensor.shape.len()
                && sizes.all(|(a, b)| a.is_none_or(|a| a == *b));
            let same = match (&tensor.data, info.dtype) {
                (TensorData::F32(_), "float16") => true,
                (data, dtype) => data.dtype() == dtype,
            };
            if !same || !fits {
                let hint = match info.shape.len() == tensor.shape.len() + 1 {
                    true => "; a single item needs an axis in front, for the batch",
                    false => "",
                };
                return Err(Error::Input(format!(
                    "input `{}` is {} {:?}, the graph asks for {} {}{hint}",
                    info.name,
                    tensor.data.dtype(),
                    tensor.shape,
                    info.dtype,
                    info.shape_text()
                )));
            }
        }
        let value = |(name, tensor): (&'t str, &'t Tensor)| {
            let info = self.inputs().iter().find(|info| info.name == name);
            let info = info.ok_or_else(|| {
                let known = self.inputs_text();
                Error::Input(format!("the graph has no input `{name}`, it takes {known}"))
            })?;
            Ok((name, tensor.value(info.dtype).map_err(internal)?))
        };
        tensors.into_iter().map(value).collect()
    }

    /// Names, types and shapes of what the graph takes.
    fn inputs_text(&self) -> String {
        let inputs = self.inputs().iter();
        let inputs = inputs.map(|i| format!("`{}` {} {}", i.name, i.dtype, i.shape_text()));
        inputs.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_never_panic() {
        let tensor = Tensor::new(vec![2, 3], TensorData::F32(vec![0.5; 6])).unwrap();
        let named = Named::from([("input.x".to_owned(), tensor.clone())]);
        let safe = to_safetensors(&named).unwrap();
        let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
        let values = tensor.data.to_bytes();
        let length = [header.len() as u8, 0];
        let npy = [npy::MAGIC, &[1, 0], &length, header.as_bytes(), &values].concat();
        let json = br#"{"x": [[1, 2.5, -3], [4e0, 5, 6]]}"#.to_vec();
        let mut state = 1u32;
        for (name, whole) in [("x", safe), ("", npy), ("x", json)] {
            let found = from_bytes(&whole).unwrap();
            assert_eq!(found[name].shape, [2, 3]);
            for _ in 0..3000 {
                let mut bytes = whole.clone();
                for _ in 0..=state % 3 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let at = (state >> 8) as usize % bytes.len();
                    bytes[at] = (state >> 3) as u8;
                }
                bytes.truncate(bytes.len() - (state >> 16) as usize % 3);
                // Any answer is right but a panic.
                let _ = from_bytes(&bytes);
            }
        }
    }
}
