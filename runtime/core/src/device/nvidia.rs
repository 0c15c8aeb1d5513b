//! What stands between ONNX Runtime and an NVIDIA GPU: the driver, the provider's library beside ONNX
//! Runtime, and the libraries of CUDA and TensorRT that it asks for. The first link that is missing is named.

use std::path::{Path, PathBuf};

use crate::elf::Elf;

/// The provider library of TensorRT, beside ONNX Runtime.
pub(super) const TENSORRT: &str = "libonnxruntime_providers_tensorrt.so";
/// The provider library of CUDA.
pub(super) const CUDA: &str = "libonnxruntime_providers_cuda.so";
/// What connects the two to ONNX Runtime.
const SHARED: &str = "libonnxruntime_providers_shared.so";
/// What the CUDA provider opens for convolutions, and TensorRT's provider beyond what it asks for: taken from the
/// folder of ONNX Runtime where they lie there.
const LATER: [&str; 4] = [
    "libcudnn.so.9",
    "libcufft.so.12",
    "libnvrtc.so.13",
    "libnvinfer_plugin.so.10",
];

/// Where the kernel and the driver say what they have; a folder of its own in tests.
pub(super) struct System {
    /// `/dev`.
    pub(super) dev: PathBuf,
    /// `/proc/driver/nvidia`.
    pub(super) proc: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self {
            dev: "/dev".into(),
            proc: "/proc/driver/nvidia".into(),
        }
    }
}

impl System {
    /// Why there is no GPU `index`: the driver or the device is missing.
    pub(super) fn missing(&self, index: u32) -> Option<String> {
        // A desktop card or server, a Jetson, and the Windows subsystem for Linux.
        let nodes = ["nvidiactl", "nvhost-gpu", "nvgpu", "dxg"];
        if !nodes.iter().any(|node| self.dev.join(node).exists()) {
            let dev = self.dev.display();
            return Some(format!(
                "there is no NVIDIA GPU, or its driver does not run: no {dev}/{}; install the driver (580 \
                 or newer for CUDA 13) and look at `nvidia-smi`; in a container, give it the GPU \
                 (`docker run --gpus all`)",
                nodes[0]
            ));
        }
        let found = self.gpus();
        if !found.is_empty() && index as usize >= found.len() {
            let last = found.len() - 1;
            return Some(format!("there is no GPU {index}, only 0 to {last}"));
        }
        None
    }

    /// The model of each GPU, where the driver tells.
    fn gpus(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.proc.join("gpus"));
        let entries = entries.into_iter().flatten().flatten();
        let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
        folders.sort();
        let model = |folder: PathBuf| {
            let text = std::fs::read_to_string(folder.join("information")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Model:"));
            line.unwrap_or("unknown").trim().to_string()
        };
        folders.into_iter().map(model).collect()
    }

    /// Model of the GPU and version of the driver: engines are made for them.
    pub(super) fn identity(&self, index: u32) -> String {
        let gpu = self.gpus().into_iter().nth(index as usize);
        let version = std::fs::read_to_string(self.proc.join("version")).unwrap_or_default();
        let version = version.lines().next().unwrap_or_default();
        format!("{}; {version}", gpu.as_deref().unwrap_or("unknown"))
    }
}

/// Why a provider's library cannot be loaded by ONNX Runtime, which looks beside itself.
///
/// Libraries that lie beside ONNX Runtime are loaded from there, so that nobody has to set
/// `LD_LIBRARY_PATH`.
pub(super) fn unloadable(onnxruntime: &Path, provider: &str) -> Option<String> {
    let real = onnxruntime.canonicalize();
    let real = real.as_deref().unwrap_or(onnxruntime);
    let folder = real.parent().unwrap_or(Path::new("."));
    for name in [SHARED, provider] {
        if !folder.join(name).is_file() {
            return Some(format!("{name} is not beside {}", real.display()));
        }
    }
    let path = folder.join(provider);
    let names = match Elf::read(&path) {
        Ok(elf) => elf.libraries,
        Err(e) => return Some(e.to_string()),
    };
    // Some of them ask for others of them: what fails at first may load after those.
    let mut missing: Vec<_> = names.iter().filter(|name| !load(folder, name)).collect();
    missing.retain(|name| !load(folder, name));
    for name in LATER {
        load(folder, name);
    }
    let first = missing.first()?;
    let brings = brings(first);
    Some(match missing.len() {
        1 => format!("{provider} needs {first}, which is not found: {brings}"),
        n => {
            let rest = n - 1;
            format!("{provider} needs {first} and {rest} more that are not found: {brings}")
        }
    })
}

