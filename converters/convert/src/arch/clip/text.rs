use bevel_onnx::{DType, Dim, Graph};

use super::Tower;
use crate::Error;
use crate::arch::cache;
use crate::arch::layers::{Net, padding_bias};
use crate::arch::settings::Settings;
use crate::weights::Weights;

/// In configurations of before transformers 4.31 this stood for the end token, wrongly.
const OLD_END: u32 = 2;

/// The tower of texts: tokens see those before them, and the end token stands for the text.
pub(super) struct Text {
    tower: Tower,
    /// V.
    pub vocab: usize,
    /// The longest text in tokens.
    pub positions: usize,
    pub pad_id: u32,
    end_id: u32,
}

impl Text {
    pub fn read(settings: &Settings<'_>, projected: Option<usize>) -> Result<Self, Error> {
        let names = ["text_model.", "text_projection", "text_embeds"];
        Ok(Self {
            tower: Tower::read(settings, names, [512, 8, 2048], projected)?,
            vocab: settings.size("vocab_size", 49408)?,
            positions: settings.size("max_position_embeddings", 77)?,
            pad_id: settings.id("pad_token_id").unwrap_or(1),
            end_id: settings.id("eos_token_id").unwrap_or(49407),
        })
    }

    pub fn build(&self, weights: &Weights<'_>, joint: bool) -> Result<Graph, Error> {
        let mut net = Net::new("clip text", weights);
        self.write(&mut net, joint)?;
        Ok(net.graph)
    }

    fn write(&self, net: &mut Net<'_>, joint: bool) -> Result<(), Error> {
        let hidden = self.tower.hidden;
        let prefix = self.tower.prefix(net.weights);
        let [ids, mask] = ["input_ids", "attention_mask"].map(|name| {
            let dims = [Dim::named("batch"), Dim::named("sequence")];
            net.graph.input(name, DType::I64, dims)
        });
        let scope = format!("{prefix}embeddings");
        net.graph.set_scope(&scope);
        let table = |of: &str| format!("{scope}.{of}_embedding.weight");
        let words = net.table(&table("token"), &[self.vocab, hidden])?;
        let positions = net.table(&table("position"), &[self.positions, hidden])?;
        let words = net.graph.node("Gather", &[&words, &ids], []);
        let length = cache::length(net, &ids);
        let zero = net.i64s(&[0]);
        let rows = net
            .graph
            .node("Slice", &[&positions, &zero, &length, &zero], []);
        let x = net.graph.node("Add", &[&words, &rows], []);
        // There are as many rows as tokens, or the sum fails.
        let [batch, sequence] = ["batch", "sequence"].map(Dim::named);
        let dims = [batch.clone(), sequence.clone(), Dim::Fixed(hidden)];
        net.graph.state(&x, DType::F32, dims);

        net.graph.set_scope("mask");
        let [_, causal] = cache::causal(net, None, &length);
        let padding = padding_bias(net, &mask);
        // The smaller, not the sum, which would be −∞ where both hide.
        let bias = net.graph.node("Min", &[&causal, &padding], []);
        let dims = [batch, Dim::Fixed(1), sequence.clone(), sequence];
        net.graph.state(&bias, DType::F32, dims);
        let x = self.tower.encode(net, x, Some(&bias), prefix)?;
        let norm = format!("{prefix}final_layer_norm");
        let x = net.layer_norm(&x, &norm, hidden, self.tower.norm_epsilon)?;

        let end = self.end(net, &ids);
        let axis = net.i64s(&[1]);
        let end = net.graph.node("Unsqueeze", &[&end, &axis], []);
        let one_a_text = [("batch_dims", 1.into())];
        let pooled = net.graph.node("GatherND", &[&x, &end], one_a_text);
        let length = Dim::named("sequence");
        self.tower.finish(net, &pooled, (&x, length), joint)
    }

    /// Where each row's first end token is, or its largest token for old configurations: i64, N.
    fn end(&self, net: &mut Net<'_>, ids: &str) -> String {
        let ids = match self.end_id {
            OLD_END => ids.to_owned(),
            id => {
                let id = net.index(i64::from(id));
                net.graph.node("Equal", &[ids, &id], [])
            }
        };
        let graph = &mut net.graph;
        let to = i64::from(DType::I32.code());
        let ids = graph.node("Cast", &[&ids], [("to", to.into())]);
        let attributes = [("axis", 1.into()), ("keepdims", 0.into())];
        graph.node("ArgMax", &[&ids], attributes)
    }
}
