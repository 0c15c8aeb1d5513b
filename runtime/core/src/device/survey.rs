//! Which providers can be used here, and what is missing of the others.

use ort::ep::ExecutionProvider;
use serde::Serialize;

use crate::device::nvidia::{self, System};
use crate::device::providers::{PROVIDERS, Provider, ProviderKind};
use crate::device::{Device, plugin};
use crate::error::{Error, Result};
use crate::library::Runtime;

/// What stands about a provider on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Survey {
    /// As `--device` names it.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Whether a graph can be loaded on it.
    pub usable: bool,
    /// What is missing.
    pub reason: Option<String>,
    /// What brings it, where the reason does not say it.
    pub install: Option<&'static str>,
}

/// What stands about each provider, but for plug-ins, which are looked at when they are named. Loads the
/// libraries of those that might be usable.
///
/// # Errors
/// [`Error::Library`] without ONNX Runtime.
pub fn survey() -> Result<Vec<Survey>> {
    let runtime = Runtime::get()?;
    let providers = PROVIDERS.iter().filter(|p| p.kind != ProviderKind::Plugin);
    let look = |provider: &&'static Provider| {
        let missing = Device::of(provider).missing(runtime);
        Survey {
            name: provider.name,
            title: provider.title,
            usable: missing.is_none(),
            install: missing
                .as_ref()
                .filter(|m| m.install)
                .map(|_| provider.install),
            reason: missing.map(|missing| missing.reason),
        }
    };
    Ok(providers.map(look).collect())
}

/// Why a device cannot be had.
pub(super) struct Missing {
    reason: String,
    /// Whether the provider's own line about what to install says more.
    install: bool,
}

impl Device {
    /// Whether this build, the loaded library and this machine can use the device at all.
    ///
    /// # Errors
    /// [`Error::Library`] without ONNX Runtime, [`Error::Device`] with what is missing and how to get it.
    pub fn check(&self) -> Result<()> {
        let missing = match self.missing(Runtime::get()?) {
            Some(missing) => missing,
            None => return Ok(()),
        };
        let mut text = format!("device {self}: {}", missing.reason);
        if missing.install && !self.provider().install.is_empty() {
            text = format!("{text}; {}", self.provider().install);
        }
        Err(Error::Device(format!(
            "{text}; or ask for --device {self},cpu to accept the CPU"
        )))
    }

    /// The first link that is missing between a graph and the device.
    pub(super) fn missing(&self, runtime: &Runtime) -> Option<Missing> {
        let provider = self.provider();
        let told = |reason: Option<String>| {
            reason.map(|reason| Missing {
                reason,
                install: false,
            })
        };
        if !provider.compiled {
            let name = provider.name;
            return told(Some(format!(
                "this build has no {name} support; build it with --features {name}"
            )));
        }
        if provider.kind == ProviderKind::Plugin {
            return told(self.library().and_then(plugin::unreadable));
        }
        if !in_library(provider.kind) {
            let (title, path) = (provider.title, runtime.path().display());
            return Some(Missing {
                reason: format!("the ONNX Runtime library {path} was built without {title}"),
                install: true,
            });
        }
        let path = runtime.path();
        match provider.kind {
            ProviderKind::Cuda => {
                let gpu = System::default().missing(self.index());
                told(gpu.or_else(|| nvidia::unloadable(path, nvidia::CUDA)))
            }
            ProviderKind::TensorRt => {
                let gpu = System::default().missing(self.index());
                let cuda = || nvidia::unloadable(path, nvidia::CUDA);
                let tensorrt = || nvidia::unloadable(path, nvidia::TENSORRT);
                told(gpu.or_else(cuda).or_else(tensorrt))
            }
            _ => None,
        }
    }
}

/// Whether the loaded library was built with a provider.
fn in_library(kind: ProviderKind) -> bool {
    let answer = match kind {
        ProviderKind::Cpu | ProviderKind::Plugin => return true,
        ProviderKind::Cuda => Cuda::is_available(),
        ProviderKind::TensorRt => TensorRt::is_available(),
        ProviderKind::OpenVino => OpenVino::is_available(),
        ProviderKind::Xnnpack => Xnnpack::is_available(),
        ProviderKind::Acl => Acl::is_available(),
        ProviderKind::CoreMl => CoreMl::is_available(),
        ProviderKind::Qnn => Qnn::is_available(),
    };
    answer.unwrap_or(false)
}

/// A provider by the name ONNX Runtime knows it under, to ask whether the library holds it. The
/// types of `ort` exist only where this build can use the provider; a library may hold more.
macro_rules! provider_names {
    ($($name:ident = $id:literal),* $(,)?) => {$(
        struct $name;
        impl ExecutionProvider for $name {
            const NAME: &'static str = $id;
            fn register(&self, _: &mut ort::session::builder::SessionBuilder) -> ort::Result<()> {
                Err(ort::Error::new(concat!($id, " is only asked about")))
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
