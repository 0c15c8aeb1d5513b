//! Pictures as rows of tokens (Dosovitskiy et al. 2020, arXiv:2010.11929): one for each patch, behind
//! learned ones such as the class token.

use bevel_onnx::Tensor;

use super::layers::Net;
use super::map::{Conv2d, Map};
use crate::Error;

/// A weight and its shape.
pub(super) type Named<'a> = (&'a str, &'a [usize]);

/// Where a checkpoint keeps the embedding of patches.
pub(super) struct Patches<'a> {
    /// The convolution that makes a token of each patch.
    pub projection: &'a str,
    /// Side of a patch in pixels, which is the stride of the convolution.
    pub patch: usize,
    /// Learned tokens before those of patches, D elements each.
    pub learned: &'a [Named<'a>],
    /// What is added to each token, T×D.
    pub positions: Named<'a>,
}

impl Patches<'_> {
    /// N×T×D. A learned token is the same for every picture, so it is added to its position, and
    /// stands before the patches as a zero.
    pub fn embed(&self, net: &mut Net<'_>, pixels: &Map, hidden: usize) -> Result<String, Error> {
        let kernel = format!("{}.weight", self.projection);
        let dims = [hidden, pixels.channels, self.patch, self.patch];
        if net
            .weights
            .shape(&kernel)
            .is_some_and(|shape| shape != dims)
        {
            // Says what is wrong with it.
            net.weights.take(&kernel, &dims)?;
        }
        let conv = Conv2d::PLAIN.stride(self.patch).padding([0; 4]);
        let patches = net.conv2d(pixels, self.projection, conv)?;
        // N×D×h×w to N×(h·w)×D.
        let flat = net.i64s(&[0, hidden as i64, -1]);
        let x = net.graph.node("Reshape", &[&patches.value, &flat], []);
        let order = [("perm", [0, 2, 1].into())];
        let x = net.graph.node("Transpose", &[&x], order);
        let before = self.learned.len() as i64;
        let pads = net.i64s(&[0, before, 0, 0, 0, 0]);
        let x = net.graph.node("Pad", &[&x, &pads], []);
        let positions = self.positions(net, hidden)?;
        Ok(net.graph.node("Add", &[&x, &positions], []))
    }

    fn positions(&self, net: &mut Net<'_>, hidden: usize) -> Result<String, Error> {
        let (name, dims) = self.positions;
        let positions = net.weights.take(name, dims)?;
        let mut elements = positions.as_f32().unwrap_or_default().into_owned();
        for (row, (name, dims)) in elements.chunks_mut(hidden.max(1)).zip(self.learned) {
            let token = net.weights.take(name, dims)?;
            let token = token.as_f32().unwrap_or_default();
            for (sum, element) in row.iter_mut().zip(token.iter()) {
                *sum += element;
            }
        }
        if elements.is_empty() {
            // Missing, which is reported later.
            return Ok(net.graph.initializer(positions));
        }
        let positions = Tensor::f32(name, dims, elements);
        Ok(net.graph.initializer(positions))
    }
}
