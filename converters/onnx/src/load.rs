//! Reading, of our own graphs and other tools'.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use bytes::Bytes;
use prost::Message;

use crate::check::check_size;
use crate::proto::tensor_proto::DataLocation;
use crate::proto::tensor_shape_proto::dimension;
use crate::proto::{ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use crate::{DType, Dim, Error, Graph, Tensor, Value};

impl Graph {
    /// Reads a model and its external data, and checks it.
    ///
    /// # Errors
    /// Everything that can be wrong with the files; see [`Error`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::File {
            doing: "read",
            path: path.into(),
            source,
        })?;
        Self::from_bytes(path, Bytes::from(bytes))
    }

    /// A model whose bytes are at hand; external data lies beside `path`, which is what errors call it.
    /// Constants share the bytes.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_bytes(path: &Path, bytes: Bytes) -> Result<Self, Error> {
        let model = ModelProto::decode(bytes).map_err(|source| Error::Decode {
            path: path.into(),
            source,
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_proto(model, folder)
    }

    /// The graph of a decoded model whose external data lies in `folder`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_proto(model: ModelProto, folder: &Path) -> Result<Self, Error> {
        let functions = !model.functions.is_empty();
        let training = !model.training_info.is_empty();
        let proto = model.graph.unwrap_or_default();
        let name = proto.name.clone().unwrap_or_default();
        let unsupported = |what: &str| Error::Unsupported {
            graph: name.clone(),
            what: what.into(),
        };
        let refused = [
            (proto.node.is_empty(), "no nodes"),
            (model.opset_import.is_empty(), "no operator set"),
            (
                functions,
                "model-local functions (onnx.inliner.inline_local_functions takes them out)",
            ),
            (training, "training information"),
            (!proto.sparse_initializer.is_empty(), "sparse initializers"),
        ];
        if let Some((_, what)) = refused.iter().find(|(is, _)| *is) {
            return Err(unsupported(what));
        }
        let mut graph = Self::new(name.clone());
        graph.opsets = model
            .opset_import
            .iter()
            .map(|id| (id.domain().to_owned(), id.version()))
            .collect();
        graph.metadata = model
            .metadata_props
            .iter()
            .map(|e| (e.key().to_owned(), e.value().to_owned()))
            .collect();
        let mut files = Files::new(folder);
        for tensor in &proto.initializer {
            graph
                .initializers
                .push(read_tensor(&name, tensor, &mut files)?);
        }
        let constants: HashSet<&str> = proto.initializer.iter().map(|t| t.name()).collect();
        for input in &proto.input {
            // Before IR 4 initializers repeat as inputs.
            if !constants.contains(input.name()) {
                graph.inputs.push(read_value(&name, input)?);
            }
        }
        for output in &proto.output {
            graph.outputs.push(read_value(&name, output)?);
        }
        graph.nodes = proto.node;
        settle(&name, &mut graph.nodes, &mut files, &mut HashSet::new())?;
        graph.learn_names();
        graph.check()?;
        Ok(graph)
    }
}

fn read_value(graph: &str, value: &ValueInfoProto) -> Result<Value, Error> {
    let unsupported = || Error::Unsupported {
        graph: graph.into(),
        what: format!("`{}`, which is no tensor of a known type", value.name()),
    };
    let kind = value.r#type.as_ref().and_then(|t| t.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = kind else {
        return Err(unsupported());
    };
    let dims = tensor.shape.as_ref().map(|shape| {
        let dims = shape.dim.iter().map(|dim| match &dim.value {
            Some(dimension::Value::DimValue(size)) => {
                usize::try_from(*size).map_or(Dim::Unknown, Dim::Fixed)
            }
            Some(dimension::Value::DimParam(name)) => Dim::named(name),
            None => Dim::Unknown,
        });
        dims.collect()
    });
    Ok(Value {
        name: value.name().into(),
        dtype: DType::from_code(tensor.elem_type()).ok_or_else(unsupported)?,
        dims,
    })
}

/// What other tools leave to their readers: nodes may share a name, and constants of bodies may lie
/// outside the file.
fn settle(
    graph: &str,
    nodes: &mut [NodeProto],
    files: &mut Files<'_>,
    names: &mut HashSet<String>,
) -> Result<(), Error> {
    for node in nodes {
        if node
            .name
            .as_ref()
            .is_some_and(|name| !names.insert(name.clone()))
        {
            node.name = None;
        }
        for attribute in &mut node.attribute {
            for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
                take_in(graph, tensor, files)?;
            }
        }
        for body in node.bodies_mut() {
            for tensor in &mut body.initializer {
                take_in(graph, tensor, files)?;
            }
            settle(graph, &mut body.node, files, names)?;
        }
    }
    Ok(())
}

