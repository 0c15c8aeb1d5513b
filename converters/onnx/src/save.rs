//! Writing: weights stream into `NAME.onnx.data` beside `NAME.onnx`, the graph follows, and both
//! appear under their names only when they are whole.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use crate::proto::tensor_proto::DataLocation;
use crate::proto::tensor_shape_proto::{Dimension, dimension};
use crate::proto::{
    GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use crate::{
    Dim, EXTERNAL_ALIGN_BYTES, EXTERNAL_MIN_BYTES, Error, Graph, IR_VERSION, OPSET, Tensor, Value,
};

impl Graph {
    /// Checks the graph and writes it to `path`, large weights to `path` + `.data`. Answers the files
    /// that were written.
    ///
    /// # Errors
    /// What [`check`](Self::check) finds; [`Error::File`].
    pub fn save(&self, path: &Path) -> Result<Vec<PathBuf>, Error> {
        self.check()?;
        let data_path = with_suffix(path, ".data");
        let location = data_path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut offset = 0;
        let mut external = Vec::new();
        let initializers = self
            .initializers
            .iter()
            .map(|tensor| {
                if tensor.data.len() < EXTERNAL_MIN_BYTES {
                    return TensorProto::from(tensor);
                }
                external.push((offset, tensor));
                let proto = external_proto(tensor, &location, offset);
                offset = (offset + tensor.data.len() as u64).next_multiple_of(EXTERNAL_ALIGN_BYTES);
                proto
            })
            .collect();
        let mut written = Vec::new();
        if !external.is_empty() {
            write_whole(&data_path, |file| write_tensors(file, &external))?;
            written.push(data_path);
        }
        let model = self.to_model(initializers).encode_to_vec();
        write_whole(path, |file| file.write_all(&model))?;
        written.push(path.into());
        Ok(written)
    }

    /// The message of the graph alone, with its constants inside.
    pub(crate) fn to_proto(&self) -> GraphProto {
        self.to_graph(self.initializers.iter().map(TensorProto::from).collect())
    }

    /// The first IR version that knows the operator set, and none older than ours.
    fn ir_version(&self) -> i64 {
        // Operator sets 23, 24, 25 and 26 came with IR 11, 12, 13 and 13 (onnx 1.18 to 1.21).
        match self.opsets.get("").copied().unwrap_or(OPSET) {
            ..=22 => IR_VERSION,
            23 => 11,
            24 => 12,
            _ => 13,
        }
    }

    fn to_graph(&self, initializer: Vec<TensorProto>) -> GraphProto {
        GraphProto {
            name: Some(self.name.clone()),
            node: self.nodes.clone(),
            input: self.inputs.iter().map(ValueInfoProto::from).collect(),
            output: self.outputs.iter().map(ValueInfoProto::from).collect(),
            value_info: self.still_there().map(ValueInfoProto::from).collect(),
            initializer,
            ..GraphProto::default()
        }
    }

    /// The values of which something is stated and that passes have not taken away.
    fn still_there(&self) -> impl Iterator<Item = &Value> {
        let made: HashSet<&String> = self.nodes.iter().flat_map(|node| &node.output).collect();
        self.stated.iter().filter(move |v| made.contains(&v.name))
    }

    fn to_model(&self, initializer: Vec<TensorProto>) -> ModelProto {
        ModelProto {
            ir_version: Some(self.ir_version()),
            producer_name: Some("bevel".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            opset_import: self
                .opsets
                .iter()
                .map(|(domain, version)| OperatorSetIdProto {
                    domain: Some(domain.clone()),
                    version: Some(*version),
                })
                .collect(),
            metadata_props: self.metadata.iter().map(|(k, v)| entry(k, v)).collect(),
            graph: Some(self.to_graph(initializer)),
            ..ModelProto::default()
        }
    }
}

fn write_tensors(file: &mut impl Write, tensors: &[(u64, &Tensor)]) -> io::Result<()> {
    const ZEROS: [u8; EXTERNAL_ALIGN_BYTES as usize] = [0; EXTERNAL_ALIGN_BYTES as usize];
    let mut at = 0;
    for (offset, tensor) in tensors {
        // The gap to the next aligned offset is always shorter than the alignment.
        file.write_all(&ZEROS[..(offset - at) as usize])?;
        file.write_all(&tensor.data)?;
        at = offset + tensor.data.len() as u64;
    }
    Ok(())
}

/// Writes beside `path` and renames, so that nobody sees half a file.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Error> {
    let partial = with_suffix(path, ".partial");
    let written = File::create(&partial).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner()?.sync_data()?;
        std::fs::rename(&partial, path)
    });
    written.map_err(|source| {
        // What failed is worth more than whether the remains could be removed.
        let _ = std::fs::remove_file(&partial);
        Error::File {
            doing: "write",
            path: path.into(),
            source,
        }
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    }
}

fn external_proto(tensor: &Tensor, location: &str, offset: u64) -> TensorProto {
    TensorProto {
        raw_data: None,
        data_location: Some(DataLocation::External.into()),
        external_data: vec![
            entry("location", location),
            entry("offset", &offset.to_string()),
            entry("length", &tensor.data.len().to_string()),
        ],
        ..TensorProto::from(tensor)
    }
}

impl From<&Tensor> for TensorProto {
    fn from(tensor: &Tensor) -> Self {
        Self {
            name: Some(tensor.name.clone()),
            data_type: Some(tensor.dtype.code()),
            dims: tensor.dims.iter().map(|d| *d as i64).collect(),
            raw_data: Some(tensor.data.clone()),
            ..Self::default()
        }
    }
}

impl From<&Value> for ValueInfoProto {
    fn from(value: &Value) -> Self {
        let dimension = |dim: &Dim| Dimension {
            denotation: None,
            value: match dim {
                Dim::Fixed(size) => Some(dimension::Value::DimValue(*size as i64)),
                Dim::Named(name) => Some(dimension::Value::DimParam(name.clone())),
                Dim::Unknown => None,
            },
        };
        let tensor = type_proto::Tensor {
            elem_type: Some(value.dtype.code()),
            shape: value.dims.as_ref().map(|dims| TensorShapeProto {
                dim: dims.iter().map(dimension).collect(),
            }),
        };
        Self {
            name: Some(value.name.clone()),
            r#type: Some(TypeProto {
                denotation: None,
                value: Some(type_proto::Value::TensorType(tensor)),
            }),
            ..Self::default()
        }
    }
}
