//! The container before PyTorch 1.6: a magic number, a version, facts about the machine, the object
//! and the keys of its storages, each a pickle of its own; then for each key the number of elements
//! and the elements.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

use super::{BIG_ENDIAN, Content, tensor};
use crate::Error;
use crate::pickle::{self, Pickle, Value};

/// The number that the file starts with, 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The pickle of the magic number is 15 bytes long, or 24 with the frame of protocol 4.
const MAGIC_WITHIN: usize = 32;

const VERSION: i64 = 1001;

pub(super) fn read(path: &Path, bytes: &Bytes) -> Result<Content, Error> {
    let not = |what, next| Error::NotCheckpoint {
        path: path.into(),
        what,
        next,
    };
    let head = &bytes[..bytes.len().min(MAGIC_WITHIN)];
    if !head.windows(MAGIC.len()).any(|window| window == MAGIC) {
        return Err(not(
            "a Python pickle, but not of torch.save",
            "load it in Python and save its tensors: torch.save(state_dict, f)",
        ));
    }
    let mut at = 0;
    let mut next = || -> Result<Pickle, Error> {
        let (pickle, length) =
            pickle::read(&bytes.slice(at..)).map_err(|fault| fault.after(at).in_file(path))?;
        at += length;
        Ok(pickle)
    };
    let _magic = next()?;
    if next()?.root().int() != Some(VERSION) {
        return Err(not(
            "a PyTorch file of an unknown version",
            "load it in Python and save it again: torch.save(torch.load(f), g)",
        ));
    }
    let machine = next()?;
    if machine.root().get("little_endian").and_then(Value::bool) == Some(false) {
        return Err(not(BIG_ENDIAN.0, BIG_ENDIAN.1));
    }
    let pickle = next()?;
    let keys = next()?;

    let element_bytes = element_bytes(&pickle);
    let mut storages = HashMap::new();
    for key in keys.root().list().into_iter().flat_map(|list| list.iter()) {
        let key = key.text().unwrap_or_default();
        let storage = element_bytes
            .get(key)
            .and_then(|element_bytes| elements(bytes, at, *element_bytes))
            .ok_or_else(|| Error::Storage {
                path: path.into(),
                key: key.into(),
                at,
                size_bytes: bytes.len(),
            })?;
        at += COUNT_BYTES + storage.len();
        storages.insert(key.to_owned(), storage);
    }
    Ok(Content { pickle, storages })
}

/// The size of an element of each storage, by its key.
fn element_bytes(pickle: &Pickle) -> HashMap<&str, usize> {
    let records = pickle
        .heap
        .items()
        .filter_map(|item| pickle.heap.value(item).record());
    records
        .filter_map(tensor::Storage::of)
        .filter_map(|storage| Some((storage.key, storage.element_bytes()?)))
        .collect()
}

const COUNT_BYTES: usize = size_of::<u64>();

/// The elements whose count is at `at`.
fn elements(bytes: &Bytes, at: usize, element_bytes: usize) -> Option<Bytes> {
    let begin = at.checked_add(COUNT_BYTES)?;
    let count = u64::from_le_bytes(*bytes.get(at..begin)?.as_array()?);
    let size = usize::try_from(count).ok()?.checked_mul(element_bytes)?;
    let end = begin.checked_add(size)?;
    (end <= bytes.len()).then(|| bytes.slice(begin..end))
}
