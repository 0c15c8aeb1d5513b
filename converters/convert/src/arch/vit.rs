//! ViT (Dosovitskiy et al. 2020, arXiv:2010.11929) and DeiT (Touvron et al. 2020, arXiv:2012.12877), as
//! `modeling_vit.py` and `modeling_deit.py` of transformers 5.23, `vision_transformer.py` of
//! torchvision 0.29 and that of timm 1.0 compute them.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `pixels`, or `pixel_values` of Hugging Face's | N×3×S×S | f32 | normalised pixels |
//! | out `logits` | N×C | f32 | one per class |
//! | out `last_hidden_state` without a head | N×T×D | f32 | class token, then one vector a patch |
//! | out `pooler_output` without a head | N×D | f32 | where the checkpoint has a pooler |
//!
//! S is that of the table of positions.

mod names;
mod sizes;

use bevel_manifest::Pooling;
use bevel_onnx::{DType, Dim, Graph, Tensor};

use super::classifier::{Classifier, logits};
use super::layers::{Activation, Net};
use super::patches::Patches;
use super::transformer::{LayerNames, Layers};
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};
use names::Naming;
use sizes::Vit;

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "cls_token",
        "patch_embed",
        "position_embeddings",
        "layernorm_before.",
    ],
    recognises: |source| match source.model_type() {
        Some(model_type) => ["vit", "deit"].contains(&model_type),
        None => Naming::of(&source.checkpoint).is_some(),
    },
    build,
};

const NAME: &str = "vit";

const LAYER_NAMES: LayerNames = LayerNames {
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    output: "attention.output.dense",
    attention_norm: "layernorm_before",
    inner: "intermediate.dense",
    outer: "output.dense",
    feed_forward_norm: "layernorm_after",
};

/// Heads that a checkpoint may have: that of the class token under two names, and DeiT's second one,
/// for the token that learned from a teacher.
const HEADS: &[&str] = &["classifier", "cls_classifier", "distillation_classifier"];

/// A linear layer before the head, which torchvision and timm had in the first ViT.
const BEFORE_LOGITS: &str = "pre_logits";

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let weights = match Naming::of(&source.checkpoint) {
        Some(naming) => {
            Weights::renamed(&source.checkpoint, NAME, naming.renamed(&source.checkpoint))
        }
        None => Weights::new(&source.checkpoint, NAME),
    };
    let has = |head: &&str| weights.contains(&format!("{head}.weight"));
    let heads: Vec<&str> = HEADS.iter().copied().filter(has).collect();
    let mut classifier = Classifier::with(NAME, source, options, !heads.is_empty())?;
    let vit = Vit::read(source, &weights)?;
    let image = vit.image(source, &classifier)?;
    let (graph, classes) = vit.network(&weights, &classifier, &heads)?;
    if !graph
        .outputs
        .iter()
        .any(|output| output.name == "pooler_output")
    {
        classifier.pooling = Pooling::Cls;
    }
    // ViTForMaskedImageModeling's token stands for patches that only training hides.
    let unused = weights.finish(|name| {
        name.ends_with("embeddings.mask_token") || classifier.needless(name, HEADS)
    })?;
    classifier.built(graph, unused, classes, image)
}

impl Vit {
    /// The graph, and its number of classes.
    fn network(
        &self,
        weights: &Weights<'_>,
        classifier: &Classifier<'_>,
        heads: &[&str],
    ) -> Result<(Graph, usize), Error> {
        let Self { hidden, tokens, .. } = *self;
        let mut net = Net::new(NAME, weights);
        let named = |name: &str| format!("{}{name}", self.prefix);
        let size = Some([self.side; 2]);
        let pixels = net.picture(classifier.input_name(), self.channels, size);

        let one: &[usize] = &[1, 1, hidden];
        net.graph.set_scope("embeddings");
        let class = named("embeddings.cls_token");
        let teacher = named("embeddings.distillation_token");
        let learned = [(class.as_str(), one), (teacher.as_str(), one)];
        let patches = Patches {
            projection: &named("embeddings.patch_embeddings.projection"),
            patch: self.patch,
            learned: &learned[..1 + usize::from(self.distilled)],
            positions: (
                &named("embeddings.position_embeddings"),
                &[1, tokens, hidden],
            ),
        };
        let mut x = patches.embed(&mut net, &pixels, hidden)?;
        let layers = Layers {
            names: &LAYER_NAMES,
            hidden,
            heads: self.heads,
            inner: self.inner,
            biased: self.biased,
            norm_epsilon: self.norm_epsilon,
            activation: self.activation,
        };
        for i in 0..self.layers {
            let layer = named(&format!("encoder.layer.{i}"));
            x = layers.pre_norm(&mut net, &x, None, &layer)?;
        }
        net.graph.set_scope("head");
        let norm = named("layernorm");
        if !classifier.has_head() {
            let x = net.layer_norm(&x, &norm, hidden, self.norm_epsilon)?;
            self.features(&mut net, &x)?;
            return Ok((net.graph, 0));
        }
        // Logits need no token but the learned ones of their heads.
        let x = first(&mut net, &x, heads.len());
        let x = net.layer_norm(&x, &norm, hidden, self.norm_epsilon)?;
        let classes = match heads {
            [head] => self.logits(&mut net, &x, head)?,
            heads => averaged(&mut net, &x, heads, hidden)?,
        };
        Ok((net.graph, classes))
    }

