use std::borrow::Cow;

use bytes::Bytes;

use crate::DType;

/// A named constant: row-major little-endian elements. Cloning shares the bytes.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    /// Name; unique among all values of a graph.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first; empty for a scalar.
    pub dims: Vec<usize>,
    /// The elements, not necessarily aligned.
    pub data: Bytes,
}

impl Tensor {
    /// A tensor over bytes that are there already. [`Graph::check`](crate::Graph::check) compares
    /// their length with `dims`.
    pub fn new(name: impl Into<String>, dtype: DType, dims: &[usize], data: Bytes) -> Self {
        Self {
            name: name.into(),
            dtype,
            dims: dims.to_vec(),
            data,
        }
    }

    /// An f32 tensor that takes the vector over without copying.
    pub fn f32(name: impl Into<String>, dims: &[usize], elements: Vec<f32>) -> Self {
        Self::new(
            name,
            DType::F32,
            dims,
            Bytes::from_owner(Elements(elements)),
        )
    }

    /// An i8 tensor that takes the vector over without copying.
    pub fn i8(name: impl Into<String>, dims: &[usize], elements: Vec<i8>) -> Self {
        Self::new(name, DType::I8, dims, Bytes::from_owner(Elements(elements)))
    }

    /// A list of i64, as shapes and axes are given.
    pub fn i64s(name: impl Into<String>, elements: &[i64]) -> Self {
        let data = elements.iter().flat_map(|e| e.to_le_bytes()).collect();
        Self::new(name, DType::I64, &[elements.len()], data)
    }

    /// One i64 of no dimensions: `Gather` by it takes the axis away.
    pub fn index(name: impl Into<String>, index: i64) -> Self {
        let data = Bytes::copy_from_slice(&index.to_le_bytes());
        Self::new(name, DType::I64, &[], data)
    }

    /// An f32 of no dimensions.
    pub fn scalar(name: impl Into<String>, value: f32) -> Self {
        Self::f32(name, &[], vec![value])
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether a dimension is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of an f32 tensor; borrowed when the bytes are aligned. `None` for other types.
    pub fn as_f32(&self) -> Option<Cow<'_, [f32]>> {
        if self.dtype != DType::F32 {
            return None;
        }
        Some(match bytemuck::try_cast_slice(&self.data) {
            Ok(elements) => Cow::Borrowed(elements),
            Err(_) => {
                let (elements, _) = self.data.as_chunks();
                Cow::Owned(elements.iter().map(|e| f32::from_le_bytes(*e)).collect())
            }
        })
    }
}

/// Lets [`Bytes`] own a vector of numbers.
struct Elements<T>(Vec<T>);

impl<T: bytemuck::NoUninit> AsRef<[u8]> for Elements<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Without the elements, of which there are millions.
impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor")
            .field("name", &self.name)
            .field("dtype", &self.dtype)
            .field("dims", &self.dims)
            .field("size_bytes", &self.data.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unaligned_bytes_are_read_as_well() {
        let floats = Tensor::f32("a", &[2], vec![1.0, -2.5]);
        assert!(matches!(floats.as_f32(), Some(Cow::Borrowed([1.0, -2.5]))));
        let mut shifted = vec![0];
        shifted.extend_from_slice(&floats.data);
        let shifted = Bytes::from(shifted).slice(1..);
        let tensor = Tensor::new("b", DType::F32, &[2], shifted);
        assert_eq!(tensor.as_f32().unwrap().as_ref(), [1.0, -2.5]);
        assert_eq!(Tensor::i64s("c", &[1]).as_f32(), None);
    }
}
