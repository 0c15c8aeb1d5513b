//! Likens a checkpoint that no family recognises to one that is known.

use super::Family;
use crate::source::Source;

/// Relatives by `model_type`, for people who chose a checkpoint among several.
const RELATIVES: [(&str, &str); 41] = [
    ("align", "clip"),
    ("altclip", "clip"),
    ("big_bird", "bert"),
    ("chinese_clip", "clip"),
    ("clipseg", "clip"),
    ("codegen", "gpt2"),
    ("convbert", "bert"),
    ("data2vec-audio", "wav2vec2"),
    ("data2vec-text", "roberta"),
    ("deberta", "roberta"),
    ("deberta-v2", "roberta"),
    ("ernie", "bert"),
    ("esm", "roberta"),
    ("gemma", "llama"),
    ("gemma2", "llama"),
    ("gpt_neo", "gpt2"),
    ("gpt_neox", "gpt2"),
    ("gptj", "gpt2"),
    ("ibert", "roberta"),
    ("layoutlm", "bert"),
    ("longformer", "roberta"),
    ("luke", "roberta"),
    ("mixtral", "llama"),
    ("mobilebert", "bert"),
    ("modernbert", "bert"),
    ("moonshine_streaming", "moonshine"),
    ("nomic_bert", "bert"),
    ("opt", "gpt2"),
    ("phi3", "llama"),
    ("qwen2_moe", "qwen2"),
    ("rembert", "bert"),
    ("roberta-prelayernorm", "roberta"),
    ("roformer", "bert"),
    ("sew", "wav2vec2"),
    ("siglip", "clip"),
    ("siglip2", "clip"),
    ("squeezebert", "bert"),
    ("visual_bert", "bert"),
    ("wavlm", "wav2vec2"),
    ("xlm-roberta-xl", "roberta"),
    ("xmod", "roberta"),
];

/// The family of the `model_type`'s relative, or the one most of whose marks are in the names of the
/// tensors; `None` when nothing is alike.
pub(super) fn family(source: &Source, families: &[Family]) -> Option<&'static str> {
    let relative = source.model_type().and_then(|model_type| {
        let row = RELATIVES.iter().find(|(name, _)| *name == model_type)?;
        families.iter().find(|family| family.name == row.1)
    });
    let alike = || {
        let share = |family: &Family| {
            let found = family.marks.iter().filter(|mark| {
                let mut names = source.checkpoint.names();
                names.any(|name| name.contains(**mark))
            });
            found.count() as f64 / family.marks.len().max(1) as f64
        };
        let scored = families.iter().map(|family| (share(family), family));
        let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.filter(|(share, _)| *share >= 0.5)
            .map(|(_, family)| family)
    };
    relative.or_else(alike).map(|family| family.name)
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
            nearest: Option<&'static str>,
        }
        let cases = [
            Case {
                name: "a relative",
                config: Some(r#"{"model_type": "roformer"}"#),
                tensors: &["w"],
                nearest: Some("bert"),
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
                nearest: Some("bert"),
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
                nearest: Some("roberta"),
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
                nearest: Some("distilbert"),
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
                nearest: Some("mpnet"),
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
                nearest: Some("clip"),
            },
            Case {
                name: "nothing alike",
                config: Some(r#"{"model_type": "mamba"}"#),
                tensors: &["backbone.layers.0.mixer.A_log"],
                nearest: None,
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
            assert_eq!(family(&source, &FAMILIES), case.nearest, "{}", case.name);
        }
    }
}
