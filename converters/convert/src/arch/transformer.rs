//! Transformer layers that attend to themselves, before or after normalisation, in encoders of text
//! and pictures (Vaswani et al. 2017, arXiv:1706.03762).

use super::layers::{Activation, Net, attend};
use crate::Error;

/// What families call the weights of one layer, below the layer's own name.
pub(super) struct LayerNames {
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    /// From the joined heads back to the hidden state.
    pub output: &'static str,
    pub attention_norm: &'static str,
    /// First half of the feed-forward layer, before the non-linearity.
    pub inner: &'static str,
    pub outer: &'static str,
    pub feed_forward_norm: &'static str,
}

/// Layers of one size.
pub(super) struct Layers<'a> {
    pub names: &'a LayerNames,
    /// D.
    pub hidden: usize,
    /// H, which divides D.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub inner: usize,
    /// Whether query, key and value have a bias.
    pub biased: bool,
    pub norm_epsilon: f32,
    pub activation: Activation,
}

impl Layers<'_> {
    /// `y = norm(x + attention(x))`, `norm(y + feed_forward(y))`: BERT and its relatives. x N×T×D,
    /// the bias spreads to N×H×T×T.
    pub fn post_norm(
        &self,
        net: &mut Net<'_>,
        x: &str,
        bias: Option<&str>,
        layer: &str,
    ) -> Result<String, Error> {
        net.graph.set_scope(layer);
        let mixed = self.attention(net, x, bias, layer)?;
        let sum = net.graph.node("Add", &[&mixed, x], []);
        let x = self.norm(net, &sum, layer, self.names.attention_norm)?;
        let inner = self.feed_forward(net, &x, layer)?;
        let sum = net.graph.node("Add", &[&inner, &x], []);
        self.norm(net, &sum, layer, self.names.feed_forward_norm)
    }

    /// `y = x + attention(norm(x))`, `y + feed_forward(norm(y))`: CLIP, ViT. Shapes as above.
    pub fn pre_norm(
        &self,
        net: &mut Net<'_>,
        x: &str,
        bias: Option<&str>,
        layer: &str,
    ) -> Result<String, Error> {
        net.graph.set_scope(layer);
        let normed = self.norm(net, x, layer, self.names.attention_norm)?;
        let mixed = self.attention(net, &normed, bias, layer)?;
        let x = net.graph.node("Add", &[&mixed, x], []);
        let normed = self.norm(net, &x, layer, self.names.feed_forward_norm)?;
        let inner = self.feed_forward(net, &normed, layer)?;
        Ok(net.graph.node("Add", &[&inner, &x], []))
    }

    /// `output(softmax(q·kᵀ/√K + bias)·v)`, the factor 1/√K in the query's weights.
    fn attention(
        &self,
        net: &mut Net<'_>,
        x: &str,
        bias: Option<&str>,
        layer: &str,
    ) -> Result<String, Error> {
        let (size, width) = ([self.hidden; 2], self.hidden / self.heads);
        let named = |part: &str| format!("{layer}.{part}");
        let factor = 1.0 / (width as f32).sqrt();
        let project = |net: &mut Net<'_>, part: &str, factor: f32| match self.biased {
            true => net.linear_scaled(x, &named(part), size, factor),
            false => net.product_scaled(x, &named(part), size, factor),
        };
        let query = project(net, self.names.query, factor)?;
        let key = project(net, self.names.key, 1.0)?;
        let value = project(net, self.names.value, 1.0)?;
        let query = net.split_heads(&query, self.heads, width);
        let key = net.split_heads_transposed(&key, self.heads, width);
        let value = net.split_heads(&value, self.heads, width);
        let mixed = attend(&mut net.graph, [&query, &key, &value], bias);
        let mixed = net.join_heads(&mixed, self.hidden);
        net.linear(&mixed, &named(self.names.output), size)
    }

    fn feed_forward(&self, net: &mut Net<'_>, x: &str, layer: &str) -> Result<String, Error> {
        let named = |part: &str| format!("{layer}.{part}");
        let inner = net.linear(x, &named(self.names.inner), [self.hidden, self.inner])?;
        let inner = net.activation(&inner, self.activation);
        net.linear(&inner, &named(self.names.outer), [self.inner, self.hidden])
    }

    fn norm(&self, net: &mut Net<'_>, x: &str, layer: &str, name: &str) -> Result<String, Error> {
        let name = format!("{layer}.{name}");
        net.layer_norm(x, &name, self.hidden, self.norm_epsilon)
    }
}
