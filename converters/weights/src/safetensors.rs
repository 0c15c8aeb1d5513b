//! <https://github.com/huggingface/safetensors>: 8-byte header length, JSON header, tensor bytes.

use std::path::Path;

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors};

use crate::{DType, Data, Error, Tensor, Tensors};

pub(crate) fn read(path: &Path, bytes: &Bytes) -> Result<Tensors, Error> {
    let parsed = SafeTensors::deserialize(bytes).map_err(|source| Error::Safetensors {
        path: path.into(),
        size_bytes: bytes.len(),
        source: Box::new(source),
    })?;
    parsed
        .iter()
        .map(|(name, view)| {
            let dtype = dtype(view.dtype()).ok_or_else(|| Error::UnknownType {
                path: path.into(),
                name: name.into(),
                dtype: format!("{:?}", view.dtype()),
            })?;
            let tensor = Tensor {
                dtype,
                shape: view.shape().to_vec(),
                data: Data::Mapped(bytes.slice_ref(view.data())),
            };
            Ok((name.to_owned(), tensor))
        })
        .collect()
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::Bf16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}