    /// The outputs without a head.
    fn features(&self, net: &mut Net<'_>, x: &str) -> Result<(), Error> {
        let batch = || Dim::named("batch");
        let pooler = format!("{}pooler.dense", self.prefix);
        if net.weights.contains(&format!("{pooler}.weight")) {
            let class = first(net, x, 1);
            let (pooled, width) = net.dense(&class, &pooler, self.hidden)?;
            let pooled = net.activation(&pooled, self.pooler);
            let dims = [batch(), Dim::Fixed(width)];
            net.graph.output(&pooled, "pooler_output", DType::F32, dims);
        }
        let dims = [batch(), Dim::Fixed(self.tokens), Dim::Fixed(self.hidden)];
        net.graph.output(x, "last_hidden_state", DType::F32, dims);
        Ok(())
    }

    /// The head over the class token, behind a layer with tanh where the checkpoint has one.
    fn logits(&self, net: &mut Net<'_>, x: &str, head: &str) -> Result<usize, Error> {
        let layers: &[&str] = match net.weights.contains(&format!("{BEFORE_LOGITS}.weight")) {
            true => &[BEFORE_LOGITS, head],
            false => &[head],
        };
        logits(net, x, self.hidden, layers, Activation::Tanh)
    }
}

/// The first `count` tokens of N×T×D, N×(count·D) or N×count×D.
fn first(net: &mut Net<'_>, x: &str, count: usize) -> String {
    if count < 2 {
        let first = net.index(0);
        return net.graph.node("Gather", &[x, &first], [("axis", 1.into())]);
    }
    let [start, end, axis] = [0, count as i64, 1].map(|n| net.i64s(&[n]));
    net.graph.node("Slice", &[x, &start, &end, &axis], [])
}

/// The mean of the logits that each head has for its token, x N×heads×D.
fn averaged(net: &mut Net<'_>, x: &str, heads: &[&str], hidden: usize) -> Result<usize, Error> {
    let share = 1.0 / heads.len() as f32;
    let classes = net.rows(&format!("{}.weight", heads[0]));
    let mut weights = Vec::new();
    let mut bias = Vec::new();
    for head in heads {
        weights.push(
            net.weights
                .take(&format!("{head}.weight"), &[classes, hidden])?,
        );
        bias.push(net.weights.take(&format!("{head}.bias"), &[classes])?);
    }
    let weights: Vec<_> = weights.iter().filter_map(Tensor::as_f32).collect();
    let rows: Vec<_> = weights
        .iter()
        .map(|weight| weight.chunks(hidden.max(1)))
        .collect();
    let weight = interleaved(rows).map(|w| w * share).collect();
    let bias: Vec<_> = bias.iter().filter_map(Tensor::as_f32).collect();
    let sum = |c: usize| bias.iter().filter_map(|bias| bias.get(c)).sum::<f32>();
    let count = bias.first().map_or(0, |bias| bias.len());
    let bias = (0..count).map(|c| sum(c) * share).collect();
    let dims = [classes, heads.len() * hidden];
    let weight = net
        .graph
        .initializer(Tensor::f32("head.weight", &dims, weight));
    let bias = net
        .graph
        .initializer(Tensor::f32("head.bias", &[classes], bias));
    let flat = net.graph.node("Flatten", &[x], []);
    let attributes = [("transB", 1.into())];
    let value = net.graph.node("Gemm", &[&flat, &weight, &bias], attributes);
    let dims = [Dim::named("batch"), Dim::Fixed(classes)];
    net.graph.output(&value, "logits", DType::F32, dims);
    Ok(classes)
}

/// One row of each, then the next of each, until one has no more.
fn interleaved<'a>(mut rows: Vec<impl Iterator<Item = &'a [f32]>>) -> impl Iterator<Item = f32> {
    let next = move || {
        rows.iter_mut()
            .map(Iterator::next)
            .collect::<Option<Vec<_>>>()
    };
    std::iter::from_fn(next).flat_map(|rows| rows.concat())
}
