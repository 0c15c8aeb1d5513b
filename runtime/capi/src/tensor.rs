//! Tensors by name: what goes into task `tensors`, and what graphs take and answer.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

use bevel::tensors::{Named, ONLY};
use bevel::{Tensor, TensorData, TensorInfo};

use crate::caller::{self, Growing, numbered};
use crate::status::{Failure, Result, bevel_status};

use bevel_dtype::*;

/// The most axes of a tensor here.
pub const BEVEL_MAX_RANK: usize = 8;
/// The most bytes of a tensor's name here, with the zero at its end.
pub const BEVEL_MAX_NAME: usize = 256;

/// Type of the values of a tensor.
#[repr(i32)]
pub enum bevel_dtype {
    /// One that this interface has no values for. float16 is given and answered as float32.
    BEVEL_OTHER = 0,
    /// float
    BEVEL_F32 = 1,
    /// double
    BEVEL_F64 = 2,
    /// int64_t
    BEVEL_I64 = 3,
    /// int32_t
    BEVEL_I32 = 4,
    /// int8_t
    BEVEL_I8 = 5,
    /// uint8_t
    BEVEL_U8 = 6,
    /// uint8_t of 0 or 1
    BEVEL_BOOL = 7,
}

numbered! {
    bevel_dtype:
    BEVEL_OTHER,
    BEVEL_F32,
    BEVEL_F64,
    BEVEL_I64,
    BEVEL_I32,
    BEVEL_I8,
    BEVEL_U8,
    BEVEL_BOOL,
}

/// By ONNX's name.
fn dtype(name: &str) -> bevel_dtype {
    match name {
        "float32" | "float16" => BEVEL_F32,
        "float64" => BEVEL_F64,
        "int64" => BEVEL_I64,
        "int32" => BEVEL_I32,
        "int8" => BEVEL_I8,
        "uint8" => BEVEL_U8,
        "bool" => BEVEL_BOOL,
        _ => BEVEL_OTHER,
    }
}

/// A tensor that goes in. This struct never grows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_tensor {
    /// The name of the graph's input; null for the only one.
    pub name: *const c_char,
    /// Type of the values, see bevel_dtype.
    pub dtype: i32,
    /// How many axes, at most BEVEL_MAX_RANK; 0 for a single value.
    pub rank: u32,
    /// Size of each axis.
    pub shape: *const usize,
    /// The values in row-major order, at any address.
    pub data: *const c_void,
    /// Their size.
    pub size_bytes: usize,
}

/// What a tensor is: of a model, or of an answer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct bevel_tensor_info {
    /// Set by BEVEL_INIT.
    pub struct_size: usize,
    /// Its name.
    pub name: [c_char; BEVEL_MAX_NAME],
    /// Type of its values, see bevel_dtype.
    pub dtype: i32,
    /// How many axes.
    pub rank: u32,
    /// Size of each axis; -1 where any size goes.
    pub shape: [i64; BEVEL_MAX_RANK],
    /// Size of its values as they are given and answered; 0 where the shape is not fixed.
    pub size_bytes: usize,
}

// SAFETY: as it asks for; numbers, and the size first.
unsafe impl Growing for bevel_tensor_info {
    const FIRST_SIZE: usize = offset_of!(Self, size_bytes) + size_of::<usize>();
    const NAME: &'static str = "bevel_tensor_info";
}

impl bevel_tensor_info {
    fn new(name: &str, type_name: &str, shape: &[Option<usize>]) -> Result<Self> {
        let long = name.len() >= BEVEL_MAX_NAME || name.contains('\0');
        if long || shape.len() > BEVEL_MAX_RANK {
            let what = format!("`{name}` has too long a name or too many axes; ask for JSON");
            return Err(Failure::new(bevel_status::BEVEL_UNSUPPORTED, what));
        }
        let mut info = Self {
            struct_size: 0,
            name: [0; BEVEL_MAX_NAME],
            dtype: dtype(type_name) as i32,
            rank: shape.len() as u32,
            shape: [0; BEVEL_MAX_RANK],
            size_bytes: 0,
        };
        for (to, from) in info.name.iter_mut().zip(name.bytes()) {
            *to = from as c_char;
        }
        for (to, from) in info.shape.iter_mut().zip(shape) {
            *to = from.map_or(-1, |size| size as i64);
        }
        Ok(info)
    }

