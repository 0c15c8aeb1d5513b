//! Readers of trained checkpoints: named tensors over a memory map, whatever file they came in.
//!
//! [`Checkpoint::open`] looks at the content, never at the extension, and reads
//! - safetensors: zero copies, the bytes of a tensor point into the map and pages are read when they
//!   are touched;
//! - PyTorch `.pt`, `.pth`, `.bin`, a state dict or a whole pickled module, also from before version
//!   1.6: the pickle is parsed, **nothing in it is executed**, and contiguous tensors point into the
//!   map. [`Checkpoint::object`] gives what else the pickle holds, say class names and strides. The
//!   `.zip` of stable-baselines3 is read as the `policy.pth` inside, and [`Checkpoint::settings`]
//!   gives the JSON beside it;
//! - shards of either behind an index, `model.safetensors.index.json` or
//!   `pytorch_model.bin.index.json`;
//! - CTranslate2 `model.bin`, as faster-whisper has it: zero copies, aliases share their bytes, and
//!   int8 and int16 weights come with their scales;
//! - ONNX graphs: the constants are the tensors, and [`Checkpoint::graph`] is the whole;
//! - word vectors, word2vec's in binary and text and GloVe's: one tensor `vectors`, V×D f32, and
//!   the [`Words`]. The file is passed through once, as its rows have no fixed length.
//!
//! ```
//! use bevel_weights::Checkpoint;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("model.safetensors");
//! # let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
//! # let mut file = (header.len() as u64).to_le_bytes().to_vec();
//! # file.extend_from_slice(header);
//! # file.extend_from_slice(bytemuck::cast_slice(&[1.0f32, -2.0]));
//! # std::fs::write(&path, file)?;
//! let checkpoint = Checkpoint::open(&path)?;
//! assert_eq!(checkpoint.tensor("w")?.shape, [2]);
//! assert_eq!(&checkpoint.f32("w")?[..4], 1.0f32.to_le_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Names are those of PyTorch's `state_dict()`. A PyTorch file may keep the weights under a key beside
//! the optimiser and settings: the first of `state_dict_ema`, `state_dict`, `model_state_dict`, `ema`,
//! `model`, `module`, `net`, `policy`, `params_ema` and `params` that holds tensors is the model, and the
//! rest is left out. `module.` and `_orig_mod.` before every name, of parallel training and
//! `torch.compile`, are taken off.
//!
//! Limits: little-endian hosts; the file must not shrink while it is mapped; sparse, complex and
//! sub-byte tensors are refused, TorchScript too, and so are quantised ones except CTranslate2's.

// Libraries never print or exit: that is for programs.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]

mod ctranslate2;
mod dtype;
mod error;
mod limits;
mod map;
mod onnx;
pub mod pickle;
mod pytorch;
mod safetensors;
mod shards;
mod sniff;
mod strided;
mod vectors;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use bevel_onnx::Graph;
use bytes::Bytes;
use pickle::Value;
use pytorch::Pickled;
use strided::Strided;

pub use dtype::DType;
pub use error::Error;
pub use sniff::Format;
pub use vectors::Words;

type Tensors = BTreeMap<String, Tensor>;

/// An opened checkpoint: its tensors by name, in name order.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    format: Format,
    tensors: Tensors,
    beside: Beside,
}

/// What a file says besides its tensors.
#[derive(Debug)]
enum Beside {
    Nothing,
    Spec(Spec),
    Words(Words),
    Pickled(Box<Pickled>),
    Graph(Box<Graph>),
}

/// The layout of tensors that a CTranslate2 file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spec {
    /// `WhisperSpec`, `TransformerSpec` …
    pub name: String,
    /// Counted up whenever tensors of the specification are renamed or added.
    pub revision: u32,
}

/// One tensor of a checkpoint.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tensor {
    /// Element type in the file.
    pub dtype: DType,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone)]
enum Data {
    /// As it lies in the file.
    Mapped(Bytes),
    /// The same for i8 and i16 codes; the real value is code / scale. The scales are f32, one or
    /// one a row.
    Scaled { codes: Bytes, scales: Bytes },
    /// Put in order at each request.
    Strided(Strided),
}

impl Tensor {
    /// The elements as the file holds them: row-major, little-endian, not necessarily aligned; of a
    /// quantised weight its codes. Borrowed from the map, but for a view of a PyTorch tensor that is
    /// not contiguous.
    pub fn bytes(&self) -> Bytes {
        match &self.data {
            Data::Mapped(bytes) | Data::Scaled { codes: bytes, .. } => bytes.clone(),
            Data::Strided(strided) => strided.gather(&self.shape, self.dtype.size_bytes()),
        }
    }

    /// The elements as little-endian f32: no copy for f32, converted from f64, f16, bf16 and from
    /// quantised weights; `None` for integers and booleans.
    pub fn f32(&self) -> Option<Bytes> {
        match &self.data {
            Data::Scaled { codes, scales } => dtype::dequantise(self.dtype, codes, scales),
            _ => dtype::to_f32(self.dtype, self.bytes()),
        }
    }
}

impl Checkpoint {
    /// Opens a checkpoint file, recognised by its content. Only metadata is read, and word vectors.
    ///
    /// # Errors
    /// Everything that can be wrong with the file; see [`Error`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = map::map(path)?;
        let file = File::open(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        Self::read(path, bytes, &mut BufReader::with_capacity(1 << 20, file))
    }