/// Brings external data into the message.
fn take_in(graph: &str, tensor: &mut TensorProto, files: &mut Files<'_>) -> Result<(), Error> {
    if tensor.data_location() == DataLocation::External {
        *tensor = TensorProto::from(&read_tensor(graph, tensor, files)?);
    }
    Ok(())
}

impl Tensor {
    /// A constant whose elements are inside its message.
    pub(crate) fn inside(proto: &TensorProto) -> Result<Self, Error> {
        match proto.data_location() {
            // Only who knows the model's folder reads it.
            DataLocation::External => Err(Error::Escape {
                tensor: proto.name().into(),
                location: external(proto, "location").unwrap_or_default().into(),
            }),
            DataLocation::Default => tensor_of("", proto, || Ok(None)),
        }
    }
}

fn read_tensor(graph: &str, proto: &TensorProto, files: &mut Files<'_>) -> Result<Tensor, Error> {
    tensor_of(graph, proto, || match proto.data_location() {
        DataLocation::External => files.tensor(proto).map(Some),
        DataLocation::Default => Ok(None),
    })
}

/// A tensor whose bytes are those of `outside`, or in its message where there are none.
fn tensor_of(
    graph: &str,
    proto: &TensorProto,
    outside: impl FnOnce() -> Result<Option<Bytes>, Error>,
) -> Result<Tensor, Error> {
    let unsupported = |what: &str| Error::Unsupported {
        graph: graph.into(),
        what: format!("tensor `{}` of {what}", proto.name()),
    };
    let dtype = DType::from_code(proto.data_type())
        .ok_or_else(|| unsupported(&format!("type {}", proto.data_type())))?;
    let dims: Vec<usize> = proto
        .dims
        .iter()
        .map(|d| usize::try_from(*d))
        .collect::<Result<_, _>>()
        .map_err(|_| unsupported("a negative dimension"))?;
    let data = match (outside()?, &proto.raw_data) {
        (Some(data), _) => data,
        (None, Some(raw)) => raw.clone(),
        (None, None) => typed_data(proto, dtype),
    };
    let tensor = Tensor::new(proto.name(), dtype, &dims, data);
    check_size(&tensor)?;
    Ok(tensor)
}

/// The elements of the typed fields; types narrower than 32 bits travel in `int32_data`.
fn typed_data(proto: &TensorProto, dtype: DType) -> Bytes {
    let narrow = |size: usize| {
        let elements = proto.int32_data.iter();
        elements
            .flat_map(|e| e.to_le_bytes().into_iter().take(size))
            .collect()
    };
    match dtype {
        DType::F32 => proto
            .float_data
            .iter()
            .flat_map(|e| e.to_le_bytes())
            .collect(),
        DType::F64 => proto
            .double_data
            .iter()
            .flat_map(|e| e.to_le_bytes())
            .collect(),
        DType::I64 => proto
            .int64_data
            .iter()
            .flat_map(|e| e.to_le_bytes())
            .collect(),
        DType::U64 => proto
            .uint64_data
            .iter()
            .flat_map(|e| e.to_le_bytes())
            .collect(),
        DType::U32 => {
            let elements = proto.uint64_data.iter();
            elements.flat_map(|e| (*e as u32).to_le_bytes()).collect()
        }
        _ => narrow(dtype.size_bytes()),
    }
}

/// An entry of a tensor's external data.
fn external<'t>(proto: &'t TensorProto, key: &str) -> Option<&'t str> {
    let mut entries = proto.external_data.iter();
    entries.find(|e| e.key() == key).map(|e| e.value())
}

/// The files of external data in a model's folder, each read once: tensors share its bytes, so that
/// no list of tensors asks for more memory than the files have.
struct Files<'a> {
    folder: &'a Path,
    read: HashMap<String, Bytes>,
}

