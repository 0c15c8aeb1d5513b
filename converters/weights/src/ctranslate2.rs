//! `model.bin` of CTranslate2, the format of faster-whisper, as `ModelSpec._serialize` of
//! CTranslate2 4.8.5 writes it (binary versions 4 to 6 are laid out alike). All numbers are
//! little-endian:
//!
//! | part | bytes |
//! |---|---|
//! | binary version | u32 |
//! | specification | string, u32 revision |
//! | variables | u32 count; each: string name, u8 rank, rank × u32 dims, u8 type, u32 size in bytes, the elements |
//! | aliases | u32 count; each: string alias, string name of a variable |
//!
//! A string is its length as u16, closing NUL included, then the bytes. Types are numbered f32, i8,
//! i16, i32, f16, bf16. Scalars are settings of the model, such as its number of heads.
//!
//! Quantised weights: `X` in i8 has `X_scale` with one f32 a row, `X` in i16 has a single one; the
//! real value is `X / X_scale`. Both are one tensor here.

use std::path::Path;

use bytes::Bytes;

use crate::{DType, Data, Error, Spec, Tensor, Tensors};

/// The binary versions that are laid out as above.
const VERSIONS: std::ops::RangeInclusive<u32> = 4..=6;

/// Names are told apart from noise by being short words of these files.
const MAX_SPEC_NAME: usize = 64;

/// The largest models have some thousand variables; more would only fill memory.
const MAX_VARIABLES: u32 = 1 << 18;

/// Types by their number.
const TYPES: [DType; 6] = [
    DType::F32,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::F16,
    DType::Bf16,
];

/// Whether the file begins like a `model.bin`, of whatever version.
pub(crate) fn recognises(bytes: &[u8]) -> bool {
    let Some((&[version, 0, 0, 0, low, high], rest)) = bytes.split_first_chunk() else {
        return false;
    };
    let length = usize::from(u16::from_le_bytes([low, high]));
    let Some(name) = rest.get(..length) else {
        return false;
    };
    let Some((&0, name)) = name.split_last() else {
        return false;
    };
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    version > 0 && (1..MAX_SPEC_NAME).contains(&name.len()) && name.iter().all(word)
}

pub(crate) fn read(path: &Path, bytes: &Bytes) -> Result<(Spec, Tensors), Error> {
    parse(bytes).map_err(|what| Error::CTranslate2 {
        path: path.into(),
        what,
    })
}

fn parse(bytes: &Bytes) -> Result<(Spec, Tensors), String> {
    let mut file = Cursor { bytes, at: 0 };
    let version = file.u32("the binary version")?;
    if !VERSIONS.contains(&version) {
        let (first, last) = (VERSIONS.start(), VERSIONS.end());
        return Err(format!(
            "binary version {version}, {first} to {last} are read; convert the original model \
             again with CTranslate2 4"
        ));
    }
    let spec = Spec {
        name: file.string("the specification")?,
        revision: file.u32("the revision")?,
    };
    let mut tensors = Tensors::new();
    for i in 0..file.count("variables")? {
        let (name, tensor) = file.variable(i)?;
        insert(&mut tensors, name, tensor)?;
    }
    join_scales(&mut tensors)?;
    for _ in 0..file.count("aliases")? {
        let alias = file.string("an alias")?;
        let name = file.string(&format!("what `{alias}` is an alias of"))?;
        let tensor = tensors
            .get(&name)
            .ok_or_else(|| format!("`{alias}` is an alias of `{name}`, which is not in the file"))?
            .clone();
        insert(&mut tensors, alias, tensor)?;
    }
    match bytes.len() - file.at {
        0 => Ok((spec, tensors)),
        rest => Err(format!(
            "{rest} bytes follow its end at byte {}; {DAMAGED}",
            file.at
        )),
    }
}

const DAMAGED: &str = "it is truncated or damaged, copy it again";

fn insert(tensors: &mut Tensors, name: String, tensor: Tensor) -> Result<(), String> {
    match tensors.contains_key(&name) {
        true => Err(format!("tensor `{name}` is there twice; {DAMAGED}")),
        false => {
            tensors.insert(name, tensor);
            Ok(())
        }
    }
}