    /// Of a model.
    pub(crate) fn of_graph(tensor: &TensorInfo) -> Result<Self> {
        let count = tensor.shape.iter().try_fold(1, |count: usize, size| {
            size.and_then(|size| count.checked_mul(size))
        });
        let value_bytes = match dtype(tensor.dtype) {
            BEVEL_F64 | BEVEL_I64 => 8,
            BEVEL_F32 | BEVEL_I32 => 4,
            BEVEL_I8 | BEVEL_U8 | BEVEL_BOOL => 1,
            BEVEL_OTHER => 0,
        };
        let size_bytes = count.and_then(|count| count.checked_mul(value_bytes));
        Ok(Self {
            size_bytes: size_bytes.unwrap_or(0),
            ..Self::new(&tensor.name, tensor.dtype, &tensor.shape)?
        })
    }

    /// Of an answer.
    pub(crate) fn of_answer(name: &str, tensor: &Tensor) -> Result<Self> {
        let shape: Vec<_> = tensor.shape.iter().map(|size| Some(*size)).collect();
        Ok(Self {
            size_bytes: tensor.data.size_bytes(),
            ..Self::new(name, tensor.data.dtype(), &shape)?
        })
    }
}

/// Copies tensors out of the caller's memory.
///
/// # Safety
/// `count` tensors are behind `tensors`, and what they point to is there.
pub(crate) unsafe fn named(tensors: *const bevel_tensor, count: usize) -> Result<Named> {
    // SAFETY: the caller's promise.
    let tensors = unsafe { caller::values(tensors, count, "tensors") }?;
    let mut named = Named::new();
    for tensor in tensors {
        // SAFETY: the caller's promise.
        let (name, tensor) = unsafe { one(tensor) }?;
        if named.insert(name.to_owned(), tensor).is_some() {
            return Err(Failure::input(format!("tensor `{name}` is given twice")));
        }
    }
    Ok(named)
}

unsafe fn one<'a>(tensor: &bevel_tensor) -> Result<(&'a str, Tensor)> {
    // SAFETY: the caller's promise.
    let name = unsafe { caller::text_or_none(tensor.name, "name of a tensor") }?;
    let name = name.unwrap_or(ONLY);
    let rank = tensor.rank as usize;
    if rank > BEVEL_MAX_RANK {
        let what = format!("tensor `{name}` has {rank} axes, at most {BEVEL_MAX_RANK}");
        return Err(Failure::input(what));
    }
    // SAFETY: the caller's promise.
    let (shape, bytes) = unsafe {
        (
            caller::values(tensor.shape, rank, "axes of a tensor")?,
            caller::values(
                tensor.data.cast::<u8>(),
                tensor.size_bytes,
                "bytes of a tensor",
            )?,
        )
    };
    let data = data(bevel_dtype::read(tensor.dtype)?, bytes)
        .map_err(|what| Failure::input(format!("tensor `{name}`: {what}")))?;
    Ok((name, Tensor::new(shape.to_vec(), data)?))
}

/// Bytes as values of a type.
fn data(dtype: bevel_dtype, bytes: &[u8]) -> Result<TensorData, String> {
    macro_rules! numbers {
        ($t:ty) => {{
            let (whole, rest) = bytes.as_chunks();
            if !rest.is_empty() {
                let size = size_of::<$t>();
                return Err(format!("{} bytes are no values of {size}", bytes.len()));
            }
            whole.iter().map(|b| <$t>::from_le_bytes(*b)).collect()
        }};
    }
    Ok(match dtype {
        BEVEL_F32 => TensorData::F32(numbers!(f32)),
        BEVEL_F64 => TensorData::F64(numbers!(f64)),
        BEVEL_I64 => TensorData::I64(numbers!(i64)),
        BEVEL_I32 => TensorData::I32(numbers!(i32)),
        BEVEL_I8 => TensorData::I8(numbers!(i8)),
        BEVEL_U8 => TensorData::U8(bytes.to_vec()),
        BEVEL_BOOL => match bytes.iter().find(|b| **b > 1) {
            None => TensorData::Bool(bytes.iter().map(|b| *b == 1).collect()),
            Some(other) => return Err(format!("{other} is no bool, which is 0 or 1")),
        },
        BEVEL_OTHER => return Err("say of which type it is".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_a_graph_have_a_size_where_their_shape_is_fixed() {
        for (dtype, shape, expected) in [
            ("float32", vec![Some(1), Some(3), Some(4)], 48),
            // Given and answered as float32.
            ("float16", vec![Some(2)], 8),
            ("int64", vec![], 8),
            ("bool", vec![Some(5)], 5),
            ("float32", vec![None, Some(3)], 0),
            ("string", vec![Some(3)], 0),
            ("float64", vec![Some(usize::MAX), Some(2)], 0),
            ("float64", vec![Some(usize::MAX)], 0),
        ] {
            let name = "t".to_owned();
            let told = bevel_tensor_info::of_graph(&TensorInfo { name, dtype, shape });
            let Ok(info) = told else {
                panic!("{dtype} is refused");
            };
            assert_eq!(info.size_bytes, expected, "{dtype} {:?}", info.shape);
        }
    }
}
