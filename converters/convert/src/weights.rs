//! Takes weights out of a checkpoint by name and keeps account of them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bevel_onnx::{DType, Tensor};
use bevel_weights::Checkpoint;
use bytes::Bytes;

use crate::Error;

/// The weights of one checkpoint while a graph is built from it. What is missing is gathered, so
/// that one run names all of it.
pub(crate) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    family: &'static str,
    taken: RefCell<BTreeSet<String>>,
    missing: RefCell<Vec<String>>,
}

impl<'a> Weights<'a> {
    pub fn new(checkpoint: &'a Checkpoint, family: &'static str) -> Self {
        Self {
            checkpoint,
            family,
            taken: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.checkpoint.contains(name)
    }

    /// Names of all tensors of the checkpoint.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.checkpoint.names()
    }

    /// The shape of a tensor; `None` when there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&'a [usize]> {
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
        self.taken.borrow_mut().insert(name.into());
        let data = self.checkpoint.f32(name)?;
        Ok(Tensor::new(name, DType::F32, dims, data))
    }

    /// A tensor as numbers of the given shape; zeros where it is missing.
    pub fn take_f32(&self, name: &str, dims: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self.take(name, dims)?;
        let mut elements = tensor.as_f32().unwrap_or_default().into_owned();
        elements.resize(dims.iter().product(), 0.0);
        Ok(elements)
    }

    /// The weight of a PyTorch `Linear`, out×in, as a `MatMul` reads it: in×out.
    pub fn take_transposed(&self, name: &str, rows: usize, cols: usize) -> Result<Tensor, Error> {
        let tensor = self.take(name, &[rows, cols])?;
        let elements = match tensor.as_f32() {
            Some(elements) if elements.len() == rows * cols => transpose(&elements, rows, cols),
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

/// Names of tensors that the graph does not need, by design.
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
