//! Runs whose inputs and outputs lie where a GPU wants them.
//!
//! A GPU copies from and to *pinned* host memory by itself, while other memory goes through a buffer of the driver first. So inputs
//! are written into pinned tensors that are kept from run to run, outputs come back in pinned memory, and
//! those that only go into the next run, such as a decoder's cache, never leave the GPU. Useless on the CPU,
//! where ONNX Runtime borrows the caller's memory.

use std::collections::BTreeMap;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, SessionInputValue, SessionOutputs};
use ort::value::{DynTensor, DynTensorValueType, DynValue, TensorElementType};

use crate::device::{Device, ProviderKind};

/// Where a device wants its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// NVIDIA's, of the GPU with this index.
    Cuda(i32),
    /// The CPU's: for tests, which have no GPU.
    #[cfg(test)]
    Cpu,
}

impl Memory {
    /// Nothing where binding has no use.
    pub(super) fn of(device: &Device) -> Option<Self> {
        match device.provider().kind {
            ProviderKind::Cuda | ProviderKind::TensorRt => {
                i32::try_from(device.index()).ok().map(Self::Cuda)
            }
            _ => None,
        }
    }

    /// Memory of the host that the device reads and writes itself.
    fn host(self, kind: MemoryType) -> ort::Result<MemoryInfo<'static>> {
        match self {
            // Memory of the host that a GPU reads has the GPU's number.
            Self::Cuda(index) => MemoryInfo::new(
                AllocationDevice::CUDA_PINNED,
                index,
                AllocatorType::Device,
                kind,
            ),
            #[cfg(test)]
            Self::Cpu => MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, kind),
        }
    }

    /// Memory of the device.
    fn device(self) -> ort::Result<MemoryInfo<'static>> {
        match self {
            Self::Cuda(index) => MemoryInfo::new(
                AllocationDevice::CUDA,
                index,
                AllocatorType::Device,
                MemoryType::Default,
            ),
            #[cfg(test)]
            Self::Cpu => self.host(MemoryType::Default),
        }
    }
}

/// The tensors of a session that is bound.
pub(super) struct Bound {
    binding: IoBinding,
    inputs: Allocator,
    host: MemoryInfo<'static>,
    device: MemoryInfo<'static>,
    /// Inputs in host memory, from run to run.
    slots: BTreeMap<String, DynTensor>,
    /// Outputs that stay on the device.
    kept: Vec<String>,
}

impl Bound {
    pub(super) fn new(session: &ort::session::Session, memory: Memory) -> ort::Result<Self> {
        Ok(Self {
            binding: session.create_binding()?,
            inputs: Allocator::new(session, memory.host(MemoryType::CPUInput)?)?,
            host: memory.host(MemoryType::CPUOutput)?,
            device: memory.device()?,
            slots: BTreeMap::new(),
            kept: Vec::new(),
        })
    }

    /// Leaves an output on the device: its values are only given to runs.
    pub(super) fn keep(&mut self, output: &str) {
        self.kept.push(output.to_string());
    }

    /// Runs for the outputs that are `wanted`.
    pub(super) fn run<'s>(
        &'s mut self,
        session: &'s mut ort::session::Session,
        inputs: &[(&str, SessionInputValue<'_>)],
        wanted: impl Iterator<Item = &'s str>,
        options: &RunOptions<NoSelectedOutputs>,
    ) -> ort::Result<SessionOutputs<'s>> {
        for (name, value) in inputs {
            self.bind(name, value)?;
        }
        // Bound anew for each run: else an output would be written over what the caller still holds.
        self.binding.clear_outputs();
        for name in wanted {
            let stays = self.kept.iter().any(|kept| kept == name);
            let memory = if stays { &self.device } else { &self.host };
            self.binding.bind_output_to_device(name, memory)?;
        }
        self.binding.synchronize_inputs()?;
        let binding = &self.binding;
        let outputs = session.run_binding_with_options(binding, options)?;
        binding.synchronize_outputs()?;
        Ok(outputs)
    }

    fn bind(&mut self, name: &str, value: &DynValue) -> ort::Result<()> {
        let Ok(tensor) = value.view().downcast::<DynTensorValueType>() else {
            return self.binding.bind_input(name, value);
        };
        let kind = *tensor.data_type();
        // What an earlier run left on the device is there already.
        if !tensor.memory_info().is_cpu_accessible() || kind == TensorElementType::String {
            return self.binding.bind_input(name, value);
        }
        let fits = |slot: &DynTensor| *slot.data_type() == kind && slot.shape() == tensor.shape();
        if !self.slots.get(name).is_some_and(fits) {
            let slot = DynTensor::new(&self.inputs, kind, tensor.shape().clone())?;
            self.slots.insert(name.to_string(), slot);
        }
        if let Some(slot) = self.slots.get_mut(name)
            && copy(&tensor, slot)?
        {
            return self.binding.bind_input(name, &*slot);
        }
        self.binding.bind_input(name, value)
    }
}

/// Copies between tensors of the same type and shape in host memory; `false` for types that Bevel has no
/// name for.
fn copy(from: &DynTensor, to: &mut DynTensor) -> ort::Result<bool> {
    macro_rules! each {
        ($($kind:ident = $element:ty),* $(,)?) => {
            match from.data_type() {
                $(TensorElementType::$kind => {
                    let (_, source) = from.try_extract_tensor::<$element>()?;
                    to.try_extract_tensor_mut::<$element>()?.1.copy_from_slice(source);
                })*
                _ => return Ok(false),
            }
        };
    }
    each! {
        Float32 = f32, Float64 = f64, Float16 = half::f16, Bfloat16 = half::bf16,
        Int8 = i8, Int16 = i16, Int32 = i32, Int64 = i64,
        Uint8 = u8, Uint16 = u16, Uint32 = u32, Uint64 = u64, Bool = bool,
    }
    Ok(true)
}
