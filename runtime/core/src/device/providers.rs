//! The table of providers: what `--device` may name. See `docs/devices.md`.

use crate::device::options::{Setting, Values};

/// An execution provider that Bevel knows.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provider {
    /// As `--device` names it.
    pub name: &'static str,
    /// Which it is.
    pub kind: ProviderKind,
    /// What people call it.
    pub title: &'static str,
    /// What ONNX Runtime calls it; empty for plug-ins, which bring their own names.
    pub onnxruntime: &'static str,
    /// Whether this build holds it: the cargo feature of the same name.
    pub compiled: bool,
    /// Whether it has several devices by index.
    pub indexed: bool,
    /// What may be set.
    pub settings: &'static [Setting],
    /// What brings it where it is missing.
    pub install: &'static str,
}

/// Which provider it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderKind {
    /// ONNX Runtime's own kernels.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// NVIDIA GPUs, graphs compiled to engines.
    TensorRt,
    /// Small float kernels for Arm and x86.
    Xnnpack,
    /// Arm Compute Library.
    Acl,
    /// Intel processors, GPUs and NPUs.
    OpenVino,
    /// Apple's Neural Engine and GPUs.
    CoreMl,
    /// Qualcomm's accelerators.
    Qnn,
    /// A shared library that is registered at run time.
    Plugin,
}

impl Provider {
    /// How it is written, in short.
    pub fn usage(&self) -> String {
        let mut usage = self.name.to_string();
        if self.kind == ProviderKind::Plugin {
            usage.push_str(":LIBRARY");
        }
        if self.indexed {
            usage.push_str("[:INDEX]");
        }
        if !self.settings.is_empty() {
            usage.push_str("[:OPTION…]");
        }
        usage
    }

    /// Whether a device without an index is written with 0.
    pub(super) fn default_index(&self) -> bool {
        matches!(self.kind, ProviderKind::Cuda | ProviderKind::TensorRt)
    }
}

const fn setting(
    name: &'static str,
    values: Values,
    key: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        values,
        key,
        meaning,
    }
}

/// The processor.
pub(super) static CPU: Provider = Provider {
    name: "cpu",
    kind: ProviderKind::Cpu,
    title: "CPU",
    onnxruntime: "CPUExecutionProvider",
    compiled: true,
    indexed: false,
    settings: &[],
    install: "",
};

/// NVIDIA's GPUs: what TensorRT leaves over runs here, too.
pub(super) static CUDA: Provider = Provider {
    name: "cuda",
    kind: ProviderKind::Cuda,
    title: "CUDA",
    onnxruntime: "CUDAExecutionProvider",
    compiled: cfg!(feature = "cuda"),
    indexed: true,
    settings: &[
        setting(
            "memory",
            Values::Bytes,
            "gpu_mem_limit",
            "the most that the arena on the GPU may hold",
        ),
        setting(
            "conv",
            Values::Words(&[
                ("heuristic", "HEURISTIC"),
                ("exhaustive", "EXHAUSTIVE"),
                ("default", "DEFAULT"),
            ]),
            "cudnn_conv_algo_search",
            "how cuDNN chooses its algorithms; heuristic when not given",
        ),
        setting(
            "tf32",
            Values::Switch,
            "use_tf32",
            "19-bit floats in matrix products: faster and less exact; off when not given",
        ),
        setting(
            "nhwc",
            Values::Switch,
            "prefer_nhwc",
            "channels last in convolutions",
        ),
    ],
    install: "point ORT_DYLIB_PATH at a GPU build (`make gpu-setup` fetches one; the PyPI package \
              onnxruntime-gpu holds it)",
};

static TENSORRT: Provider = Provider {
    name: "tensorrt",
    kind: ProviderKind::TensorRt,
    title: "TensorRT",
    onnxruntime: "TensorrtExecutionProvider",
    compiled: cfg!(feature = "tensorrt"),
    indexed: true,
    settings: &[
        setting(
            "memory",
            Values::Bytes,
            "trt_max_workspace_size",
            "the most that an engine may use while it works",
        ),
        setting(
            "fp16",
            Values::Switch,
            "trt_fp16_enable",
            "engines in float16",
        ),
        setting(
            "bf16",
            Values::Switch,
            "trt_bf16_enable",
            "engines in bfloat16",
        ),
        setting(
            "int8",
            Values::Switch,
            "trt_int8_enable",
            "engines in int8: for a quantised graph (Q/DQ), or with calibration=",
        ),
        setting(
            "calibration",
            Values::Text,
            "trt_int8_calibration_table_name",
            "the calibration table of a float graph for int8",
        ),
        setting(
            "level",
            Values::Number(0, 5),
            "trt_builder_optimization_level",
            "how long TensorRT looks for fast kernels; 3 when not given",
        ),
        setting(
            "batch",
            Values::Number(1, 65_536),
            "",
            "the most that the first axis will be where it is dynamic",
        ),
        setting(
            "length",
            Values::Number(1, 1_048_576),
            "",
            "the most that every other dynamic axis will be",
        ),
        setting(
            "cache",
            Values::Text,
            "",
            "the folder of engines, or off; tensorrt/ in Bevel's cache folder when not given",
        ),
    ],
    install: "install TensorRT 10 for CUDA 13 (libnvinfer10 and libnvonnxparsers10 of NVIDIA's package \
              archive) and point ORT_DYLIB_PATH at a GPU build \
              (`make gpu-setup` fetches one)",
};

