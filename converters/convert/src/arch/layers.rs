//! Layers that many families share, written into a graph from weights under PyTorch names.

use std::collections::HashMap;

use bevel_onnx::{DType, Graph, Tensor};

use crate::Error;
use crate::weights::Weights;

/// A non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x·Φ(x) by the error function.
    Gelu,
    /// x·Φ(x) by the hyperbolic tangent.
    GeluTanh,
    /// min(max(x/6 + 1/2, 0), 1).
    HardSigmoid,
    /// x times that.
    HardSwish,
    /// x·σ(1.702·x).
    QuickGelu,
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    Sigmoid,
    /// x·σ(x).
    Silu,
    Tanh,
}

/// Names in `config.json`, as `ACT2FN` of transformers 5.23 has them.
const ACTIVATIONS: [(&str, Activation); 13] = [
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("hardswish", Activation::HardSwish),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("relu6", Activation::Relu6),
    ("hard_sigmoid", Activation::HardSigmoid),
    ("sigmoid", Activation::Sigmoid),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
];

impl Activation {
    pub fn named(name: &str) -> Option<Self> {
        let row = ACTIVATIONS.iter().find(|(known, _)| *known == name);
        row.map(|(_, activation)| *activation)
    }

    pub fn names() -> String {
        ACTIVATIONS.map(|(name, _)| name).join(", ")
    }
}

/// A graph under construction, and where its weights come from. A constant or weight that is asked
/// for twice in the same form is one initializer, so layers that share weights share them in the
/// graph too.
pub(super) struct Net<'a> {
    pub graph: Graph,
    pub weights: &'a Weights<'a>,
    /// What was asked for, to the initializer's name.
    initializers: HashMap<String, String>,
}

impl<'a> Net<'a> {
    pub fn new(name: &str, weights: &'a Weights<'a>) -> Self {
        Self {
            graph: Graph::new(name),
            weights,
            initializers: HashMap::new(),
        }
    }

    /// A list of i64 that all who ask for the same one share.
    pub fn i64s(&mut self, elements: &[i64]) -> String {
        let key = format!("i64{elements:?}").replace(' ', "");
        self.constant(Tensor::i64s(key, elements))
    }

    /// A list of f32, shared.
    pub fn f32s(&mut self, elements: &[f32]) -> String {
        let key = format!("f32{elements:?}").replace(' ', "");
        self.constant(Tensor::f32(key, &[elements.len()], elements.to_vec()))
    }

    /// One i64 without dimensions, shared.
    pub fn index(&mut self, index: i64) -> String {
        self.constant(Tensor::index(format!("i64({index})"), index))
    }

    /// One f32 without dimensions, shared.
    pub fn scalar(&mut self, value: f32) -> String {
        self.constant(Tensor::scalar(format!("f32({value:?})"), value))
    }

    /// A constant that all who ask for one of its name share.
    pub fn constant(&mut self, tensor: Tensor) -> String {
        match self.initializers.get(&tensor.name) {
            Some(name) => name.clone(),
            None => self.keep(tensor.name.clone(), tensor),
        }
    }

    fn keep(&mut self, key: String, tensor: Tensor) -> String {
        let name = self.graph.initializer(tensor);
        self.initializers.insert(key, name.clone());
        name
    }

    /// A weight as the checkpoint has it.
    pub fn table(&mut self, name: &str, dims: &[usize]) -> Result<String, Error> {
        let key = format!("{name}{dims:?}");
        if let Some(name) = self.initializers.get(&key) {
            return Ok(name.clone());
        }
        let tensor = self.weights.take(name, dims)?;
        Ok(self.keep(key, tensor))
    }

    /// A bias, each element times `factor`.
    fn bias(&mut self, name: &str, outputs: usize, factor: f32) -> Result<String, Error> {
        let key = format!("{name}[{outputs}]*{factor:?}");
        if let Some(name) = self.initializers.get(&key) {
            return Ok(name.clone());
        }
        let tensor = self.weights.take(name, &[outputs])?;
        Ok(self.keep(key, scaled(tensor, factor)))
    }