/// Puts each `X_scale` into its `X`.
fn join_scales(tensors: &mut Tensors) -> Result<(), String> {
    let quantised = |tensor: &Tensor| matches!(tensor.dtype, DType::I8 | DType::I16);
    let names: Vec<String> = tensors
        .iter()
        .filter(|(name, tensor)| quantised(tensor) && tensors.contains_key(&scale_name(name)))
        .map(|(name, _)| name.clone())
        .collect();
    for name in names {
        let Some(scale) = tensors.remove(&scale_name(&name)) else {
            continue;
        };
        let Some(tensor) = tensors.get_mut(&name) else {
            continue;
        };
        let (Data::Mapped(codes), Data::Mapped(scales)) = (&tensor.data, &scale.data) else {
            continue;
        };
        let one_a_row = scale.shape.as_slice() == tensor.shape.get(..1).unwrap_or_default();
        if scale.dtype != DType::F32 || !(one_a_row || scales.len() == 4) {
            return Err(format!(
                "tensor `{name}` {:?} has a scale {} {:?}, expected f32, one or one a row; {DAMAGED}",
                tensor.shape, scale.dtype, scale.shape
            ));
        }
        let usable = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes).is_normal();
        if !scales.as_chunks().0.iter().all(usable) {
            return Err(format!(
                "the scale of tensor `{name}` holds zero or no number; {DAMAGED}"
            ));
        }
        tensor.data = Data::Scaled {
            codes: codes.clone(),
            scales: scales.clone(),
        };
    }
    Ok(())
}

fn scale_name(name: &str) -> String {
    format!("{name}_scale")
}

/// The bytes of the file and how far they are read.
struct Cursor<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    /// The next `size` bytes, which belong to `what`.
    fn take(&mut self, size: usize, what: &str) -> Result<Bytes, String> {
        let end = self.at.checked_add(size).filter(|e| *e <= self.bytes.len());
        let end = end.ok_or_else(|| {
            format!(
                "its {} bytes end within {what}, which starts at byte {} and takes {size}; {DAMAGED}",
                self.bytes.len(),
                self.at
            )
        })?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    fn array<const SIZE: usize>(&mut self, what: &str) -> Result<[u8; SIZE], String> {
        let mut array = [0; SIZE];
        array.copy_from_slice(&self.take(SIZE, what)?);
        Ok(array)
    }

    fn u32(&mut self, what: &str) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn count(&mut self, of: &str) -> Result<u32, String> {
        match self.u32(&format!("the number of {of}"))? {
            count if count <= MAX_VARIABLES => Ok(count),
            count => Err(format!(
                "{count} {of}, {MAX_VARIABLES} are the limit; {DAMAGED}"
            )),
        }
    }

    fn string(&mut self, what: &str) -> Result<String, String> {
        let at = self.at;
        let length = u16::from_le_bytes(self.array(what)?);
        let bytes = self.take(usize::from(length), what)?;
        let text = match bytes.split_last() {
            Some((0, text)) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        text.map(str::to_owned)
            .ok_or_else(|| format!("no text at byte {at}, where {what} should be; {DAMAGED}"))
    }

    fn variable(&mut self, index: u32) -> Result<(String, Tensor), String> {
        let name = self.string(&format!("the name of variable {index}"))?;
        let what = format!("tensor `{name}`");
        let [rank] = self.array(&what)?;
        let mut shape = Vec::with_capacity(usize::from(rank));
        for _ in 0..rank {
            shape.push(self.u32(&what)? as usize);
        }
        let [number] = self.array(&what)?;
        let dtype = *TYPES.get(usize::from(number)).ok_or_else(|| {
            format!("{what} has the unknown type {number}; save it as f32, f16, bf16 or int8")
        })?;
        let size = self.u32(&what)? as usize;
        let expected = shape
            .iter()
            .try_fold(dtype.size_bytes(), |n, dim| n.checked_mul(*dim));
        if expected != Some(size) {
            return Err(format!(
                "{what} is {dtype} {shape:?} and {size} bytes, which contradict each other; \
                 {DAMAGED}"
            ));
        }
        let data = Data::Mapped(self.take(size, &what)?);
        Ok((name, Tensor { dtype, shape, data }))
    }
}

#[cfg(test)]
mod tests;
