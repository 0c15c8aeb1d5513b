//! Likens a checkpoint that no family recognises to one that is known.

use super::Family;
use crate::source::Source;

/// Relatives by `model_type`, for people who chose a checkpoint among several.
const RELATIVES: [(&str, &str); 22] = [
    ("camembert", "roberta"),
    ("codegen", "gpt2"),
    ("deberta", "roberta"),
    ("deberta-v2", "roberta"),
    ("data2vec-audio", "wav2vec2"),
    ("data2vec-text", "roberta"),
    ("ernie", "bert"),
    ("gemma", "llama"),
    ("gemma2", "llama"),
    ("gpt_neo", "gpt2"),
    ("gpt_neox", "gpt2"),
    ("gptj", "gpt2"),
    ("longformer", "roberta"),
    ("mixtral", "llama"),
    ("mobilebert", "bert"),
    ("moonshine_streaming", "moonshine"),
    ("opt", "gpt2"),
    ("phi3", "llama"),
    ("qwen2_moe", "qwen2"),
    ("sew", "wav2vec2"),
    ("siglip", "clip"),
    ("wavlm", "wav2vec2"),
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
