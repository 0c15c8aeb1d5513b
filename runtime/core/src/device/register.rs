//! From a device to what a session is built with.

use ort::ep::ExecutionProviderDispatch;
use ort::session::builder::SessionBuilder;

use crate::bundle::ModelFile;
use crate::device::Device;
use crate::device::engines::{Engines, Maker, cache_dir};
use crate::device::nvidia::{self, System};
use crate::device::plugin::{self, Chosen};
use crate::device::profile::Ranges;
use crate::device::providers::ProviderKind;
use crate::error::{Error, Result};
use crate::library::Runtime;
use crate::session::TensorInfo;

/// Providers in order, each an error if it fails, and the device of a plug-in.
pub(crate) struct Registration {
    providers: Vec<ExecutionProviderDispatch>,
    plugin: Option<Chosen>,
    /// Names of dynamic axes and the size that each has.
    fixed: Vec<(String, i64)>,
    engines: Option<Engines>,
}

impl Registration {
    /// Prepares to load a graph on a device. `inputs` reads the graph's inputs, where ranges of their axes
    /// are wanted.
    ///
    /// # Errors
    /// [`Error::Device`] when a plug-in or a cache folder cannot be had; those of `inputs`.
    pub(crate) fn new(
        runtime: &Runtime,
        device: &Device,
        graph: &ModelFile,
        inputs: impl FnOnce() -> Result<Vec<TensorInfo>>,
    ) -> Result<Self> {
        let mut new = Self {
            providers: Vec::new(),
            plugin: None,
            fixed: device
                .fixed()
                .map(|(axis, size)| (axis.to_string(), size))
                .collect(),
            engines: None,
        };
        let mut options = device.told();
        match device.provider().kind {
            ProviderKind::Cpu => {
                new.plugin = plugin::any().then(Chosen::cpu);
                return Ok(new);
            }
            ProviderKind::Plugin => {
                let path = device.library().unwrap_or_else(|| "".as_ref());
                new.plugin = Some(Chosen::find(&runtime.environment, device, path)?);
                return Ok(new);
            }
            ProviderKind::Cuda => options.extend(cuda(device, &options)),
            ProviderKind::TensorRt => {
                if let Some(ranges) = device.ranges() {
                    options.extend(ranges.options(&inputs()?)?);
                }
                options.push(("device_id".into(), device.index().to_string()));
                let fixed = new.fixed.iter();
                let fixed = fixed.map(|(axis, size)| (format!("fix.{axis}"), size.to_string()));
                let made_for: Vec<_> = options.iter().cloned().chain(fixed).collect();
                new.engines = device.engines(runtime, graph, &made_for)?;
                options.extend(new.engines.iter().flat_map(caching));
            }
            ProviderKind::Xnnpack | ProviderKind::OpenVino => {
                let threads = device
                    .provider()
                    .settings
                    .iter()
                    .find(|s| s.name == "threads");
                let key = threads.map_or("", |s| s.key);
                if options.iter().all(|(name, _)| name != key) {
                    options.push((key.into(), runtime.threads().to_string()));
                }
            }
            ProviderKind::CoreMl => {
                if options.iter().all(|(name, _)| name != "ModelFormat") {
                    options.push(("ModelFormat".into(), "MLProgram".into()));
                }
            }
            ProviderKind::Qnn => {
                let said = |key: &str| options.iter().any(|(name, _)| name == key);
                if !said("backend_type") && !said("backend_path") {
                    options.push(("backend_type".into(), "htp".into()));
                }
                if device.index.is_some() {
                    options.push(("device_id".into(), device.index().to_string()));
                }
            }
            ProviderKind::Acl => (),
        }
        new.providers
            .extend(dispatch(device.provider().kind, &options));
        if device.provider().kind == ProviderKind::TensorRt {
            // What TensorRT cannot do stays on the GPU as far as CUDA can.
            let behind = Device {
                index: device.index,
                ..Device::of(&super::providers::CUDA)
            };
            new.providers
                .extend(dispatch(ProviderKind::Cuda, &cuda(&behind, &[])));
        }
        if new.providers.is_empty() {
            return Err(Error::Internal(format!("device {device} was not refused")));
        }
        Ok(new)
    }

    /// Where the engines of the session are kept.
    pub(crate) fn engines(&self) -> Option<&Engines> {
        self.engines.as_ref()
    }

    /// Adds them to a session that is being built.
    pub(crate) fn apply(
        &self,
        runtime: &Runtime,
        mut builder: SessionBuilder,
    ) -> ort::Result<SessionBuilder> {
        for (axis, size) in &self.fixed {
            builder = builder.with_dimension_override(axis, *size)?;
        }
        if let Some(plugin) = &self.plugin {
            let device = plugin.of(&runtime.environment);
            let device =
                device.ok_or_else(|| ort::Error::new("the device of the plug-in is gone"))?;
            builder = builder.with_devices([device], Some(plugin.options()))?;
        }
        if !self.providers.is_empty() {
            builder = builder.with_execution_providers(&self.providers)?;
        }
        Ok(builder)
    }
}

impl Device {
    /// The options that ONNX Runtime knows, by its names.
    fn told(&self) -> Vec<(String, String)> {
        let settings = self.provider().settings.iter();
        let told = settings.filter(|s| !s.key.is_empty()).filter_map(|s| {
            let given = match s.name {
                "unit" => self.unit(),
                name => self.choice(name),
            };
            Some((s.key.to_string(), given?.to_string()))
        });
        told.collect()
    }

    fn ranges(&self) -> Option<Ranges> {
        let number = |name: &str| self.choice(name).and_then(|n| n.parse().ok());
        let (batch, length) = (number("batch"), number("length"));
        (batch.is_some() || length.is_some()).then_some(Ranges {
            batch: batch.unwrap_or(1),
            length: length.unwrap_or(512),
        })
    }

