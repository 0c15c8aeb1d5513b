//! Takes weights out of a checkpoint by name and keeps account of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bevel_onnx::{DType, Tensor};
use bevel_weights::Checkpoint;
use bytes::Bytes;

use crate::Error;

/// The most zeros that stand in for a tensor that is missing.
const MAX_STAND_IN: usize = 1 << 24;

/// The weights of one checkpoint while a graph is built from it. What is missing is gathered, so
/// that one run names all of it.
pub(crate) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    family: &'static str,
    renamed: Option<Renamed>,
    taken: RefCell<BTreeSet<String>>,
    missing: RefCell<Vec<String>>,
}

impl<'a> Weights<'a> {
    pub fn new(checkpoint: &'a Checkpoint, family: &'static str) -> Self {
        Self::with(checkpoint, family, None)
    }

    /// Weights that another library saved under other names; only those of `names` are seen.
    pub fn renamed(checkpoint: &'a Checkpoint, family: &'static str, mut names: Renamed) -> Self {
        names.retain(|_, part| {
            let tensor = checkpoint.tensor(&part.tensor);
            let shape = tensor.map(|t| t.shape.clone()).unwrap_or_default();
            // A share of rows must come out even; else it counts as missing.
            let rows = shape
                .first()
                .is_some_and(|rows| rows.is_multiple_of(part.shares));
            part.shape = shape;
            if let Some(rows) = part.shape.first_mut() {
                *rows /= part.shares;
            }
            rows
        });
        Self::with(checkpoint, family, Some(names))
    }

    fn with(checkpoint: &'a Checkpoint, family: &'static str, renamed: Option<Renamed>) -> Self {
        Self {
            checkpoint,
            family,
            renamed,
            taken: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// All names of the checkpoint.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.checkpoint.names()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The shape of a tensor; `None` when there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        if let Some(names) = &self.renamed {
            return names.get(name).map(|part| part.shape.as_slice());
        }
        let tensor = self.checkpoint.tensor(name).ok()?;
        Some(&tensor.shape)
    }

    /// A tensor as f32 of the given shape. One that is missing is without bytes until
    /// [`finish`](Self::finish) reports it.
    pub fn take(&self, name: &str, dims: &[usize]) -> Result<Tensor, Error> {
        let Some(shape) = self.shape(name) else {
            self.missing.borrow_mut().push(name.to_owned());
            return Ok(Tensor::new(name, DType::F32, dims, Bytes::new()));
        };
        if shape != dims {
            return Err(Error::Shape {
                path: self.checkpoint.path().into(),
                name: name.into(),
                got: shape.into(),
                expected: dims.into(),
                from: "the configuration and the other weights",
            });
        }
        let part = self.renamed.as_ref().and_then(|names| names.get(name));
        let tensor = part.map_or(name, |part| &part.tensor);
        self.taken.borrow_mut().insert(tensor.into());
        let mut data = self.checkpoint.f32(tensor)?;
        if let Some(Part { index, shares, .. }) = part {
            let size = data.len() / shares;
            data = data.slice(index * size..(index + 1) * size);
        }
        Ok(Tensor::new(name, DType::F32, dims, data))
    }

    /// A tensor as numbers of the given shape; zeros where it is missing.
    ///
    /// # Errors
    /// As [`take`](Self::take), and [`Error::MissingWeights`] at once where so many zeros would have to
    /// stand in: the shape is other tensors' word, and no file has to back it with bytes.
    pub fn take_f32(&self, name: &str, dims: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.take(name, dims)?;
        let mut elements = tensor.as_f32().unwrap_or_default().into_owned();
        let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        match count {
            Some(count) if count == elements.len() || count <= MAX_STAND_IN => {
                elements.resize(count, 0.0);
                Ok(elements)
            }
            _ => Err(Error::MissingWeights {
                path: self.checkpoint.path().into(),
                family: self.family,
                names: self.missing.borrow().clone(),
            }),
        }
    }

    /// The weight of a PyTorch `Linear`, out×in, as a `MatMul` reads it: in×out.
    pub fn take_transposed(&self, name: &str, rows: usize, cols: usize) -> Result<Tensor, Error> {
        let tensor = self.take(name, &[rows, cols])?;
        let elements = match tensor.as_f32() {
            Some(elements) if rows.checked_mul(cols) == Some(elements.len()) => {
                transpose(&elements, rows, cols)
            }
            // It is missing, which `finish` reports.
            _ => Vec::new(),
        };
        Ok(Tensor::f32(name, &[cols, rows], elements))
    }

    /// The names of tensors that were not taken, all of which `harmless` must accept.
    ///
    /// # Errors
    /// [`Error::MissingWeights`], [`Error::LeftOverWeights`].
    pub fn finish(self, harmless: impl Fn(&str) -> bool) -> Result<Unused, Error> {
        let path = self.checkpoint.path();
        let missing = self.missing.into_inner();
        if !missing.is_empty() {
            return Err(Error::MissingWeights {
                path: path.into(),
                family: self.family,
                names: missing,
            });
        }
        let taken = self.taken.into_inner();
        let unused: Vec<String> = self
            .checkpoint
            .names()
            .filter(|name| !taken.contains(*name))
            .map(str::to_owned)
            .collect();
        let left_over: Vec<String> = unused.iter().filter(|n| !harmless(n)).cloned().collect();
        if !left_over.is_empty() {
            return Err(Error::LeftOverWeights {
                path: path.into(),
                family: self.family,
                names: left_over,
            });
        }
        Ok(Unused(unused))
    }
}

/// The name a family asks for, and where the checkpoint keeps it.
pub(crate) type Renamed = BTreeMap<String, Part>;

/// A tensor of a checkpoint, or one of equal shares of its rows.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    tensor: String,
    index: usize,
    shares: usize,
    shape: Vec<usize>,
}

impl Part {
    pub fn whole(tensor: &str) -> Self {
        Self::share(tensor, 0, 1)
    }

    /// Share `index` of `shares`.
    pub fn share(tensor: &str, index: usize, shares: usize) -> Self {
        Self {
            tensor: tensor.into(),
            index,
            shares,
            shape: Vec::new(),
        }
    }
}

/// Names of tensors that the graph does not need, by design.
#[derive(Default)]
pub(crate) struct Unused(pub Vec<String>);

/// rows×cols to cols×rows, in tiles that stay in the cache.
fn transpose(from: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    const TILE: usize = 32;
    let mut to = vec![0.0; rows * cols];
    for row_tile in (0..rows).step_by(TILE) {
        for col_tile in (0..cols).step_by(TILE) {
            for row in row_tile..(row_tile + TILE).min(rows) {
                for col in col_tile..(col_tile + TILE).min(cols) {
                    to[col * rows + row] = from[row * cols + col];
                }
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element() {
        for (rows, cols) in [(1, 1), (3, 5), (32, 32), (33, 65), (70, 2)] {
            let from: Vec<f32> = (0..rows * cols).map(|i| i as f32).collect();
            let to = transpose(&from, rows, cols);
            for row in 0..rows {
                for col in 0..cols {
                    assert_eq!(to[col * rows + row], from[row * cols + col]);
                }
            }
        }
    }
}
