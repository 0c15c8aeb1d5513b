use bevel_weights::Checkpoint;

use crate::weights::{Part, Renamed};

/// What another library calls the weights, and transformers: beginnings of names.
pub(super) struct Naming {
    /// A tensor that no other network has.
    mark: &'static str,
    whole: &'static [(&'static str, &'static str)],
    /// Before the number of a layer.
    layers: &'static str,
    parts: &'static [(&'static str, &'static str)],
    /// Query, key and value of a layer in one weight, before `weight` and `bias`.
    joint: &'static str,
}

const NAMINGS: [Naming; 2] = [
    // torchvision.
    Naming {
        mark: "encoder.pos_embedding",
        whole: &[
            ("class_token", "embeddings.cls_token"),
            ("conv_proj.", "embeddings.patch_embeddings.projection."),
            ("encoder.pos_embedding", "embeddings.position_embeddings"),
            ("encoder.ln.", "layernorm."),
            ("heads.head.", "classifier."),
            ("heads.pre_logits.", "pre_logits."),
        ],
        layers: "encoder.layers.encoder_layer_",
        parts: &[
            ("ln_1.", "layernorm_before."),
            ("self_attention.out_proj.", "attention.output.dense."),
            ("ln_2.", "layernorm_after."),
            ("mlp.0.", "intermediate.dense."),
            ("mlp.3.", "output.dense."),
            // Before torchvision 0.13.
            ("mlp.linear_1.", "intermediate.dense."),
            ("mlp.linear_2.", "output.dense."),
        ],
        joint: "self_attention.in_proj_",
    },
    // timm, and DeiT as it was published.
    Naming {
        mark: "patch_embed.proj.weight",
        whole: &[
            ("cls_token", "embeddings.cls_token"),
            ("dist_token", "embeddings.distillation_token"),
            (
                "patch_embed.proj.",
                "embeddings.patch_embeddings.projection.",
            ),
            ("pos_embed", "embeddings.position_embeddings"),
            ("norm.", "layernorm."),
            ("head.", "classifier."),
            ("head_dist.", "distillation_classifier."),
            ("pre_logits.fc.", "pre_logits."),
        ],
        layers: "blocks.",
        parts: &[
            ("norm1.", "layernorm_before."),
            ("attn.proj.", "attention.output.dense."),
            ("norm2.", "layernorm_after."),
            ("mlp.fc1.", "intermediate.dense."),
            ("mlp.fc2.", "output.dense."),
        ],
        joint: "attn.qkv.",
    },
];

/// Shares of a joint weight, in order.
const SHARES: [&str; 3] = ["query", "key", "value"];

impl Naming {
    /// The naming of a checkpoint; `None` for that of transformers and of no ViT.
    pub fn of(checkpoint: &Checkpoint) -> Option<&'static Self> {
        NAMINGS.iter().find(|naming| {
            let first = format!("{}0.{}weight", naming.layers, naming.joint);
            checkpoint.contains(naming.mark) && checkpoint.contains(&first)
        })
    }

    /// Where the checkpoint keeps what transformers has a name for.
    pub fn renamed(&self, checkpoint: &Checkpoint) -> Renamed {
        let mut renamed = Renamed::new();
        for tensor in checkpoint.names() {
            let layer = tensor.strip_prefix(self.layers);
            let Some((number, part)) = layer.and_then(|rest| rest.split_once('.')) else {
                let name = replaced(self.whole, tensor);
                renamed.extend(name.map(|name| (name, Part::whole(tensor))));
                continue;
            };
            let layer = format!("encoder.layer.{number}");
            if let Some(of) = part.strip_prefix(self.joint) {
                for (i, share) in SHARES.iter().enumerate() {
                    let name = format!("{layer}.attention.attention.{share}.{of}");
                    renamed.insert(name, Part::share(tensor, i, SHARES.len()));
                }
            } else if let Some(name) = replaced(self.parts, part) {
                renamed.insert(format!("{layer}.{name}"), Part::whole(tensor));
            }
        }
        renamed
    }
}

fn replaced(table: &[(&str, &str)], name: &str) -> Option<String> {
    let mut names = table
        .iter()
        .filter_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)));
    names.next()
}
