//! Devices: what `--device` names, and how each becomes an execution provider.
//!
//! A device that is asked for and cannot be had is an error. Falling back to the CPU happens only
//! where the caller lists it: `cuda,cpu`.

use std::fmt;
use std::str::FromStr;

use ort::ep::{ExecutionProvider, ExecutionProviderDispatch};

use crate::error::{Error, Result};

/// Where a graph runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU through CUDA, by index.
    Cuda(u32),
    /// An NVIDIA GPU through TensorRT, by index.
    TensorRt(u32),
}

/// Devices in order of preference; the first that can be had is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices(Vec<Device>);

impl Default for Devices {
    fn default() -> Self {
        Self(vec![Device::Cpu])
    }
}

impl From<Device> for Devices {
    fn from(device: Device) -> Self {
        Self(vec![device])
    }
}

impl Devices {
    /// The devices in order.
    pub fn iter(&self) -> impl Iterator<Item = Device> + '_ {
        self.0.iter().copied()
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, id) = text.split_once(':').unwrap_or((text, "0"));
        let id: u32 = id.parse().map_err(|_| {
            Error::Input(format!(
                "device `{text}`: `{id}` is not an index; write e.g. cuda:0"
            ))
        })?;
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(id)),
            "tensorrt" => Ok(Self::TensorRt(id)),
            _ => Err(Error::Input(format!(
                "no device `{text}`; known: cpu, cuda[:INDEX], tensorrt[:INDEX]"
            ))),
        }
    }
}

impl FromStr for Devices {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split(',')
            .map(|d| d.trim().parse())
            .collect::<Result<_>>()
            .map(Self)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(id) => write!(f, "cuda:{id}"),
            Self::TensorRt(id) => write!(f, "tensorrt:{id}"),
        }
    }
}

impl Device {
    /// Whether this build and the loaded library can use the device at all.
    ///
    /// # Errors
    /// [`Error::Device`] with what is missing and how to get it.
    pub fn check(self) -> Result<()> {
        let (compiled, in_library, what) = match self {
            Self::Cpu => return Ok(()),
            Self::Cuda(_) => (cfg!(feature = "cuda"), Cuda::is_available(), "cuda"),
            Self::TensorRt(_) => (
                cfg!(feature = "tensorrt"),
                TensorRt::is_available(),
                "tensorrt",
            ),
        };
        if !compiled {
            return Err(Error::Device(format!(
                "device {self}: this build has no {what} support; build with --features {what}, or \
                 ask for --device {what},cpu to accept the CPU"
            )));
        }
        if !matches!(in_library, Ok(true)) {
            return Err(Error::Device(format!(
                "device {self}: the ONNX Runtime library was built without {what}; point \
                 ORT_DYLIB_PATH at a GPU build (PyPI package onnxruntime-gpu), or ask for \
                 --device {what},cpu to accept the CPU"
            )));
        }
        Ok(())
    }

    /// The provider to register, an error if it fails; none for the CPU, which is always there.
    pub(crate) fn provider(self) -> Option<ExecutionProviderDispatch> {
        match self {
            #[cfg(feature = "cuda")]
            Self::Cuda(id) => Some(ort::ep::CUDA::default().with_device_id(id as i32).build()),
            #[cfg(feature = "tensorrt")]
            Self::TensorRt(id) => Some(
                ort::ep::TensorRT::default()
                    .with_device_id(id as i32)
                    .build(),
            ),
            // Devices that this build lacks were refused by `check`.
            _ => None,
        }
        .map(ExecutionProviderDispatch::error_on_failure)
    }
}

/// A provider by the name ONNX Runtime knows it under, to ask whether the library holds it. The
/// types of `ort` exist only where this build can use the provider; a library may hold more.
macro_rules! provider_names {
    ($($name:ident = $id:literal),* $(,)?) => {$(
        struct $name;
        impl ExecutionProvider for $name {
            const NAME: &'static str = $id;
            fn register(&self, _: &mut ort::session::builder::SessionBuilder) -> ort::Result<()> {
                Err(ort::Error::new(concat!($id, " is not compiled into this build")))
            }
        }
    )*};
}

provider_names! {
    Cuda = "CUDAExecutionProvider",
    TensorRt = "TensorrtExecutionProvider",
    OpenVino = "OpenVINOExecutionProvider",
    Xnnpack = "XnnpackExecutionProvider",
    Acl = "ACLExecutionProvider",
    CoreMl = "CoreMLExecutionProvider",
    Qnn = "QNNExecutionProvider",
}

/// The execution providers the loaded library was built with, of those Bevel knows.
pub fn providers() -> Vec<(&'static str, bool)> {
    let has = |answer: ort::Result<bool>| answer.unwrap_or(false);
    vec![
        ("CPU", true),
        ("CUDA", has(Cuda::is_available())),
        ("TensorRT", has(TensorRt::is_available())),
        ("OpenVINO", has(OpenVino::is_available())),
        ("XNNPACK", has(Xnnpack::is_available())),
        ("ACL", has(Acl::is_available())),
        ("CoreML", has(CoreMl::is_available())),
        ("QNN", has(Qnn::is_available())),
    ]
}