    /// The weight of a PyTorch `Linear` of [inputs, outputs] as a `MatMul` reads it, each element
    /// times `factor`.
    fn matrix(&mut self, name: &str, size: [usize; 2], factor: f32) -> Result<String, Error> {
        let key = format!("{name}{size:?}T*{factor:?}");
        if let Some(name) = self.initializers.get(&key) {
            return Ok(name.clone());
        }
        let [inputs, outputs] = size;
        let tensor = self.weights.take_transposed(name, outputs, inputs)?;
        Ok(self.keep(key, scaled(tensor, factor)))
    }

    /// The table V×D of an output: the checkpoint's own under the name `own`, or the embedding `words`
    /// where that is a copy of it, or missing from a checkpoint whose embedding is `tied`.
    pub fn output_table(
        &mut self,
        own: &str,
        words: &str,
        dims: &[usize],
        tied: bool,
    ) -> Result<String, Error> {
        if tied && !self.weights.contains(own) {
            return Ok(words.into());
        }
        let own = self.weights.take(own, dims)?;
        let tied = self.graph.find_initializer(words);
        if tied.is_some_and(|words| words.data == own.data) {
            return Ok(words.into());
        }
        Ok(self.graph.initializer(own))
    }

    /// Rows of a weight: how many classes a head has. 1 where the weight is missing, which
    /// [`Weights::finish`] reports.
    pub fn rows(&self, name: &str) -> usize {
        let shape = self.weights.shape(name).unwrap_or_default();
        shape.first().copied().unwrap_or(1)
    }

    /// Columns of a weight: how many inputs a layer has. 1 as above.
    pub fn columns(&self, name: &str) -> usize {
        let shape = self.weights.shape(name).unwrap_or_default();
        shape.get(1).copied().unwrap_or(1)
    }

    /// `x·Wᵀ + b` from a PyTorch `Linear` of [inputs, outputs].
    pub fn linear(&mut self, x: &str, name: &str, size: [usize; 2]) -> Result<String, Error> {
        self.linear_scaled(x, name, size, 1.0)
    }

    /// `factor · (x·Wᵀ + b)`, the factor multiplied into the weights.
    pub fn linear_scaled(
        &mut self,
        x: &str,
        name: &str,
        size: [usize; 2],
        factor: f32,
    ) -> Result<String, Error> {
        let product = self.product_scaled(x, name, size, factor)?;
        let bias = self.bias(&format!("{name}.bias"), size[1], factor)?;
        Ok(self.graph.node("Add", &[&product, &bias], []))
    }

    /// `x·Wᵀ` from a PyTorch `Linear` without bias.
    pub fn product(&mut self, x: &str, name: &str, size: [usize; 2]) -> Result<String, Error> {
        self.product_scaled(x, name, size, 1.0)
    }

    /// `factor · x·Wᵀ`, the factor multiplied into the weight.
    pub fn product_scaled(
        &mut self,
        x: &str,
        name: &str,
        size: [usize; 2],
        factor: f32,
    ) -> Result<String, Error> {
        let weight = self.matrix(&format!("{name}.weight"), size, factor)?;
        Ok(self.graph.node("MatMul", &[x, &weight], []))
    }

    /// `x·W + b`, W inputs×outputs.
    pub fn affine(&mut self, x: &str, weight: Tensor, bias: Option<Tensor>) -> String {
        let weight = self.graph.initializer(weight);
        let product = self.graph.node("MatMul", &[x, &weight], []);
        let Some(bias) = bias else {
            return product;
        };
        let bias = self.graph.initializer(bias);
        self.graph.node("Add", &[&product, &bias], [])
    }

    /// `x·Tᵀ + b` for x N×T×D and a table V×D that is read as it lies, mostly an embedding that the
    /// output shares: a MatMul would need a transposed copy of it. Answers N×T×V.
    pub fn tied(&mut self, x: &str, table: &str, bias: Option<&str>, size: [usize; 2]) -> String {
        let [inputs, outputs] = size;
        let flat = self.i64s(&[-1, inputs as i64]);
        let last = self.i64s(&[outputs as i64]);
        let graph = &mut self.graph;
        let flat = graph.node("Reshape", &[x, &flat], []);
        let inputs: Vec<&str> = [flat.as_str(), table].into_iter().chain(bias).collect();
        let logits = graph.node("Gemm", &inputs, [("transB", 1.into())]);
        let shape = graph.node("Shape", &[x], [("end", 2.into())]);
        let shape = graph.node("Concat", &[&shape, &last], [("axis", 0.into())]);
        graph.node("Reshape", &[&logits, &shape], [])
    }