    /// The folder of engines of a graph; none with `cache=off`.
    fn engines(
        &self,
        runtime: &Runtime,
        graph: &ModelFile,
        options: &[(String, String)],
    ) -> Result<Option<Engines>> {
        let cache = match self.choice("cache") {
            Some("off") => return Ok(None),
            Some(folder) => folder.into(),
            None => cache_dir()?.join("tensorrt"),
        };
        let versions = format!("{}; {}", runtime.build_info(), nvidia::tensorrt());
        let maker = Maker {
            versions: &versions,
            gpu: &System::default().identity(self.index()),
            options,
        };
        Engines::open(&cache, graph, &maker).map(Some)
    }
}

/// What CUDA is told beyond what was said: an arena that grows by what is needed, algorithms of cuDNN by its
/// rules of thumb instead of trying all of them, and float32 as exact as on the CPU.
fn cuda(device: &Device, said: &[(String, String)]) -> Vec<(String, String)> {
    let index = device.index().to_string();
    let defaults = [
        ("device_id", index.as_str()),
        ("arena_extend_strategy", "kSameAsRequested"),
        ("cudnn_conv_algo_search", "HEURISTIC"),
        ("use_tf32", "0"),
    ];
    let unsaid = defaults
        .iter()
        .filter(|(key, _)| said.iter().all(|(k, _)| k != key));
    unsaid
        .map(|(k, v)| ((*k).to_string(), (*v).to_string()))
        .collect()
}

fn caching(engines: &Engines) -> Vec<(String, String)> {
    let folder = engines.folder().display().to_string();
    [
        ("trt_engine_cache_enable", "1"),
        ("trt_engine_cache_path", folder.as_str()),
        ("trt_timing_cache_enable", "1"),
        ("trt_timing_cache_path", folder.as_str()),
    ]
    .map(|(k, v)| (k.to_string(), v.to_string()))
    .into()
}

/// A provider with its options, where this build holds it.
#[allow(unused_variables, unused_macros)]
fn dispatch(kind: ProviderKind, options: &[(String, String)]) -> Option<ExecutionProviderDispatch> {
    macro_rules! with_options {
        ($provider:ty) => {{
            use ort::ep::ArbitrarilyConfigurableExecutionProvider;
            let mut provider = <$provider>::default();
            for (key, value) in options {
                provider = provider.with_arbitrary_config(key, value);
            }
            Some(provider.build().error_on_failure())
        }};
    }
    match kind {
        #[cfg(feature = "cuda")]
        ProviderKind::Cuda => with_options!(ort::ep::CUDA),
        #[cfg(feature = "tensorrt")]
        ProviderKind::TensorRt => with_options!(ort::ep::TensorRT),
        #[cfg(feature = "xnnpack")]
        ProviderKind::Xnnpack => with_options!(ort::ep::XNNPACK),
        #[cfg(feature = "openvino")]
        ProviderKind::OpenVino => with_options!(ort::ep::OpenVINO),
        #[cfg(feature = "coreml")]
        ProviderKind::CoreMl => with_options!(ort::ep::CoreML),
        #[cfg(feature = "qnn")]
        ProviderKind::Qnn => with_options!(ort::ep::QNN),
        #[cfg(feature = "acl")]
        ProviderKind::Acl => {
            let fast = options
                .iter()
                .any(|(key, value)| key == "fast_math" && value == "1");
            let provider = ort::ep::ACL::default().with_fast_math(fast);
            Some(provider.build().error_on_failure())
        }
        // Devices that this build lacks were refused by `check`.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn onnx_runtime_is_told_what_was_said() {
        struct Case {
            device: &'static str,
            told: &'static [(&'static str, &'static str)],
        }
        let cases = [
            Case {
                device: "cuda:1:memory=2GiB:tf32",
                told: &[("gpu_mem_limit", "2147483648"), ("use_tf32", "1")],
            },
            Case {
                device: "tensorrt:fp16:int8=off:level=5:memory=512MiB:batch=4",
                told: &[
                    ("trt_max_workspace_size", "536870912"),
                    ("trt_fp16_enable", "1"),
                    ("trt_int8_enable", "0"),
                    ("trt_builder_optimization_level", "5"),
                ],
            },
            Case {
                device: "openvino:gpu.1:precision=fp16",
                told: &[("device_type", "GPU.1"), ("precision", "FP16")],
            },
            Case {
                device: "openvino:unit=npu",
                told: &[("device_type", "NPU")],
            },
            Case {
                device: "coreml:npu",
                told: &[("MLComputeUnits", "CPUAndNeuralEngine")],
            },
            Case {
                device: "qnn:htp:power=burst",
                told: &[("backend_type", "htp"), ("htp_performance_mode", "burst")],
            },
            Case {
                device: "acl:fast-math",
                told: &[("fast_math", "1")],
            },
        ];
        for case in cases {
            let device: Device = case.device.parse().unwrap();
            let told = device.told();
            let told: Vec<_> = told.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(told, case.told, "{}", case.device);
        }
    }

    #[test]
    fn cuda_keeps_what_was_said_and_adds_the_rest() {
        let device: Device = "cuda:2:conv=exhaustive".parse().unwrap();
        let said = device.told();
        let added = cuda(&device, &said);
        let get = |key: &str| {
            let all = said.iter().chain(&added).filter(|(k, _)| k == key);
            all.map(|(_, v)| v.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(get("cudnn_conv_algo_search"), ["EXHAUSTIVE"]);
        assert_eq!(get("device_id"), ["2"]);
        assert_eq!(get("use_tf32"), ["0"]);
        assert_eq!(get("arena_extend_strategy"), ["kSameAsRequested"]);
    }
}
