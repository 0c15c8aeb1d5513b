//! Convolutions along time: N×C×T.

use bevel_onnx::Tensor;

use super::layers::Net;
use crate::Error;

/// Sizes of a PyTorch `Conv1d`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub groups: usize,
    /// Zeros before and behind the sequence.
    pub pads: [usize; 2],
}

impl Conv {
    /// Every step, one group, nothing around the sequence.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            stride: 1,
            dilation: 1,
            groups: 1,
            pads: [0, 0],
        }
    }

    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub fn pads(self, pads: [usize; 2]) -> Self {
        Self { pads, ..self }
    }

    /// Shape of the weight.
    pub fn dims(&self) -> [usize; 3] {
        [self.outputs, self.inputs / self.groups.max(1), self.kernel]
    }
}

impl Net<'_> {
    /// A `Conv1d` as the checkpoint has it.
    pub fn conv(&mut self, x: &str, name: &str, conv: &Conv, bias: bool) -> Result<String, Error> {
        let weight = self.weights.take(&format!("{name}.weight"), &conv.dims())?;
        let bias = match bias {
            true => Some(
                self.weights
                    .take(&format!("{name}.bias"), &[conv.outputs])?,
            ),
            false => None,
        };
        Ok(self.convolve(x, weight, bias, conv))
    }

    /// A convolution by weights that were made: outputs × inputs/groups × kernel.
    pub fn convolve(
        &mut self,
        x: &str,
        weight: Tensor,
        bias: Option<Tensor>,
        conv: &Conv,
    ) -> String {
        let weight = self.graph.initializer(weight);
        let bias = bias.map(|bias| self.graph.initializer(bias));
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        let [before, behind] = conv.pads.map(|n| n as i64);
        let attributes = [
            ("kernel_shape", [conv.kernel as i64].into()),
            ("strides", [conv.stride as i64].into()),
            ("dilations", [conv.dilation as i64].into()),
            ("group", (conv.groups as i64).into()),
            ("pads", [before, behind].into()),
        ];
        self.graph.node("Conv", &inputs, attributes)
    }

    /// N×C×T to N×T×C, and back.
    pub fn turn(&mut self, x: &str) -> String {
        let order = [("perm", [0, 2, 1].into())];
        self.graph.node("Transpose", &[x], order)
    }

    /// `GroupNorm` over N×C×T of one channel a group: each channel by its own mean and variance over
    /// time.
    pub fn channel_norm(
        &mut self,
        x: &str,
        name: &str,
        channels: usize,
        epsilon: f32,
    ) -> Result<String, Error> {
        let scale = self.table(&format!("{name}.weight"), &[channels])?;
        let shift = self.table(&format!("{name}.bias"), &[channels])?;
        let inputs = [x, &scale, &shift];
        let attributes = [("epsilon", epsilon.into())];
        Ok(self
            .graph
            .node("InstanceNormalization", &inputs, attributes))
    }

    /// `GroupNorm` over N×C×T of one group: all by the mean and the variance of all.
    pub fn whole_norm(
        &mut self,
        x: &str,
        name: &str,
        channels: usize,
        epsilon: f32,
    ) -> Result<String, Error> {
        let scale = self.weights.take(&format!("{name}.weight"), &[channels])?;
        let shift = self.weights.take(&format!("{name}.bias"), &[channels])?;
        let upright = |tensor: Tensor| Tensor {
            dims: vec![channels, 1],
            ..tensor
        };
        let flat = self.i64s(&[0, 1, -1]);
        let graph = &mut self.graph;
        let [one, none] = [("one", 1.0), ("none", 0.0)];
        let [one, none] =
            [one, none].map(|(n, value)| graph.initializer(Tensor::f32(n, &[1], vec![value])));
        let scale = graph.initializer(upright(scale));
        let shift = graph.initializer(upright(shift));
        let shape = graph.node("Shape", &[x], []);
        let x = graph.node("Reshape", &[x, &flat], []);
        let attributes = [("epsilon", epsilon.into())];
        let x = graph.node("InstanceNormalization", &[&x, &one, &none], attributes);
        let x = graph.node("Reshape", &[&x, &shape], []);
        let x = graph.node("Mul", &[&x, &scale], []);
        Ok(graph.node("Add", &[&x, &shift], []))
    }
}