/// Every provider that `--device` may name.
pub static PROVIDERS: [&Provider; 9] = [
    &CPU,
    &CUDA,
    &TENSORRT,
    &Provider {
        name: "xnnpack",
        kind: ProviderKind::Xnnpack,
        title: "XNNPACK",
        onnxruntime: "XnnpackExecutionProvider",
        compiled: cfg!(feature = "xnnpack"),
        indexed: false,
        settings: &[setting(
            "threads",
            Values::Number(1, 1024),
            "intra_op_num_threads",
            "its own threads; those of the runtime when not given",
        )],
        install: "build ONNX Runtime with --use_xnnpack and point ORT_DYLIB_PATH at it",
    },
    &Provider {
        name: "acl",
        kind: ProviderKind::Acl,
        title: "ACL",
        onnxruntime: "ACLExecutionProvider",
        compiled: cfg!(feature = "acl"),
        indexed: false,
        settings: &[setting(
            "fast-math",
            Values::Switch,
            "fast_math",
            "faster and less exact matrix products",
        )],
        install: "build ONNX Runtime for Arm with --use_acl and point ORT_DYLIB_PATH at it",
    },
    &Provider {
        name: "openvino",
        kind: ProviderKind::OpenVino,
        title: "OpenVINO",
        onnxruntime: "OpenVINOExecutionProvider",
        compiled: cfg!(feature = "openvino"),
        indexed: false,
        settings: &[
            setting(
                "unit",
                Values::Words(&[
                    ("cpu", "CPU"),
                    ("gpu", "GPU"),
                    ("gpu.0", "GPU.0"),
                    ("gpu.1", "GPU.1"),
                    ("npu", "NPU"),
                    ("auto", "AUTO"),
                ]),
                "device_type",
                "what of the machine works; cpu when not given",
            ),
            setting(
                "precision",
                Values::Words(&[("fp32", "FP32"), ("fp16", "FP16"), ("accuracy", "ACCURACY")]),
                "precision",
                "the numbers it counts with",
            ),
            setting(
                "threads",
                Values::Number(1, 1024),
                "num_of_threads",
                "its own threads; those of the runtime when not given",
            ),
            setting(
                "streams",
                Values::Number(1, 255),
                "num_streams",
                "requests that it works on at once",
            ),
            setting(
                "cache",
                Values::Text,
                "cache_dir",
                "the folder of compiled models; none when not given",
            ),
        ],
        install: "point ORT_DYLIB_PATH at a build with OpenVINO (the PyPI package onnxruntime-openvino \
                  holds one), or name its plug-in: --device plugin:LIBRARY",
    },
    &Provider {
        name: "coreml",
        kind: ProviderKind::CoreMl,
        title: "CoreML",
        onnxruntime: "CoreMLExecutionProvider",
        compiled: cfg!(feature = "coreml"),
        indexed: false,
        settings: &[
            setting(
                "unit",
                Values::Words(&[
                    ("all", "ALL"),
                    ("cpu", "CPUOnly"),
                    ("gpu", "CPUAndGPU"),
                    ("npu", "CPUAndNeuralEngine"),
                ]),
                "MLComputeUnits",
                "what of the machine works; all when not given",
            ),
            setting(
                "format",
                Values::Words(&[
                    ("mlprogram", "MLProgram"),
                    ("neuralnetwork", "NeuralNetwork"),
                ]),
                "ModelFormat",
                "mlprogram when not given",
            ),
            setting(
                "static-shapes",
                Values::Switch,
                "RequireStaticInputShapes",
                "leave nodes with dynamic shapes to the CPU",
            ),
            setting(
                "cache",
                Values::Text,
                "ModelCacheDirectory",
                "the folder of compiled models; none when not given",
            ),
        ],
        install: "use macOS or iOS with an ONNX Runtime that was built with --use_coreml (the PyPI package \
                  onnxruntime for macOS is)",
    },
    &Provider {
        name: "qnn",
        kind: ProviderKind::Qnn,
        title: "QNN",
        onnxruntime: "QNNExecutionProvider",
        compiled: cfg!(feature = "qnn"),
        indexed: true,
        settings: &[
            setting(
                "unit",
                Values::Words(&[
                    ("npu", "htp"),
                    ("htp", "htp"),
                    ("cpu", "cpu"),
                    ("gpu", "gpu"),
                ]),
                "backend_type",
                "what of the chip works; npu when not given",
            ),
            setting(
                "backend",
                Values::Text,
                "backend_path",
                "the backend's library, such as libQnnHtp.so, in place of a unit",
            ),
            setting(
                "fp16",
                Values::Switch,
                "enable_htp_fp16_precision",
                "float graphs in float16 on the NPU",
            ),
            setting(
                "power",
                Values::Words(&[
                    ("burst", "burst"),
                    ("balanced", "balanced"),
                    ("fast", "high_performance"),
                    ("sustained", "sustained_high_performance"),
                    ("saver", "power_saver"),
                ]),
                "htp_performance_mode",
                "how much power the NPU may take",
            ),
        ],
        install: "point ORT_DYLIB_PATH at a build with QNN, or name its plug-in (the PyPI package \
                  onnxruntime-qnn holds one): --device plugin:LIBRARY",
    },
    &Provider {
        name: "plugin",
        kind: ProviderKind::Plugin,
        title: "plug-in",
        onnxruntime: "",
        compiled: true,
        indexed: true,
        settings: &[
            setting(
                "unit",
                Values::Words(&[("cpu", "cpu"), ("gpu", "gpu"), ("npu", "npu")]),
                "",
                "the kind of device it is to use; any when not given",
            ),
            setting(
                "name",
                Values::Text,
                "",
                "the name it is registered under; that of the library when not given",
            ),
        ],
        install: "",
    },
];