/// Loads a library for the rest of the process.
fn load(folder: &Path, name: &str) -> bool {
    let beside = folder.join(name);
    (beside.is_file() && ort::util::preload_dylib(&beside).is_ok())
        || ort::util::preload_dylib(name).is_ok()
}

/// What to install for a library.
fn brings(name: &str) -> String {
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let version = name.rsplit('.').next().unwrap_or_default();
    if starts(&["libcuda.so"]) {
        return "it comes with the NVIDIA driver, 580 or newer for CUDA 13".into();
    }
    let how = "or put it beside ONNX Runtime (`make gpu-setup` does)";
    if starts(&["libnvinfer", "libnvonnxparser"]) {
        format!(
            "install TensorRT {version} (libnvinfer{version} and libnvonnxparsers{version} of NVIDIA's package \
             archive)"
        )
    } else if starts(&["libcudnn"]) {
        format!("install cuDNN {version}, {how}")
    } else if starts(&["libcudart", "libcublas"]) {
        format!("install the CUDA {version} runtime libraries, {how}")
    } else if starts(&["libcurand", "libcufft", "libnvrtc"]) {
        format!("install the CUDA runtime libraries, {how}")
    } else {
        "install it, or set LD_LIBRARY_PATH to where it lies".into()
    }
}

/// File and size of the TensorRT that is loaded: engines are made by it. Linux only.
pub(super) fn tensorrt() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("libnvinfer.so"));
    let Some(path) = path else {
        return "TensorRT unknown".into();
    };
    let size = std::fs::metadata(path).map_or(0, |m| m.len());
    let name = Path::new(path).file_name().unwrap_or_default();
    format!("{} {size}", name.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_link_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let system = System {
            dev: folder.path().join("dev"),
            proc: folder.path().join("proc"),
        };
        let says = |index: u32, what: &str| {
            let why = system.missing(index).unwrap();
            assert!(why.contains(what), "{why}");
        };
        says(0, "driver");
        std::fs::create_dir_all(&system.dev).unwrap();
        std::fs::write(system.dev.join("nvidiactl"), "").unwrap();
        // A driver that does not count its GPUs is left to CUDA.
        assert_eq!(system.missing(7), None);
        for (bus, model) in [("0000:01:00.0", "NVIDIA A"), ("0000:02:00.0", "NVIDIA B")] {
            let gpu = system.proc.join("gpus").join(bus);
            std::fs::create_dir_all(&gpu).unwrap();
            std::fs::write(gpu.join("information"), format!("Model: \t {model}\n")).unwrap();
        }
        std::fs::write(system.proc.join("version"), "NVRM version: 580.1\n").unwrap();
        assert_eq!(system.missing(1), None);
        says(2, "there is no GPU 2, only 0 to 1");
        assert_eq!(system.identity(1), "NVIDIA B; NVRM version: 580.1");
    }

    #[test]
    fn a_library_that_is_not_there_is_told_with_what_brings_it() {
        struct Case {
            name: &'static str,
            says: &'static str,
        }
        let cases = [
            Case {
                name: "libcuda.so.1",
                says: "driver",
            },
            Case {
                name: "libcublasLt.so.13",
                says: "CUDA 13",
            },
            Case {
                name: "libnvinfer.so.10",
                says: "TensorRT 10",
            },
            Case {
                name: "libcudnn.so.9",
                says: "cuDNN 9",
            },
            Case {
                name: "libother.so",
                says: "LD_LIBRARY_PATH",
            },
        ];
        for case in cases {
            let text = brings(case.name);
            assert!(text.contains(case.says), "{}: {text}", case.name);
        }
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so");
        let why = unloadable(&library, CUDA).unwrap();
        assert!(why.contains(SHARED), "{why}");
        for name in [SHARED, CUDA] {
            std::fs::write(folder.path().join(name), "no library").unwrap();
        }
        let why = unloadable(&library, CUDA).unwrap();
        assert!(why.contains(CUDA), "{why}");
    }
}
