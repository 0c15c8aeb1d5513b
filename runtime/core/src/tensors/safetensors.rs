//! Tensors as safetensors. Of a recording, with names `input.NAME` and `output.NAME`, inputs are read.

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};

use super::{Named, Tensor, TensorData};
use crate::error::{Error, Result};

/// All tensors of a file, under the names it has.
///
/// # Errors
/// [`Error::Input`] for a file that is cut off or of another kind, and for element types that
/// [`TensorData`] lacks.
pub fn from_safetensors(bytes: &[u8]) -> Result<Named> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::Input(format!("not a safetensors file, or cut off: {error}")))?;
    let read = |(name, view): (String, TensorView<'_>)| {
        let data = data(&view).ok_or_else(|| {
            let dtype = view.dtype();
            Error::Input(format!("tensor `{name}` is {dtype:?}, which is not read"))
        })?;
        Ok((name, Tensor::new(view.shape().to_vec(), data)?))
    };
    file.tensors().into_iter().map(read).collect()
}

fn data(view: &TensorView<'_>) -> Option<TensorData> {
    macro_rules! values {
        ($t:ty) => {{
            let chunks = view.data().chunks_exact(size_of::<$t>());
            chunks.map(|c| <$t>::from_le_bytes(c.try_into().unwrap_or_default()))
        }};
    }
    let halves = |to: fn(u16) -> f32| TensorData::F32(values!(u16).map(to).collect());
    Some(match view.dtype() {
        Dtype::F32 => TensorData::F32(values!(f32).collect()),
        Dtype::F64 => TensorData::F64(values!(f64).collect()),
        Dtype::F16 => halves(|bits| half::f16::from_bits(bits).to_f32()),
        Dtype::BF16 => halves(|bits| half::bf16::from_bits(bits).to_f32()),
        Dtype::I64 => TensorData::I64(values!(i64).collect()),
        Dtype::I32 => TensorData::I32(values!(i32).collect()),
        Dtype::I8 => TensorData::I8(values!(i8).collect()),
        Dtype::U8 => TensorData::U8(view.data().to_vec()),
        Dtype::BOOL => TensorData::Bool(view.data().iter().map(|b| *b != 0).collect()),
        _ => return None,
    })
}

/// Takes `input.` off where there are names with it, and leaves out all others then.
pub(super) fn inputs(tensors: Named) -> Named {
    const INPUT: &str = "input.";
    if !tensors.keys().any(|name| name.starts_with(INPUT)) {
        return tensors;
    }
    let named = tensors.into_iter();
    named
        .filter_map(|(name, tensor)| Some((name.strip_prefix(INPUT)?.to_owned(), tensor)))
        .collect()
}

/// The bytes of a safetensors file.
///
/// # Errors
/// [`Error::Internal`] when the format cannot hold them.
pub fn to_safetensors(tensors: &Named) -> Result<Vec<u8>> {
    let bytes: Vec<Vec<u8>> = tensors
        .values()
        .map(|tensor| tensor.data.to_bytes())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
        let dtype = match tensor.data {
            TensorData::F32(_) => Dtype::F32,
            TensorData::F64(_) => Dtype::F64,
            TensorData::I64(_) => Dtype::I64,
            TensorData::I32(_) => Dtype::I32,
            TensorData::I8(_) => Dtype::I8,
            TensorData::U8(_) => Dtype::U8,
            TensorData::Bool(_) => Dtype::BOOL,
        };
        let view = TensorView::new(dtype, tensor.shape.clone(), bytes)?;
        Ok((name.as_str(), view))
    });
    let views: Result<Vec<_>, ::safetensors::SafeTensorError> = views.collect();
    let file = views.and_then(|views| ::safetensors::serialize(views, None));
    file.map_err(|error| Error::Internal(format!("safetensors: {error}")))
}
