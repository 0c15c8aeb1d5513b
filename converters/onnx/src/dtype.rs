use std::fmt;

use crate::proto::tensor_proto::DataType;

/// Element types of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the names say it
pub enum DType {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl DType {
    const ALL: [(Self, DataType, usize); 13] = [
        (Self::F64, DataType::Double, 8),
        (Self::F32, DataType::Float, 4),
        (Self::F16, DataType::Float16, 2),
        (Self::Bf16, DataType::Bfloat16, 2),
        (Self::I64, DataType::Int64, 8),
        (Self::I32, DataType::Int32, 4),
        (Self::I16, DataType::Int16, 2),
        (Self::I8, DataType::Int8, 1),
        (Self::U64, DataType::Uint64, 8),
        (Self::U32, DataType::Uint32, 4),
        (Self::U16, DataType::Uint16, 2),
        (Self::U8, DataType::Uint8, 1),
        (Self::Bool, DataType::Bool, 1),
    ];

    fn row(self) -> (Self, DataType, usize) {
        // ALL lists the variants in their order.
        Self::ALL[self as usize]
    }

    /// Size of one element.
    pub fn size_bytes(self) -> usize {
        self.row().2
    }

    /// The number that stands for it in the protobuf (`TensorProto.DataType`).
    pub fn code(self) -> i32 {
        self.row().1 as i32
    }

    /// The type of a protobuf number; `None` for types that are not read here.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, data_type, _)| *data_type as i32 == code)
            .map(|(dtype, ..)| *dtype)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_enum() {
        for (i, (dtype, ..)) in DType::ALL.into_iter().enumerate() {
            assert_eq!(dtype as usize, i);
            assert_eq!(DType::from_code(dtype.code()), Some(dtype));
        }
    }
}