    /// `LayerNorm` over the last axis; `gamma` and `beta` are its names in checkpoints that came from
    /// TensorFlow.
    pub fn layer_norm(
        &mut self,
        x: &str,
        name: &str,
        size: usize,
        epsilon: f32,
    ) -> Result<String, Error> {
        let old = self.weights.contains(&format!("{name}.gamma"));
        let [scale, shift] = if old {
            ["gamma", "beta"]
        } else {
            ["weight", "bias"]
        };
        let scale = self.table(&format!("{name}.{scale}"), &[size])?;
        let shift = self.table(&format!("{name}.{shift}"), &[size])?;
        Ok(self.normalised(&[x, &scale, &shift], epsilon))
    }

    /// `BatchNorm` with the statistics of training: of each channel the factor and the summand, in f64
    /// because they are multiplied into weights. γ and β are 1 and 0 where it has none.
    pub fn batch_norm(
        &self,
        name: &str,
        channels: usize,
        epsilon: f64,
    ) -> Result<Vec<[f64; 2]>, Error> {
        let part = |part: &str| format!("{name}.{part}");
        let take = |name: &str| self.weights.take_f32(&part(name), &[channels]);
        // Without statistics it is rather missing than plain.
        let plain =
            self.weights.contains(&part("running_mean")) && !self.weights.contains(&part("weight"));
        let (gamma, beta) = match plain {
            true => (vec![1.0; channels], vec![0.0; channels]),
            false => (take("weight")?, take("bias")?),
        };
        let (mean, variance) = (take("running_mean")?, take("running_var")?);
        let gained = gamma.iter().zip(beta).zip(mean.iter().zip(variance));
        let channel = |((gamma, beta), (mean, variance)): ((&f32, f32), (&f32, f32))| {
            let factor = f64::from(*gamma) / (f64::from(variance) + epsilon).sqrt();
            [factor, f64::from(beta) - f64::from(*mean) * factor]
        };
        Ok(gained.map(channel).collect())
    }

    /// `LayerNorm` over the last axis, without a bias.
    pub fn scale_norm(
        &mut self,
        x: &str,
        name: &str,
        size: usize,
        epsilon: f32,
    ) -> Result<String, Error> {
        let scale = self.table(&format!("{name}.weight"), &[size])?;
        Ok(self.normalised(&[x, &scale], epsilon))
    }

    fn normalised(&mut self, inputs: &[&str], epsilon: f32) -> String {
        let attributes = [("axis", (-1).into()), ("epsilon", epsilon.into())];
        self.graph.node("LayerNormalization", inputs, attributes)
    }

    /// `w · x / √(mean(x²) + ε)` over the last axis (Zhang and Sennrich 2019, arXiv:1910.07467).
    pub fn rms_norm(
        &mut self,
        x: &str,
        name: &str,
        size: usize,
        epsilon: f32,
    ) -> Result<String, Error> {
        let scale = self.table(&format!("{name}.weight"), &[size])?;
        let (two, last, epsilon) = (self.scalar(2.0), self.i64s(&[-1]), self.scalar(epsilon));
        let graph = &mut self.graph;
        let square = graph.node("Pow", &[x, &two], []);
        let mean = graph.node("ReduceMean", &[&square, &last], []);
        let mean = graph.node("Add", &[&mean, &epsilon], []);
        let root = graph.node("Sqrt", &[&mean], []);
        let normed = graph.node("Div", &[x, &root], []);
        Ok(graph.node("Mul", &[&normed, &scale], []))
    }

