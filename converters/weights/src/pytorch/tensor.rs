//! Tensors from the records of `torch._utils._rebuild_tensor_v2` and its kin.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

use crate::pickle::{Class, List, Record, Value};
use crate::strided::{Extent, Strided, is_row_major};
use crate::{DType, Data, Error, Tensor, limits};

/// PyTorch's names of element types, and of the storages that hold them.
const TYPES: [(&str, &str, DType); 13] = [
    ("float64", "DoubleStorage", DType::F64),
    ("float32", "FloatStorage", DType::F32),
    ("float16", "HalfStorage", DType::F16),
    ("bfloat16", "BFloat16Storage", DType::Bf16),
    ("int64", "LongStorage", DType::I64),
    ("int32", "IntStorage", DType::I32),
    ("int16", "ShortStorage", DType::I16),
    ("int8", "CharStorage", DType::I8),
    ("uint8", "ByteStorage", DType::U8),
    ("bool", "BoolStorage", DType::Bool),
    // These have no storage of their own: theirs is an `UntypedStorage`.
    ("uint64", "", DType::U64),
    ("uint32", "", DType::U32),
    ("uint16", "", DType::U16),
];

/// Storages whose elements are not read, but have to be stepped over.
const OPAQUE: [(&str, usize); 7] = [
    ("UntypedStorage", 1),
    ("ComplexFloatStorage", 8),
    ("ComplexDoubleStorage", 16),
    ("QInt8Storage", 1),
    ("QUInt8Storage", 1),
    ("QUInt4x2Storage", 1),
    ("QInt32Storage", 4),
];

/// Functions that make tensors which are not read: what they are, and what to do.
const KINDS: [(&str, &str, &str); 4] = [
    (
        "_rebuild_sparse_tensor",
        "sparse",
        "save it dense: tensor.to_dense()",
    ),
    (
        "_rebuild_qtensor",
        "quantised",
        "convert the float model, or save tensor.dequantize()",
    ),
    (
        "_rebuild_nested_tensor",
        "nested",
        "save it padded: tensor.to_padded_tensor(0)",
    ),
    (
        "_rebuild_meta_tensor_no_storage",
        "without values (on the meta device)",
        "load the weights before saving",
    ),
];

/// How deep functions that only wrap a tensor may be nested; PyTorch writes two.
const WRAPPED: usize = 4;

/// Why a record is not a tensor that can be given.
#[derive(Debug)]
pub(super) enum Reason {
    Type(String),
    Kind(&'static str, &'static str),
    Damaged(String),
}

impl Reason {
    pub fn of_tensor(self, path: &Path, name: &str) -> Error {
        let (path, name) = (path.into(), name.into());
        match self {
            Self::Type(dtype) => Error::UnknownType { path, name, dtype },
            Self::Kind(what, next) => Error::TensorKind {
                path,
                name,
                what,
                next,
            },
            Self::Damaged(what) => Error::Tensor { path, name, what },
        }
    }
}

/// A storage as the pickle identifies it:
/// `("storage", type, key, location, element count[, (key of the view, offset, element count)])`.
pub(super) struct Storage<'a> {
    pub key: &'a str,
    type_name: &'a str,
    view: Option<List<'a>>,
}

impl<'a> Storage<'a> {
    pub fn of(record: Record<'a>) -> Option<Self> {
        let id = record.args();
        match (record.class(), id.get(0)?, id.get(1)?, id.get(2)?) {
            (None, Value::Text("storage"), Value::Class(class), Value::Text(key)) => Some(Self {
                key,
                type_name: class.name(),
                view: match id.get(5) {
                    Some(Value::Tuple(view)) => Some(view),
                    _ => None,
                },
            }),
            _ => None,
        }
    }

    fn dtype(&self) -> Option<DType> {
        let typed = TYPES.iter().find(|(_, name, _)| *name == self.type_name);
        typed.map(|(.., dtype)| *dtype)
    }

    /// `None` for a type that is not known.
    pub fn element_bytes(&self) -> Option<usize> {
        let opaque = OPAQUE.iter().find(|(name, _)| *name == self.type_name);
        let typed = self.dtype().map(DType::size_bytes);
        typed.or(opaque.map(|(_, size)| *size))
    }

    fn bytes(&self, storages: &HashMap<String, Bytes>) -> Result<Bytes, Reason> {
        let whole = storages.get(self.key).ok_or_else(|| {
            Reason::Damaged(format!(
                "has its elements in storage `{}`, which is not in the file",
                self.key
            ))
        })?;
        let Some(view) = self.view else {
            return Ok(whole.clone());
        };
        let element_bytes = self.element_bytes().unwrap_or(1);
        let byte = |index| size(view.get(index)?)?.checked_mul(element_bytes);
        let range = byte(1).zip(byte(2)).and_then(|(begin, length)| {
            let end = begin.checked_add(length)?;
            (end <= whole.len()).then_some(begin..end)
        });
        match range {
            Some(range) => Ok(whole.slice(range)),
            None => Err(Reason::Damaged(format!(
                "views beyond storage `{}`, which has {} bytes",
                self.key,
                whole.len()
            ))),
        }
    }
}

