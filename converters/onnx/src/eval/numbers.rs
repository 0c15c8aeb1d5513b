//! Elements of a tensor as numbers, and back.

use bytes::Bytes;
use half::{bf16, f16};

use crate::{DType, Tensor};

/// Elements in the arithmetic that their type has: floats narrower than 32 bits are calculated in 32,
/// as ONNX Runtime does on a CPU, and rounded at the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Numbers {
    /// Integers and booleans.
    Int(Vec<i64>),
    /// f32, f16, bf16.
    Single(Vec<f32>),
    /// f64.
    Double(Vec<f64>),
}

impl Numbers {
    pub fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }

    /// The elements of a tensor. `None` for u64, whose numbers do not fit.
    pub fn read(tensor: &Tensor) -> Option<Self> {
        let data = tensor.data.as_ref();
        if data.len() != tensor.len().checked_mul(tensor.dtype.size_bytes())? {
            return None;
        }
        fn all<const N: usize, T>(data: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
            data.as_chunks()
                .0
                .iter()
                .map(|bytes| read(*bytes))
                .collect()
        }
        Some(match tensor.dtype {
            DType::F64 => Self::Double(all(data, f64::from_le_bytes)),
            DType::F32 => Self::Single(all(data, f32::from_le_bytes)),
            DType::F16 => Self::Single(all(data, |b| f16::from_le_bytes(b).to_f32())),
            DType::Bf16 => Self::Single(all(data, |b| bf16::from_le_bytes(b).to_f32())),
            DType::I64 => Self::Int(all(data, i64::from_le_bytes)),
            DType::I32 => Self::Int(all(data, |b| i32::from_le_bytes(b).into())),
            DType::I16 => Self::Int(all(data, |b| i16::from_le_bytes(b).into())),
            DType::I8 => Self::Int(all(data, |b| i8::from_le_bytes(b).into())),
            DType::U32 => Self::Int(all(data, |b| u32::from_le_bytes(b).into())),
            DType::U16 => Self::Int(all(data, |b| u16::from_le_bytes(b).into())),
            DType::U8 => Self::Int(all(data, |[b]: [u8; 1]| b.into())),
            DType::Bool => Self::Int(all(data, |[b]: [u8; 1]| (b != 0).into())),
            DType::U64 => return None,
        })
    }

    /// A tensor of these elements, converted as `Cast` does: integers wrap, floats lose their
    /// fraction. `None` where ONNX leaves the outcome open: a float that the integer cannot hold.
    pub fn write(self, dtype: DType, dims: &[usize]) -> Option<Tensor> {
        let data: Bytes = match dtype {
            DType::F64 => bytes(self.doubles(), f64::to_le_bytes),
            DType::F32 => bytes(self.singles(), f32::to_le_bytes),
            DType::F16 => bytes(self.singles(), |x| f16::from_f32(x).to_le_bytes()),
            DType::Bf16 => bytes(self.singles(), |x| bf16::from_f32(x).to_le_bytes()),
            DType::Bool => bytes(self.truths(), |x| [u8::from(x)]),
            DType::I64 => bytes(self.ints(dtype)?, i64::to_le_bytes),
            DType::I32 => bytes(self.ints(dtype)?, |x| (x as i32).to_le_bytes()),
            DType::I16 => bytes(self.ints(dtype)?, |x| (x as i16).to_le_bytes()),
            DType::I8 => bytes(self.ints(dtype)?, |x| (x as i8).to_le_bytes()),
            DType::U32 => bytes(self.ints(dtype)?, |x| (x as u32).to_le_bytes()),
            DType::U16 => bytes(self.ints(dtype)?, |x| (x as u16).to_le_bytes()),
            DType::U8 => bytes(self.ints(dtype)?, |x| (x as u8).to_le_bytes()),
            DType::U64 => return None,
        };
        Some(Tensor::new("", dtype, dims, data))
    }

    fn truths(self) -> Vec<bool> {
        match self {
            Self::Int(values) => values.iter().map(|x| *x != 0).collect(),
            Self::Single(values) => values.iter().map(|x| *x != 0.0).collect(),
            Self::Double(values) => values.iter().map(|x| *x != 0.0).collect(),
        }
    }

    fn singles(self) -> Vec<f32> {
        match self {
            Self::Int(values) => values.iter().map(|x| *x as f32).collect(),
            Self::Single(values) => values,
            Self::Double(values) => values.iter().map(|x| *x as f32).collect(),
        }
    }

    fn doubles(self) -> Vec<f64> {
        match self {
            Self::Int(values) => values.iter().map(|x| *x as f64).collect(),
            Self::Single(values) => values.iter().map(|x| (*x).into()).collect(),
            Self::Double(values) => values,
        }
    }

    fn ints(self, dtype: DType) -> Option<Vec<i64>> {
        let doubles = match self {
            Self::Int(values) => return Some(values),
            other => other.doubles(),
        };
        let (low, high) = match dtype {
            DType::I8 => (-128.0, 127.0),
            DType::I16 => (-32768.0, 32767.0),
            DType::I32 => (-2_147_483_648.0, 2_147_483_647.0),
            DType::U8 => (0.0, 255.0),
            DType::U16 => (0.0, 65535.0),
            DType::U32 => (0.0, 4_294_967_295.0),
            // The largest f64 below 2^63.
            _ => (-9_223_372_036_854_775_808.0, 9_223_372_036_854_774_784.0),
        };
        let cut = doubles.iter().map(|x| {
            let x = x.trunc();
            (low..=high).contains(&x).then_some(x as i64)
        });
        cut.collect()
    }
}

fn bytes<T, const N: usize>(values: Vec<T>, write: impl Fn(T) -> [u8; N]) -> Bytes {
    let mut data = Vec::with_capacity(values.len() * N);
    for value in values {
        data.extend_from_slice(&write(value));
    }
    data.into()
}