    pub fn activation(&mut self, x: &str, activation: Activation) -> String {
        let approximate = match activation {
            Activation::Gelu => "none",
            Activation::GeluTanh => "tanh",
            Activation::HardSigmoid => {
                let slope = [("alpha", (1.0f32 / 6.0).into())];
                return self.graph.node("HardSigmoid", &[x], slope);
            }
            Activation::HardSwish => return self.graph.node("HardSwish", &[x], []),
            Activation::Relu => return self.graph.node("Relu", &[x], []),
            Activation::Relu6 => {
                let (least, most) = (self.scalar(0.0), self.scalar(6.0));
                return self.graph.node("Clip", &[x, &least, &most], []);
            }
            Activation::Sigmoid => return self.graph.node("Sigmoid", &[x], []),
            Activation::Tanh => return self.graph.node("Tanh", &[x], []),
            Activation::Silu => {
                let gate = self.graph.node("Sigmoid", &[x], []);
                return self.graph.node("Mul", &[x, &gate], []);
            }
            Activation::QuickGelu => {
                let factor = self.scalar(1.702);
                let gate = self.graph.node("Mul", &[x, &factor], []);
                let gate = self.graph.node("Sigmoid", &[&gate], []);
                return self.graph.node("Mul", &[x, &gate], []);
            }
        };
        self.graph
            .node("Gelu", &[x], [("approximate", approximate.into())])
    }

    /// N×T×(H·K) to N×H×T×K.
    pub fn split_heads(&mut self, x: &str, heads: usize, width: usize) -> String {
        self.split(x, heads, width, [0, 2, 1, 3])
    }

    /// N×T×(H·K) to N×H×K×T, as the keys of attention are read.
    pub fn split_heads_transposed(&mut self, x: &str, heads: usize, width: usize) -> String {
        self.split(x, heads, width, [0, 2, 3, 1])
    }

    fn split(&mut self, x: &str, heads: usize, width: usize, order: [i64; 4]) -> String {
        let shape = self.i64s(&[0, 0, heads as i64, width as i64]);
        let x = self.graph.node("Reshape", &[x, &shape], []);
        self.graph
            .node("Transpose", &[&x], [("perm", order.into())])
    }

    /// N×H×T×K to N×T×(H·K).
    pub fn join_heads(&mut self, x: &str, hidden: usize) -> String {
        let shape = self.i64s(&[0, 0, hidden as i64]);
        let order = [("perm", [0, 2, 1, 3].into())];
        let x = self.graph.node("Transpose", &[x], order);
        self.graph.node("Reshape", &[&x, &shape], [])
    }
}

/// `softmax(q·k + bias)·v` for q N×H×T×K that carries the factor 1/√K, k N×H×K×S, v N×H×S×K and a bias
/// that spreads to N×H×T×S. Answers N×H×T×K.
pub(super) fn attend(graph: &mut Graph, [q, k, v]: [&str; 3], bias: Option<&str>) -> String {
    let shares = shares(graph, q, k, bias);
    graph.node("MatMul", &[&shares, v], [])
}

/// The share that each query gives to each key: softmax of q·k + bias over the keys.
pub(super) fn shares(graph: &mut Graph, q: &str, k: &str, bias: Option<&str>) -> String {
    let mut scores = graph.node("MatMul", &[q, k], []);
    if let Some(bias) = bias {
        scores = graph.node("Add", &[&scores, bias], []);
    }
    graph.node("Softmax", &[&scores], [("axis", (-1).into())])
}

/// A mask N×T of ones and zeros to N×1×1×T of 0 and the least f32, to be added to attention scores.
pub(super) fn padding_bias(net: &mut Net<'_>, mask: &str) -> String {
    let keep = keep_tokens(net, mask);
    hide_others(net, &keep)
}

/// A mask N×T of ones and zeros to bool N×1×1×T.
pub(super) fn keep_tokens(net: &mut Net<'_>, mask: &str) -> String {
    let axes = net.i64s(&[1, 2]);
    let mask = net.graph.node("Unsqueeze", &[mask, &axes], []);
    let to = i64::from(DType::Bool.code());
    net.graph.node("Cast", &[&mask], [("to", to.into())])
}

/// 0 where `keep` is true, the least f32 elsewhere.
pub(super) fn hide_others(net: &mut Net<'_>, keep: &str) -> String {
    let zero = net.scalar(0.0);
    let least = net.scalar(f32::MIN);
    net.graph.node("Where", &[keep, &zero, &least], [])
}

/// Every element times `factor`.
pub(super) fn scaled(tensor: Tensor, factor: f32) -> Tensor {
    if factor == 1.0 {
        return tensor;
    }
    let elements = tensor.as_f32().unwrap_or_default();
    let elements = elements.iter().map(|e| e * factor).collect();
    Tensor::f32(tensor.name.clone(), &tensor.dims, elements)
}
