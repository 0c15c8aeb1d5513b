//! Providers that come as a shared library and are registered while the program runs.
//!
//! Such a library brings the names of its providers and the devices of this machine that they can use. It stays
//! registered until the process ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::memory::DeviceType;

use crate::device::Device;
use crate::device::parse::FIX;
use crate::device::providers::CPU;
use crate::elf::Elf;
use crate::error::{Error, Result, one_line};

/// The longest name of a provider that the `ort` crate can pass on.
const MAX_NAME: usize = 120;

/// The names of the providers of each library that is registered.
static REGISTERED: Mutex<BTreeMap<PathBuf, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Why a library cannot be registered, as far as that shows from outside.
pub(super) fn unreadable(path: &Path) -> Option<String> {
    if !path.is_file() {
        return Some(format!("there is no file {}", path.display()));
    }
    if !cfg!(target_os = "linux") {
        return None;
    }
    match Elf::read(path) {
        Ok(elf) => {
            let misfit = elf.misfit(std::env::consts::ARCH, crate::system::glibc());
            misfit.map(|what| format!("{} {what}", path.display()))
        }
        Err(e) => Some(e.to_string()),
    }
}

/// Whether there is any. From then on ONNX Runtime itself chooses among them for a session that names no
/// provider.
pub(super) fn any() -> bool {
    let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    !registered.is_empty()
}

/// Registers the library of a plug-in, once, and answers the names of its providers.
fn register(environment: &Environment, device: &Device, path: &Path) -> Result<Vec<String>> {
    let fail = |what: &str| Error::Device(format!("device {device}: {what}"));
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(names) = registered.get(&real) {
        return Ok(names.clone());
    }
    let name = device
        .choice("name")
        .map_or_else(|| stem(&real), str::to_string);
    let before = providers(environment);
    environment
        .register_ep_library(name, &real)
        .map_err(|e| fail(&one_line(&e.to_string())))?;
    let mut names = providers(environment);
    names.retain(|name| !before.contains(name));
    if names.iter().any(|name| name.len() > MAX_NAME) {
        return Err(fail("the name of its provider is too long"));
    }
    registered.insert(real, names.clone());
    Ok(names)
}

/// `qnn` of `libonnxruntime_providers_qnn.so.1`: some libraries call their provider as they are registered.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_prefix("lib").unwrap_or(&name);
    let name = name.strip_prefix("onnxruntime_providers_").unwrap_or(name);
    let name: String = name
        .chars()
        .take_while(|c| *c != '.')
        .take(MAX_NAME)
        .collect();
    match name.is_empty() {
        true => "plugin".into(),
        false => name,
    }
}

fn providers(environment: &Environment) -> Vec<String> {
    let mut names: Vec<_> = environment
        .devices()
        .filter_map(|device| device.ep().ok().map(str::to_string))
        .collect();
    names.dedup();
    names
}

/// Which of the devices of a plug-in a session uses, and what its provider is told.
pub(super) struct Chosen {
    provider: String,
    /// Its place among the devices of the provider that are of the kind asked for.
    place: usize,
    unit: Option<String>,
    options: Vec<(String, String)>,
}

impl Chosen {
    /// The CPU, for sessions that would else be given to a plug-in.
    pub(super) fn cpu() -> Self {
        Self {
            provider: CPU.onnxruntime.into(),
            place: 0,
            unit: None,
            options: Vec::new(),
        }
    }

    /// Registers the library and finds the device.
    ///
    /// # Errors
    /// [`Error::Device`] when ONNX Runtime refuses the library, or it finds nothing to run on.
    pub(super) fn find(environment: &Environment, device: &Device, path: &Path) -> Result<Self> {
        let names = register(environment, device, path)?;
        let unit = device.unit().map(str::to_string);
        let place = device.index() as usize;
        let mut seen = Vec::new();
        for name in &names {
            let chosen = Self {
                provider: name.clone(),
                place,
                unit: unit.clone(),
                options: device.raw_options(name),
            };
            if chosen.of(environment).is_some() {
                return Ok(chosen);
            }
            let mine = environment
                .devices()
                .filter(|d| d.ep().is_ok_and(|ep| ep == name));
            seen.extend(mine.map(|d| format!("{name} on {}", word(d.hardware_device().ty()))));
        }
        let found = match seen.is_empty() {
            true => "nothing on this machine that it can run on".to_string(),
            false => format!("only {}", seen.join(", ")),
        };
        Err(Error::Device(format!(
            "device {device}: the library was registered and finds {found}; or ask for --device \
             {device},cpu to accept the CPU"
        )))
    }

    /// The device itself.
    pub(super) fn of<'e>(&self, environment: &'e Environment) -> Option<ort::device::Device<'e>> {
        let mut fitting = environment.devices().filter(|device| {
            let unit = self.unit.as_deref();
            device.ep().is_ok_and(|ep| ep == self.provider)
                && unit.is_none_or(|unit| word(device.hardware_device().ty()) == unit)
        });
        fitting.nth(self.place)
    }

    /// Keys and values, each with the provider's name before it.
    pub(super) fn options(&self) -> &[(String, String)] {
        &self.options
    }
}

impl Device {
    /// What is passed on as it was written.
    fn raw_options(&self, provider: &str) -> Vec<(String, String)> {
        let ours = |name: &str| {
            name.starts_with(FIX) || self.provider.settings.iter().any(|s| s.name == name)
        };
        let raw = self
            .choices
            .iter()
            .filter(|c| c.written.is_some() && !ours(&c.name));
        raw.map(|c| (format!("{provider}.{}", c.name), c.told.clone()))
            .collect()
    }
}

fn word(kind: DeviceType) -> &'static str {
    match kind {
        DeviceType::CPU => "cpu",
        DeviceType::GPU => "gpu",
        DeviceType::NPU => "npu",
        DeviceType::FPGA => "fpga",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_has_a_short_name() {
        let cases = [
            ("/opt/libonnxruntime_providers_qnn.so", "qnn"),
            (
                "libonnxruntime_providers_openvino_plugin.so.1.8.1",
                "openvino_plugin",
            ),
            ("mine.dll", "mine"),
            ("lib.so", "plugin"),
        ];
        for (path, name) in cases {
            assert_eq!(stem(Path::new(path)), name, "{path}");
        }
    }
}