/// The tensor that a record stands for; `None` where it stands for something else.
pub(super) fn rebuild(
    record: Record<'_>,
    storages: &HashMap<String, Bytes>,
) -> Option<Result<Tensor, Reason>> {
    let class = record.class()?;
    build(class, record.args(), storages, WRAPPED)
}

fn build(
    function: Class<'_>,
    args: List<'_>,
    storages: &HashMap<String, Bytes>,
    wrapped: usize,
) -> Option<Result<Tensor, Reason>> {
    let name = match (function.module(), function.name()) {
        ("torch._utils" | "torch._tensor", name) if name.starts_with("_rebuild_") => name,
        _ => return None,
    };
    let inner = |index| {
        let wrapped = wrapped.checked_sub(1)?;
        match args.get(index)? {
            Value::Tensor(tensor) => Some(Ok(tensor.clone())),
            Value::Record(record) => build(record.class()?, record.args(), storages, wrapped),
            // A tensor of a subclass: the function, the subclass, its arguments.
            Value::Class(class) => build(class, args.get(2)?.list()?, storages, wrapped),
            _ => None,
        }
    };
    Some(match name {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => strided(args, None, args.get(6), storages),
        "_rebuild_tensor_v3" => strided(args, args.get(6), args.get(7), storages),
        "_rebuild_parameter"
        | "_rebuild_parameter_with_state"
        | "_rebuild_device_tensor_from_cpu_tensor"
        | "_rebuild_from_type"
        | "_rebuild_from_type_v2" => inner(0).unwrap_or_else(|| Err(senseless())),
        name => Err(match KINDS.iter().find(|(kind, ..)| *kind == name) {
            Some((_, what, next)) => Reason::Kind(what, next),
            None => Reason::Kind(
                "of a kind that only PyTorch can rebuild",
                "save it as a plain tensor",
            ),
        }),
    })
}

fn senseless() -> Reason {
    Reason::Damaged("has a description that makes no sense; copy the file again".into())
}

/// A count or offset.
fn size(value: Value<'_>) -> Option<usize> {
    usize::try_from(value.int()?).ok()
}

fn sizes(value: Option<Value<'_>>) -> Option<Vec<usize>> {
    let list = value?.list()?;
    match list.len() > limits::DIMENSIONS {
        true => None,
        false => list.iter().map(size).collect(),
    }
}

/// `(storage, offset, shape, strides, …)`, all in elements.
fn strided(
    args: List<'_>,
    dtype: Option<Value<'_>>,
    metadata: Option<Value<'_>>,
    storages: &HashMap<String, Bytes>,
) -> Result<Tensor, Reason> {
    let storage = args.get(0).and_then(Value::record).and_then(Storage::of);
    let storage = storage.ok_or_else(senseless)?;
    let (Some(offset), Some(shape), Some(strides)) = (
        args.get(1).and_then(size),
        sizes(args.get(2)),
        sizes(args.get(3)),
    ) else {
        return Err(senseless());
    };
    if shape.len() != strides.len() {
        return Err(senseless());
    }
    let dtype = match dtype {
        Some(Value::Class(class)) => TYPES
            .iter()
            .find(|(name, ..)| *name == class.name())
            .map(|(.., dtype)| *dtype)
            .ok_or_else(|| Reason::Type(class.name().into()))?,
        Some(_) => return Err(senseless()),
        None => storage
            .dtype()
            .ok_or_else(|| Reason::Type(storage.type_name.replace("Storage", "")))?,
    };
    let negated = metadata.and_then(|m| m.get("neg")).and_then(Value::bool);
    if negated == Some(true) {
        return Err(Reason::Kind(
            "a negated view of another tensor",
            "save tensor.resolve_neg()",
        ));
    }
    let bytes = storage.bytes(storages)?;
    let extent = Extent::of(&shape, &strides, offset, dtype.size_bytes()).ok_or_else(senseless)?;
    let data = match extent {
        Extent::Empty => Data::Mapped(Bytes::new()),
        Extent::Bytes { end, .. } if end > bytes.len() => {
            return Err(Reason::Damaged(format!(
                "reaches to byte {end} of storage `{}`, which has {}; copy the file again",
                storage.key,
                bytes.len()
            )));
        }
        Extent::Bytes { begin, end, .. } if is_row_major(&shape, &strides) => {
            Data::Mapped(bytes.slice(begin..end))
        }
        Extent::Bytes { whole, .. } if whole > bytes.len().max(limits::EXPANDED_BYTES) => {
            return Err(Reason::Kind(
                "expanded to more than 64 MiB",
                "save what it was expanded from",
            ));
        }
        Extent::Bytes { begin, end, .. } => Data::Strided(Strided {
            bytes: bytes.slice(begin..end),
            strides,
        }),
    };
    Ok(Tensor { dtype, shape, data })
}
