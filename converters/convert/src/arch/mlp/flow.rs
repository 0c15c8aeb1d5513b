//! A value on its way through layers. Batch norms wait for the `Linear` before or behind them and become
//! part of its weights.

use bevel_onnx::Tensor;

use crate::Error;
use crate::arch::layers::Net;

/// A value N×D, and what still has to be done to it, in this order.
pub(super) struct Flow {
    pub value: String,
    layer: Option<Layer>,
    scaling: Option<Scaling>,
}

struct Layer {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
}

/// `scale · x + shift`, each D long.
struct Scaling {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Flow {
    pub fn new(value: String) -> Self {
        Self {
            value,
            layer: None,
            scaling: None,
        }
    }

    pub fn linear(&mut self, net: &mut Net<'_>, name: &str, inputs: usize) -> Result<(), Error> {
        let (weight, bias) = net.dense_weights(name, inputs)?;
        let mut layer = Layer {
            name: name.into(),
            weight,
            bias,
        };
        self.emit(net);
        if let Some(scaling) = self.scaling.take() {
            layer.after(&scaling, inputs);
        }
        self.layer = Some(layer);
        Ok(())
    }

    /// `γ · (x − μ) / √(σ² + ε) + β` of each column.
    pub fn batch_norm(
        &mut self,
        net: &Net<'_>,
        name: &str,
        width: usize,
        epsilon: f32,
    ) -> Result<(), Error> {
        let channels = net.batch_norm(name, width, f64::from(epsilon))?;
        let [scale, shift] = [0, 1].map(|part| channels.iter().map(|c| c[part] as f32).collect());
        let scaling = Scaling { scale, shift };
        match (&mut self.layer, &mut self.scaling) {
            (Some(layer), _) => layer.before(&scaling, width),
            (None, Some(first)) => first.then(&scaling),
            (None, none) => *none = Some(scaling),
        }
        Ok(())
    }

    /// Does what has to be done.
    pub fn settle(&mut self, net: &mut Net<'_>) {
        self.emit(net);
        if let Some(Scaling { scale, shift }) = self.scaling.take() {
            let graph = &mut net.graph;
            let [scale, shift] = [("scale", scale), ("shift", shift)].map(|(name, elements)| {
                graph.initializer(Tensor::f32(name, &[elements.len()], elements))
            });
            let x = graph.node("Mul", &[&self.value, &scale], []);
            self.value = graph.node("Add", &[&x, &shift], []);
        }
    }

    fn emit(&mut self, net: &mut Net<'_>) {
        if let Some(layer) = self.layer.take() {
            net.graph.set_scope(layer.name);
            self.value = net.gemm(&self.value, layer.weight, layer.bias);
        }
    }
}

impl Layer {
    /// Scales what comes out: `s·(W·x + b) + t`.
    fn before(&mut self, scaling: &Scaling, outputs: usize) {
        let mut weight = elements(&self.weight);
        let columns = weight.len() / outputs.max(1);
        let rows = weight.chunks_mut(columns.max(1));
        for (row, factor) in rows.zip(&scaling.scale) {
            row.iter_mut().for_each(|w| *w *= factor);
        }
        let bias = self.bias.as_ref().map(elements);
        let bias = bias.unwrap_or_else(|| vec![0.0; outputs]).into_iter();
        let scaled = bias.zip(&scaling.scale).map(|(b, s)| b * s);
        let shifted = scaled.zip(&scaling.shift).map(|(b, t)| b + t).collect();
        self.replace(weight, shifted);
    }

    /// Scales what goes in: `W·(s·x + t) + b`.
    fn after(&mut self, scaling: &Scaling, inputs: usize) {
        let mut weight = elements(&self.weight);
        let rows = weight.chunks_exact_mut(inputs.max(1));
        let bias = self.bias.as_ref().map(elements);
        let mut bias = bias.unwrap_or_else(|| vec![0.0; rows.len()]);
        for (row, bias) in rows.zip(&mut bias) {
            let shift = row.iter().zip(&scaling.shift);
            let shift: f64 = shift.map(|(w, t)| f64::from(*w) * f64::from(*t)).sum();
            *bias += shift as f32;
            row.iter_mut()
                .zip(&scaling.scale)
                .for_each(|(w, s)| *w *= s);
        }
        self.replace(weight, bias);
    }

    fn replace(&mut self, weight: Vec<f32>, bias: Vec<f32>) {
        self.weight = Tensor::f32(self.weight.name.clone(), &self.weight.dims, weight);
        let name = format!("{}.bias", self.name);
        self.bias = Some(Tensor::f32(name, &[bias.len()], bias));
    }
}

impl Scaling {
    fn then(&mut self, next: &Self) {
        let both = next.scale.iter().zip(&next.shift);
        let own = self.scale.iter_mut().zip(&mut self.shift);
        for ((scale, shift), (factor, more)) in own.zip(both) {
            *scale *= factor;
            *shift = *shift * factor + more;
        }
    }
}

fn elements(tensor: &Tensor) -> Vec<f32> {
    let mut elements = tensor.as_f32().unwrap_or_default().into_owned();
    // One that is missing has none; `Weights::finish` reports it.
    elements.resize(tensor.len(), 0.0);
    elements
}
