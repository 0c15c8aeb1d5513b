//! Python's pickle, read and never executed.
//!
//! A pickle is a program for a small stack machine. It is followed as far as it builds values; in
//! place of each call of a class or function there is an inert [`Record`] of what would have been
//! called with what. Nothing is imported, so there is nothing that could run. Only containers are
//! known: `OrderedDict`, `defaultdict`, `set` and their like become the values that they hold.
//!
//! Values may be shared, and may contain themselves, as modules and their parents do. They live in a
//! heap and refer to each other by index; a [`Value`] is a cheap view of one. Walk them with a limit
//! on depth.
//!
//! Protocols 1 to 5. Protocol 0 is text, which PyTorch cannot use; the extension registry and buffers
//! outside the pickle need the process that wrote them. Source: CPython `Lib/pickletools.py`.

mod call;
mod cursor;
mod heap;
mod machine;
mod opcode;
mod value;

use std::path::Path;

use bytes::Bytes;

use crate::{Error, limits};

pub(crate) use heap::{Heap, Item, Object};
pub use value::{Class, Dict, List, Record, Value};

/// A pickle that was read: its values, and the one it is about.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub heap: Heap,
    pub root: Item,
}

impl Pickle {
    pub fn root(&self) -> Value<'_> {
        self.heap.value(self.root)
    }
}

/// Reads one pickle from the start of `bytes`; also its length.
pub(crate) fn read(bytes: &Bytes) -> Result<(Pickle, usize), Fault> {
    let length = bytes.len().min(limits::PICKLE_BYTES);
    machine::run(&bytes.slice(..length)).map_err(|fault| match fault {
        // It did not end where we stopped to read, not where the file did.
        Fault::Damaged { at, .. } if length < bytes.len() && at >= length => {
            Fault::Limit("pickle bytes", limits::PICKLE_BYTES)
        }
        fault => fault,
    })
}

/// Why a pickle could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The byte at `at`, or what follows it, makes no sense.
    Damaged { at: usize, what: &'static str },
    /// More than so many of something.
    Limit(&'static str, usize),
}

impl Fault {
    /// The same of a pickle that does not begin the file.
    pub fn after(self, start: usize) -> Self {
        match self {
            Self::Damaged { at, what } => Self::Damaged {
                at: start + at,
                what,
            },
            limit => limit,
        }
    }

    pub fn in_file(self, path: &Path) -> Error {
        match self {
            Self::Damaged { at, what } => Error::Pickle {
                path: path.into(),
                at,
                what,
            },
            Self::Limit(what, limit) => Error::Limit {
                path: path.into(),
                what,
                limit,
            },
        }
    }
}

#[cfg(test)]
mod tests;
