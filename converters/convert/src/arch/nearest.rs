//! Likens a checkpoint that no family recognises to those that are known.

use super::Family;
use crate::source::Source;

/// Relatives by `model_type`, for people who chose a checkpoint among several.
const RELATIVES: [(&str, &str); 65] = [
    ("align", "clip"),
    ("altclip", "clip"),
    ("beit", "vit"),
    ("big_bird", "bert"),
    ("bit", "resnet"),
    ("chinese_clip", "clip"),
    ("clipseg", "clip"),
    ("codegen", "gpt2"),
    ("convbert", "bert"),
    ("convnext", "resnet"),
    ("convnextv2", "resnet"),
    ("cvt", "vit"),
    ("data2vec-audio", "wav2vec2"),
    ("data2vec-text", "roberta"),
    ("data2vec-vision", "vit"),
    ("deberta", "roberta"),
    ("deberta-v2", "roberta"),
    ("dinov2", "vit"),
    ("dinov2_with_registers", "vit"),
    ("dinov3_vit", "vit"),
    ("dpt", "vit"),
    ("ernie", "bert"),
    ("esm", "roberta"),
    ("gemma", "llama"),
    ("gemma2", "llama"),
    ("gpt_neo", "gpt2"),
    ("gpt_neox", "gpt2"),
    ("gptj", "gpt2"),
    ("hiera", "vit"),
    ("ibert", "roberta"),
    ("ijepa", "vit"),
    ("layoutlm", "bert"),
    ("levit", "vit"),
    ("longformer", "roberta"),
    ("luke", "roberta"),
    ("mixtral", "llama"),
    ("mobilebert", "bert"),
    ("mobilenet_v1", "mobilenet_v2"),
    ("mobilevit", "mobilenet_v2"),
    ("mobilevitv2", "mobilenet_v2"),
    ("modernbert", "bert"),
    ("moonshine_streaming", "moonshine"),
    ("nomic_bert", "bert"),
    ("opt", "gpt2"),
    ("phi3", "llama"),
    ("poolformer", "vit"),
    ("pvt", "vit"),
    ("qwen2_moe", "qwen2"),
    ("regnet", "resnet"),
    ("rembert", "bert"),
    ("roberta-prelayernorm", "roberta"),
    ("roformer", "bert"),
    ("sew", "wav2vec2"),
    ("siglip", "clip"),
    ("siglip2", "clip"),
    ("squeezebert", "bert"),
    ("swin", "vit"),
    ("swinv2", "vit"),
    ("visual_bert", "bert"),
    ("vit_mae", "vit"),
    ("vit_msn", "vit"),
    ("wavlm", "wav2vec2"),
    ("xlm-roberta-xl", "roberta"),
    ("xmod", "roberta"),
    ("yolos", "vit"),
];

/// How many families are named.
const NAMED: usize = 3;

/// The least share of a family's marks that makes a checkpoint like it.
const LEAST: f64 = 0.25;

/// Names of the families that a checkpoint is like, the nearest first: the relative of its
/// `model_type`, then those most of whose marks are in the names of its tensors, none of which has
/// less than half of what the best of them has.
pub(super) fn families(source: &Source, known: &[Family]) -> Vec<&'static str> {
    let relative = source.model_type().and_then(|model_type| {
        let row = RELATIVES.iter().find(|(name, _)| *name == model_type)?;
        known.iter().find(|family| family.name == row.1)
    });
    let share = |family: &Family| {
        let found = family.marks.iter().filter(|mark| {
            let mut names = source.checkpoint.names();
            names.any(|name| name.contains(**mark))
        });
        found.count() as f64 / family.marks.len().max(1) as f64
    };
    let mut alike: Vec<_> = known.iter().map(|family| (share(family), family)).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    let least = alike
        .first()
        .map_or(LEAST, |(best, _)| LEAST.max(best / 2.0));
    let alike = alike.into_iter().filter(|(share, _)| *share >= least);
    let mut names: Vec<&'static str> = Vec::new();
    for family in relative.into_iter().chain(alike.map(|(_, family)| family)) {
        if !names.contains(&family.name) {
            names.push(family.name);
        }
    }
    names.truncate(NAMED);
    names
}

#[cfg(test)]
mod tests {
    use super::super::FAMILIES;
    use super::*;
    use crate::testing::{Shapes, write_safetensors};

