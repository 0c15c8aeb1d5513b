//! <https://github.com/huggingface/safetensors>: 8-byte header length, JSON header, tensor bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors};

use crate::{DType, Data, Error, Tensor, map};

type Tensors = BTreeMap<String, Tensor>;

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

/// `{"weight_map": {"tensor": "shard file", …}}`; the shards stand beside the index.
pub(crate) fn read_shards(path: &Path, bytes: &Bytes) -> Result<Tensors, Error> {
    let wrong = |what: String| Error::Index {
        path: path.into(),
        what,
    };
    let index: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    let map = index
        .get("weight_map")
        .and_then(|map| map.as_object())
        .ok_or_else(|| wrong("it has no `weight_map`".into()))?;
    let shards: BTreeSet<&str> = map.values().filter_map(|v| v.as_str()).collect();
    let mut tensors = Tensors::new();
    for shard in shards {
        let mut parts = Path::new(shard).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(wrong(format!("shard `{shard}` is not a file beside it")));
        }
        let file = path.with_file_name(shard);
        tensors.extend(read(&file, &map::map(&file)?)?);
    }
    match map.keys().find(|name| !tensors.contains_key(*name)) {
        Some(name) => Err(wrong(format!("no shard holds tensor `{name}`"))),
        None => Ok(tensors),
    }
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
