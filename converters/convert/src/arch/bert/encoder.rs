use bevel_onnx::{DType, Graph, Tensor};

use super::config::{Activation, Config};
use crate::Error;
use crate::weights::Weights;

/// Embeddings and layers, written into a graph.
pub(super) struct Encoder<'a> {
    pub graph: Graph,
    pub config: &'a Config,
    pub weights: &'a Weights<'a>,
    /// `bert.` where the checkpoint was saved with a head, else nothing.
    pub prefix: &'static str,
    /// The word embedding's name in the graph.
    words: String,
}

impl<'a> Encoder<'a> {
    pub fn new(config: &'a Config, weights: &'a Weights<'a>) -> Self {
        let bare = weights.contains("embeddings.word_embeddings.weight");
        Self {
            graph: Graph::new("bert"),
            config,
            weights,
            prefix: if bare { "" } else { "bert." },
            words: String::new(),
        }
    }

    /// Inputs, embeddings and all layers; answers `last_hidden_state`, N×T×D.
    pub fn build(&mut self) -> Result<String, Error> {
        let [ids, mask, types] = super::inputs(&mut self.graph);
        let mut hidden = self.embeddings(&ids, &types)?;
        self.graph.set_scope("mask");
        let bias = self.mask(&mask);
        for layer in 0..self.config.layers {
            let name = format!("{}encoder.layer.{layer}", self.prefix);
            hidden = self.attention(&hidden, &bias, &format!("{name}.attention"))?;
            hidden = self.feed_forward(&hidden, &name)?;
        }
        Ok(hidden)
    }

    /// `norm(word + type + position)`.
    fn embeddings(&mut self, ids: &str, types: &str) -> Result<String, Error> {
        let Config {
            hidden,
            vocab,
            positions,
            types: type_rows,
            ..
        } = *self.config;
        let scope = format!("{}embeddings", self.prefix);
        self.graph.set_scope(&scope);
        let table = |of: &str, rows| {
            let name = format!("{scope}.{of}_embeddings.weight");
            self.weights.take(&name, &[rows, hidden])
        };
        let word_table = table("word", vocab)?;
        let type_table = table("token_type", type_rows)?;
        let position_table = table("position", positions)?;

        let graph = &mut self.graph;
        self.words = graph.initializer(word_table);
        let type_table = graph.initializer(type_table);
        let position_table = graph.initializer(position_table);
        let words = graph.node("Gather", &[&self.words, ids], []);
        let types = graph.node("Gather", &[&type_table, types], []);
        let sum = graph.node("Add", &[&words, &types], []);
        // Rows 0 .. T of the table; the addition spreads them over the batch.
        let length = graph.node("Shape", &[ids], [("start", 1.into()), ("end", 2.into())]);
        let zero = graph.initializer(Tensor::i64s("zero", &[0]));
        let rows = graph.node("Slice", &[&position_table, &zero, &length, &zero], []);
        let sum = graph.node("Add", &[&sum, &rows], []);
        self.norm(&sum, &format!("{scope}.LayerNorm"))
    }

    /// N×T of ones and zeros to N×1×1×T of 0 and the least f32, to be added to attention scores.
    fn mask(&mut self, mask: &str) -> String {
        let graph = &mut self.graph;
        let axes = graph.initializer(Tensor::i64s("mask/axes", &[1, 2]));
        let keep = graph.initializer(Tensor::scalar("mask/keep", 0.0));
        let hide = graph.initializer(Tensor::scalar("mask/hide", f32::MIN));
        let mask = graph.node("Unsqueeze", &[mask, &axes], []);
        let to = i64::from(DType::Bool.code());
        let mask = graph.node("Cast", &[&mask], [("to", to.into())]);
        graph.node("Where", &[&mask, &keep, &hide], [])
    }

    /// `norm(x + output(softmax(q·kᵀ/√d + mask)·v))`.
    fn attention(&mut self, x: &str, mask: &str, name: &str) -> Result<String, Error> {
        let Config { hidden, heads, .. } = *self.config;
        let width = hidden / heads;
        self.graph.set_scope(name);
        let query = self.projection(x, &format!("{name}.self.query"), Some(width))?;
        let key = self.projection(x, &format!("{name}.self.key"), None)?;
        let value = self.projection(x, &format!("{name}.self.value"), None)?;

        let split = [0, 0, heads as i64, width as i64];
        let split = self.shared_shape(&split, "heads");
        let graph = &mut self.graph;
        let mut split_heads = |x: &str, order: [i64; 4]| {
            let x = graph.node("Reshape", &[x, &split], []);
            graph.node("Transpose", &[&x], [("perm", order.into())])
        };
        let query = split_heads(&query, [0, 2, 1, 3]);
        let key = split_heads(&key, [0, 2, 3, 1]);
        let value = split_heads(&value, [0, 2, 1, 3]);
        let scores = graph.node("MatMul", &[&query, &key], []);
        let scores = graph.node("Add", &[&scores, mask], []);
        let shares = graph.node("Softmax", &[&scores], [("axis", (-1).into())]);
        let mixed = graph.node("MatMul", &[&shares, &value], []);
        let mixed = graph.node("Transpose", &[&mixed], [("perm", [0, 2, 1, 3].into())]);
        let join = self.shared_shape(&[0, 0, hidden as i64], "joined");
        let mixed = self.graph.node("Reshape", &[&mixed, &join], []);
        self.residual(&mixed, x, &format!("{name}.output"), hidden)
    }