    /// A checkpoint that is in memory already. `path` is what errors call it; the shards of an index
    /// are looked for beside it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(path: &Path, bytes: Bytes) -> Result<Self, Error> {
        Self::read(path, bytes.clone(), &mut bytes.as_ref())
    }

    /// `stream` gives the same bytes from their beginning.
    fn read(path: &Path, bytes: Bytes, stream: &mut dyn BufRead) -> Result<Self, Error> {
        let format = sniff::sniff(path, &bytes)?;
        let (tensors, beside) = match format {
            Format::Safetensors => (safetensors::read(path, &bytes)?, Beside::Nothing),
            Format::Index => (shards::read(path, &bytes)?, Beside::Nothing),
            Format::Pytorch => {
                let (tensors, pickled) = pytorch::read(path, &bytes)?;
                (tensors, Beside::Pickled(Box::new(pickled)))
            }
            Format::CTranslate2 => {
                let (spec, tensors) = ctranslate2::read(path, &bytes)?;
                (tensors, Beside::Spec(spec))
            }
            Format::Vectors => {
                let (words, data, columns) = vectors::read(path, &bytes, stream)?;
                let tensor = Tensor {
                    dtype: DType::F32,
                    shape: vec![words.len(), columns],
                    data: Data::Mapped(data),
                };
                let tensors = BTreeMap::from([("vectors".into(), tensor)]);
                (tensors, Beside::Words(words))
            }
            Format::Onnx => {
                let (graph, tensors) = onnx::read(path, bytes)?;
                (tensors, Beside::Graph(Box::new(graph)))
            }
        };
        // A graph may calculate without weights.
        if tensors.is_empty() && format != Format::Onnx {
            return Err(Error::NoTensors { path: path.into() });
        }
        Ok(Self {
            path: path.into(),
            format,
            tensors,
            beside,
        })
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of file it turned out to be.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The layout that a CTranslate2 file declares; `None` for other formats.
    pub fn spec(&self) -> Option<&Spec> {
        match &self.beside {
            Beside::Spec(spec) => Some(spec),
            _ => None,
        }
    }

    /// The words whose rows the tensor `vectors` has; `None` for other formats.
    pub fn words(&self) -> Option<&Words> {
        match &self.beside {
            Beside::Words(words) => Some(words),
            _ => None,
        }
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How many tensors there are; zero only for an ONNX graph without weights.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// Whether a tensor of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Dtype and shape of a tensor.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Error> {
        self.tensors.get(name).ok_or_else(|| Error::Missing {
            path: self.path.clone(),
            name: name.into(),
        })
    }

    /// The elements of a tensor as the file holds them; see [`Tensor::bytes`].
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn bytes(&self, name: &str) -> Result<Bytes, Error> {
        self.tensor(name).map(Tensor::bytes)
    }

    /// The elements of a tensor as little-endian f32; see [`Tensor::f32`].
    ///
    /// # Errors
    /// [`Error::Missing`], and [`Error::NotFloat`] for integers and booleans.
    pub fn f32(&self, name: &str) -> Result<Bytes, Error> {
        let tensor = self.tensor(name)?;
        tensor.f32().ok_or_else(|| Error::NotFloat {
            path: self.path.clone(),
            name: name.into(),
            dtype: tensor.dtype,
        })
    }

    /// What the library that wrote the file has put beside the tensors about the model, as JSON: the
    /// `data` of a stable-baselines3 archive. `None` for all others.
    pub fn settings(&self) -> Option<&serde_json::Value> {
        self.pickled()?.settings.as_ref()
    }

    /// The whole graph of an ONNX file, its constants pointing into the map; `None` for other formats.
    pub fn graph(&self) -> Option<&Graph> {
        match &self.beside {
            Beside::Graph(graph) => Some(graph),
            _ => None,
        }
    }

    /// The whole object that was pickled: settings, epochs, modules with their attributes. `None`
    /// where the file is no pickle.
    ///
    /// ```no_run
    /// use bevel_weights::Checkpoint;
    /// # let path = std::path::Path::new("yolo.pt");
    /// let checkpoint = Checkpoint::open(path)?;
    /// let settings = checkpoint.object().and_then(|object| object.get("train_args"));
    /// let size = settings.and_then(|settings| settings.get("imgsz")?.int());
    /// # Ok::<(), bevel_weights::Error>(())
    /// ```
    pub fn object(&self) -> Option<Value<'_>> {
        Some(self.pickled()?.pickle.root())
    }

    /// The part of [`object`](Self::object) whose tensors these are: a dictionary of them, or a module
    /// with its attributes.
    ///
    /// ```no_run
    /// use bevel_weights::Checkpoint;
    /// # let path = std::path::Path::new("yolo.pt");
    /// let checkpoint = Checkpoint::open(path)?;
    /// let stride = checkpoint.model().and_then(|model| model.attribute("stride")?.tensor());
    /// # Ok::<(), bevel_weights::Error>(())
    /// ```
    pub fn model(&self) -> Option<Value<'_>> {
        let pickled = self.pickled()?;
        let mut wrappers = pickled.wrappers.iter();
        wrappers.try_fold(pickled.pickle.root(), |value, wrapper| value.get(wrapper))
    }

    fn pickled(&self) -> Option<&Pickled> {
        match &self.beside {
            Beside::Pickled(pickled) => Some(pickled),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