    #[test]
    fn a_checkpoint_is_likened_by_its_type_or_its_names() {
        struct Case {
            name: &'static str,
            config: Option<&'static str>,
            tensors: &'static [&'static str],
            nearest: &'static [&'static str],
        }
        let cases = [
            Case {
                name: "a relative",
                config: Some(r#"{"model_type": "roformer"}"#),
                tensors: &["w"],
                nearest: &["bert"],
            },
            Case {
                name: "BERT alone",
                config: None,
                tensors: &[
                    "embeddings.word_embeddings.weight",
                    "embeddings.token_type_embeddings.weight",
                    "encoder.layer.0.attention.self.query.weight",
                    "encoder.layer.0.intermediate.dense.weight",
                ],
                nearest: &["bert"],
            },
            Case {
                name: "RoBERTa with a head",
                config: None,
                tensors: &[
                    "roberta.embeddings.word_embeddings.weight",
                    "roberta.embeddings.token_type_embeddings.weight",
                    "roberta.encoder.layer.0.attention.self.query.weight",
                    "roberta.encoder.layer.0.intermediate.dense.weight",
                ],
                nearest: &["roberta", "bert"],
            },
            Case {
                name: "DistilBERT",
                config: None,
                tensors: &[
                    "distilbert.embeddings.word_embeddings.weight",
                    "distilbert.transformer.layer.0.attention.q_lin.weight",
                    "distilbert.transformer.layer.0.sa_layer_norm.weight",
                    "distilbert.transformer.layer.0.ffn.lin1.weight",
                ],
                nearest: &["distilbert"],
            },
            Case {
                name: "MPNet",
                config: None,
                tensors: &[
                    "embeddings.word_embeddings.weight",
                    "encoder.layer.0.attention.attn.q.weight",
                    "encoder.layer.0.attention.attn.o.weight",
                    "encoder.layer.0.intermediate.dense.weight",
                    "encoder.relative_attention_bias.weight",
                ],
                nearest: &["mpnet", "bert"],
            },
            Case {
                name: "a tower of CLIP",
                config: None,
                tensors: &[
                    "text_model.encoder.layers.0.layer_norm1.weight",
                    "text_model.encoder.layers.0.layer_norm2.weight",
                    "text_model.encoder.layers.0.mlp.fc1.weight",
                    "text_model.encoder.layers.0.self_attn.out_proj.weight",
                ],
                nearest: &["clip"],
            },
            Case {
                name: "a Swin as torchvision saves it",
                config: None,
                tensors: &[
                    "features.0.0.weight",
                    "features.1.0.attn.qkv.weight",
                    "head.weight",
                ],
                nearest: &[],
            },
            Case {
                name: "GoogLeNet",
                config: None,
                tensors: &[
                    "conv1.conv.weight",
                    "inception3a.branch1.conv.weight",
                    "fc.weight",
                ],
                nearest: &[],
            },
            Case {
                name: "a backbone of ResNet",
                config: None,
                tensors: &[
                    "net.bn1.weight",
                    "net.layer1.0.conv1.weight",
                    "net.layer2.0.downsample.0.weight",
                    "net.layer4.0.conv1.weight",
                ],
                nearest: &["resnet"],
            },
            Case {
                name: "MobileNet below another name",
                config: None,
                tensors: &[
                    "net.features.1.conv.0.0.weight",
                    "net.features.2.conv.1.0.weight",
                    "net.features.18.0.weight",
                    "net.classifier.1.weight",
                ],
                nearest: &["mobilenet_v2"],
            },
            Case {
                name: "a relative in pictures",
                config: Some(r#"{"model_type": "dinov2"}"#),
                tensors: &["w"],
                nearest: &["vit"],
            },
            Case {
                name: "nothing alike",
                config: Some(r#"{"model_type": "mamba"}"#),
                tensors: &["backbone.layers.0.mixer.A_log"],
                nearest: &[],
            },
        ];
        for case in cases {
            let folder = tempfile::tempdir().unwrap();
            let names = case.tensors.iter().map(|name| ((*name).into(), vec![1]));
            let file = folder.path().join("model.safetensors");
            write_safetensors(&file, &names.collect::<Shapes>());
            if let Some(config) = case.config {
                std::fs::write(folder.path().join("config.json"), config).unwrap();
            }
            let source = Source::open(folder.path()).unwrap();
            assert_eq!(families(&source, FAMILIES), case.nearest, "{}", case.name);
        }
    }
}