    /// `norm(x + output(act(intermediate(x))))`.
    fn feed_forward(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let Config {
            hidden,
            intermediate,
            ..
        } = *self.config;
        self.graph.set_scope(name);
        let inner = format!("{name}.intermediate.dense");
        let inner = self.linear(x, &inner, [hidden, intermediate])?;
        let inner = self.activation(&inner);
        self.residual(&inner, x, &format!("{name}.output"), intermediate)
    }

    /// `norm(x + dense(y))`.
    fn residual(&mut self, y: &str, x: &str, name: &str, inner: usize) -> Result<String, Error> {
        let dense = format!("{name}.dense");
        let dense = self.linear(y, &dense, [inner, self.config.hidden])?;
        let sum = self.graph.node("Add", &[&dense, x], []);
        self.norm(&sum, &format!("{name}.LayerNorm"))
    }

    /// `tanh(dense(hidden[:, 0]))`: N×D.
    pub fn pooler(&mut self, hidden: &str) -> Result<String, Error> {
        let name = format!("{}pooler", self.prefix);
        self.graph.set_scope(&name);
        let first = self.graph.initializer(Tensor::index("first", 0));
        let axis = [("axis", 1.into())];
        let first = self.graph.node("Gather", &[hidden, &first], axis);
        let size = self.config.hidden;
        let dense = self.linear(&first, &format!("{name}.dense"), [size, size])?;
        Ok(self.graph.node("Tanh", &[&dense], []))
    }

    /// The V×D table of the masked LM head: the word embedding itself, or the checkpoint's own.
    pub fn decoder_table(&mut self) -> Result<String, Error> {
        const OWN: &str = "cls.predictions.decoder.weight";
        if !self.weights.contains(OWN) {
            return Ok(self.words.clone());
        }
        let own = self
            .weights
            .take(OWN, &[self.config.vocab, self.config.hidden])?;
        let tied = self.graph.find_initializer(&self.words);
        if tied.is_some_and(|words| words.data == own.data) {
            return Ok(self.words.clone());
        }
        Ok(self.graph.initializer(own))
    }

    /// `LayerNorm` over D; `gamma` and `beta` are its names in checkpoints that came from TensorFlow.
    pub fn norm(&mut self, x: &str, name: &str) -> Result<String, Error> {
        let size = [self.config.hidden];
        let old = self.weights.contains(&format!("{name}.gamma"));
        let [scale, shift] = if old {
            ["gamma", "beta"]
        } else {
            ["weight", "bias"]
        };
        let scale = self.weights.take(&format!("{name}.{scale}"), &size)?;
        let shift = self.weights.take(&format!("{name}.{shift}"), &size)?;
        let scale = self.graph.initializer(scale);
        let shift = self.graph.initializer(shift);
        let attributes = [
            ("axis", (-1).into()),
            ("epsilon", self.config.norm_epsilon.into()),
        ];
        let inputs = [x, &scale, &shift];
        Ok(self.graph.node("LayerNormalization", &inputs, attributes))
    }

    /// The configured non-linearity.
    pub fn activation(&mut self, x: &str) -> String {
        let approximate = match self.config.activation {
            Activation::Gelu => "none",
            Activation::GeluTanh => "tanh",
            Activation::Relu => return self.graph.node("Relu", &[x], []),
        };
        let attributes = [("approximate", approximate.into())];
        self.graph.node("Gelu", &[x], attributes)
    }

    /// `x·W + b` from a PyTorch `Linear` of [inputs, outputs].
    pub fn linear(&mut self, x: &str, name: &str, size: [usize; 2]) -> Result<String, Error> {
        let [inputs, outputs] = size;
        let weight = format!("{name}.weight");
        let weight = self.weights.take_transposed(&weight, outputs, inputs)?;
        let bias = self.weights.take(&format!("{name}.bias"), &[outputs])?;
        Ok(self.affine(x, weight, bias))
    }

    /// A projection of attention. The query's takes the factor 1/√width into its weights.
    fn projection(&mut self, x: &str, name: &str, width: Option<usize>) -> Result<String, Error> {
        let size = self.config.hidden;
        let weight = format!("{name}.weight");
        let mut weight = self.weights.take_transposed(&weight, size, size)?;
        let mut bias = self.weights.take(&format!("{name}.bias"), &[size])?;
        if let Some(width) = width {
            let factor = 1.0 / (width as f32).sqrt();
            weight = scaled(weight, factor);
            bias = scaled(bias, factor);
        }
        Ok(self.affine(x, weight, bias))
    }

    fn affine(&mut self, x: &str, weight: Tensor, bias: Tensor) -> String {
        let weight = self.graph.initializer(weight);
        let bias = self.graph.initializer(bias);
        let product = self.graph.node("MatMul", &[x, &weight], []);
        self.graph.node("Add", &[&product, &bias], [])
    }

    /// A shape constant that all layers share.
    fn shared_shape(&mut self, shape: &[i64], name: &str) -> String {
        if self.graph.find_initializer(name).is_none() {
            return self.graph.initializer(Tensor::i64s(name, shape));
        }
        name.into()
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.contains(&format!("{}{name}", self.prefix))
    }

    /// Rows of a weight: how many classes a head has. 1 where the weight is missing, which
    /// [`Weights::finish`] reports.
    pub fn rows(&self, name: &str) -> usize {
        let shape = self.weights.shape(name).unwrap_or_default();
        shape.first().copied().unwrap_or(1)
    }
}

fn scaled(tensor: Tensor, factor: f32) -> Tensor {
    let elements = tensor.as_f32().unwrap_or_default();
    let elements = elements.iter().map(|e| e * factor).collect();
    Tensor::f32(tensor.name.clone(), &tensor.dims, elements)
}
