//! ONNX graphs: constants inside the file point into the map, those in files beside it are read.

use std::path::Path;

use bevel_onnx::Graph;
use bytes::Bytes;

use crate::{Data, Error, Tensor, Tensors};

/// The graph, and its constants by name.
pub(crate) fn read(path: &Path, bytes: Bytes) -> Result<(Graph, Tensors), Error> {
    let graph = Graph::from_bytes(path, bytes).map_err(|source| Error::Onnx {
        path: path.into(),
        source: Box::new(source),
    })?;
    let tensors = graph.initializers.iter().map(|tensor| {
        let read = Tensor {
            dtype: tensor.dtype,
            shape: tensor.dims.clone(),
            data: Data::Mapped(tensor.data.clone()),
        };
        (tensor.name.clone(), read)
    });
    let tensors = tensors.collect();
    Ok((graph, tensors))
}