impl<'a> Files<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            read: HashMap::new(),
        }
    }

    fn tensor(&mut self, proto: &TensorProto) -> Result<Bytes, Error> {
        let location = external(proto, "location").unwrap_or_default();
        let inside = |part| matches!(part, Component::Normal(_));
        if location.is_empty() || !Path::new(location).components().all(inside) {
            return Err(Error::Escape {
                tensor: proto.name().into(),
                location: location.into(),
            });
        }
        let data = self.file(location)?;
        let number = |key: &'static str, default: u64| {
            let Some(value) = external(proto, key) else {
                return Ok(default);
            };
            value.parse().map_err(|_| Error::External {
                tensor: proto.name().into(),
                key,
                value: value.into(),
            })
        };
        let size_bytes = data.len() as u64;
        let offset = number("offset", 0)?;
        let length = number("length", size_bytes.saturating_sub(offset))?;
        match offset.checked_add(length) {
            Some(end) if end <= size_bytes => Ok(data.slice(offset as usize..end as usize)),
            _ => Err(Error::Short {
                tensor: proto.name().into(),
                path: self.folder.join(location),
                offset,
                length,
                size_bytes,
            }),
        }
    }

    fn file(&mut self, location: &str) -> Result<Bytes, Error> {
        if let Some(data) = self.read.get(location) {
            return Ok(data.clone());
        }
        let path = self.folder.join(location);
        let data = std::fs::read(&path).map_err(|source| Error::File {
            doing: "read",
            path,
            source,
        })?;
        let data = Bytes::from(data);
        self.read.insert(location.into(), data.clone());
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EXTERNAL_ALIGN_BYTES;
    use crate::proto::StringStringEntryProto;

    fn graph() -> Graph {
        let mut graph = Graph::new("g");
        let x = graph.input("x", DType::F32, [Dim::named("n"), Dim::Fixed(2000)]);
        let small = graph.initializer(Tensor::f32("small", &[1], vec![1.0]));
        let large = graph.initializer(Tensor::f32("large", &[2000], vec![2.0; 2000]));
        let other = graph.initializer(Tensor::f32("other", &[2000], vec![3.0; 2000]));
        let mut y = x;
        for weight in [small, large, other] {
            y = graph.node("Mul", &[&y, &weight], []);
        }
        graph.output(&y, "y", DType::F32, [Dim::named("n"), Dim::Unknown]);
        graph.metadata.insert("k".into(), "v".into());
        graph
    }

    #[test]
    fn large_weights_lie_aligned_beside_the_graph() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.onnx");
        let written = graph().save(&path).unwrap();
        let names: Vec<_> = written
            .iter()
            .map(|f| f.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["model.onnx.data", "model.onnx"]);
        let size = std::fs::metadata(&written[0]).unwrap().len();
        assert_eq!(size, 2 * EXTERNAL_ALIGN_BYTES + 8000);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(Graph::load(&path).unwrap(), graph());
    }

    #[test]
    fn external_data_stays_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("w"), [0; 8]).unwrap();
        let cases = [
            ("absolute", "/etc/passwd", "0", "4", "/etc/passwd"),
            ("parent", "../w", "0", "4", "../w"),
            ("hidden parent", "a/../../w", "0", "4", "a/../../w"),
            ("none", "", "0", "4", "``"),
            ("too short", "w", "8", "4", "truncated"),
            ("overflow", "w", "18446744073709551615", "4", "truncated"),
            ("wrong length", "w", "0", "8", "needs 4 bytes"),
            ("absent", "v", "0", "4", "cannot read"),
            ("no offset", "w", "-4", "4", "offset `-4`"),
            ("no length", "w", "0", "four", "length `four`"),
        ];
        for (name, location, offset, length, says) in cases {
            let entry = |(key, value): (&str, &str)| StringStringEntryProto {
                key: Some(key.into()),
                value: Some(value.into()),
            };
            let tensor = TensorProto {
                name: Some("t".into()),
                data_type: Some(DType::F32.code()),
                dims: vec![1],
                data_location: Some(DataLocation::External.into()),
                external_data: [
                    ("location", location),
                    ("offset", offset),
                    ("length", length),
                ]
                .map(entry)
                .to_vec(),
                ..TensorProto::default()
            };
            let error = read_tensor("g", &tensor, &mut Files::new(dir.path())).unwrap_err();
            assert!(error.to_string().contains(says), "{name}: {error}");
        }
    }

    #[test]
    fn constants_in_nodes_lie_in_the_folder_too() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("w"), 1.5f32.to_le_bytes()).unwrap();
        let outside = |location: &str| TensorProto {
            name: Some("t".into()),
            data_type: Some(DType::F32.code()),
            data_location: Some(DataLocation::External.into()),
            external_data: vec![StringStringEntryProto {
                key: Some("location".into()),
                value: Some(location.into()),
            }],
            ..TensorProto::default()
        };
        // A name that would be found in the working directory.
        let error = Tensor::inside(&outside("Cargo.toml")).unwrap_err();
        assert!(matches!(error, Error::Escape { .. }), "{error}");
        for (location, says) in [("w", None), ("../w", Some("`../w`")), ("v", Some("v"))] {
            let mut model = graph();
            let mut node = NodeProto::new("Constant", &[], &["c"], []);
            node.set("value", crate::Attribute::Int(0));
            node.attribute[0].t = Some(outside(location));
            model.nodes.insert(0, node);
            let proto = ModelProto {
                graph: Some(model.to_proto()),
                opset_import: vec![Default::default()],
                ..ModelProto::default()
            };
            let path = dir.path().join("model.onnx");
            match (Graph::from_bytes(&path, proto.encode_to_vec().into()), says) {
                (Ok(graph), None) => {
                    let tensor = graph.nodes[0].attribute[0].t.as_ref().unwrap();
                    let tensor = Tensor::inside(tensor).unwrap();
                    assert_eq!(tensor.as_f32().unwrap().as_ref(), [1.5]);
                }
                (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
                (found, _) => panic!("{location}: {found:?}"),
            }
        }
    }

    #[test]
    fn typed_fields_become_bytes() {
        let of = |dtype: DType, fill: fn(&mut TensorProto)| {
            let mut proto = TensorProto {
                data_type: Some(dtype.code()),
                dims: vec![2],
                ..TensorProto::default()
            };
            fill(&mut proto);
            Tensor::inside(&proto).unwrap().data
        };
        let ints = of(DType::I8, |p| p.int32_data = vec![-1, 2]);
        assert_eq!(&ints[..], [255, 2]);
        let floats = of(DType::F32, |p| p.float_data = vec![1.0, 2.0]);
        assert_eq!(&floats[..], [1.0f32, 2.0].map(f32::to_le_bytes).concat());
        let halves = of(DType::F16, |p| p.int32_data = vec![0x3c00, 0xc000]);
        assert_eq!(&halves[..], [0, 0x3c, 0, 0xc0]);
    }

    #[test]
    fn hostile_graphs_are_errors() {
        // Bodies in bodies, deeper than any stack should go.
        let mut deep = graph();
        for _ in 0..200 {
            let mut outer = graph();
            let mut node = NodeProto::new("If", &["x"], &["z"], []);
            node.set("then_branch", crate::Attribute::Graph(Box::new(deep)));
            outer.nodes.push(node);
            deep = outer;
        }
        let mut circle = graph();
        let last = circle.nodes.last().unwrap().output[0].clone();
        circle.nodes[0].input[0] = last;
        let mut unknown = ModelProto {
            graph: Some(graph().to_proto()),
            ..ModelProto::default()
        };
        unknown.opset_import.push(Default::default());
        let tensor = &mut unknown.graph.as_mut().unwrap().initializer[0];
        tensor.data_type = Some(99);
        let mut huge = unknown.clone();
        let tensor = &mut huge.graph.as_mut().unwrap().initializer[0];
        tensor.data_type = Some(DType::F32.code());
        tensor.dims = vec![i64::MAX, i64::MAX];
        let bytes = |graph: Graph| {
            let mut model = huge.clone();
            model.graph = Some(graph.to_proto());
            model.encode_to_vec()
        };
        let cases = [
            ("deep", bytes(deep), "not an ONNX model"),
            ("circle", bytes(circle), "earlier node defines"),
            ("type", unknown.encode_to_vec(), "of type 99"),
            ("dims", huge.encode_to_vec(), "needs"),
        ];
        for (name, bytes, says) in cases {
            let path = Path::new("/nowhere/model.onnx");
            let error = Graph::from_bytes(path, Bytes::from(bytes)).unwrap_err();
            assert!(error.to_string().contains(says), "{name}: {error}");
        }
    }

    #[test]
    fn truncated_graphs_never_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.onnx");
        graph().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            // Only the metadata at the end can be cut off without notice.
            if let Ok(loaded) = Graph::load(&path) {
                assert_eq!(loaded.nodes, graph().nodes, "{length} of {}", whole.len());
                assert!(loaded.metadata.is_empty());
            }
        }
    }
}
