//! `vocab.json` and `merges.txt`: byte-pair encoding over bytes that are written as letters.

use serde_json::{Value, json};

use super::class::{ByteBpe, NormalForm};
use super::special::Specials;
use super::{Files, Parts, Vocabulary};
use crate::Error;

const MERGES: &str = "merges.txt";

pub(super) fn vocabulary(files: &Files<'_>) -> Result<Vocabulary, Error> {
    const FILE: &str = "vocab.json";
    let value = files.source.json(FILE)?.unwrap_or_default();
    let entries = value.as_object().into_iter().flatten();
    let vocabulary: Result<Vocabulary, Error> = entries
        .map(|(token, id)| {
            let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let wrong = || files.wrong(FILE, format!("`{token}` has the id {id}"));
            Ok((token.clone(), number.ok_or_else(wrong)?))
        })
        .collect();
    let vocabulary = vocabulary?;
    match vocabulary.is_empty() {
        true => Err(files.wrong(FILE, "holds no tokens; copy it again".into())),
        false => Ok(vocabulary),
    }
}

pub(super) fn parts(
    files: &Files<'_>,
    shape: &ByteBpe,
    specials: &Specials,
    vocabulary: Vocabulary,
) -> Result<Parts, Error> {
    let merges = merges(files, &vocabulary)?;
    let unknown = specials.content("unk_token").filter(|_| shape.unknown);
    let bytes = |split: bool, space: bool| {
        json!({
            "type": "ByteLevel",
            "add_prefix_space": space,
            "trim_offsets": true,
            "use_regex": split,
        })
    };
    let space = files.flag("add_prefix_space", false);
    let pre_tokenizer = match &shape.split {
        None => bytes(true, space),
        Some(split) => json!({
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": split.pattern},
                    "behavior": if split.only_matches { "Removed" } else { "Isolated" },
                    "invert": split.only_matches,
                },
                bytes(split.again, space),
            ],
        }),
    };
    let normalizer = match shape.normal_form {
        NormalForm::AsIs => Value::Null,
        NormalForm::Composed => json!({"type": "NFC"}),
        NormalForm::Lower => json!({
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        }),
    };
    Ok([
        ("normalizer", normalizer),
        ("pre_tokenizer", pre_tokenizer),
        ("decoder", bytes(true, true)),
        (
            "model",
            json!({
                "type": "BPE",
                "dropout": null,
                "unk_token": unknown,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": shape.word_end,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": false,
                "vocab": vocabulary,
                "merges": merges,
            }),
        ),
    ])
}

/// Pairs in the order in which they are merged; both and what they make are in the vocabulary.
fn merges(files: &Files<'_>, vocabulary: &Vocabulary) -> Result<Vec<[String; 2]>, Error> {
    let text = files.text(MERGES)?;
    let lines = text.lines().zip(1usize..);
    let lines = lines.filter(|(line, _)| !line.starts_with("#version") && !line.is_empty());
    lines
        .map(|(line, number)| {
            let wrong = |what: String| files.wrong(MERGES, format!("line {number} {what}"));
            let Some((left, right)) = line.split_once(' ') else {
                return Err(wrong(format!("is `{line}`, expected two tokens")));
            };
            let made = format!("{left}{right}");
            let tokens = [left, right, &made];
            if let Some(token) = tokens.iter().find(|t| !vocabulary.contains_key(**t)) {
                return Err(wrong(format!(
                    "has `{token}`, which vocab.json lacks; take files that belong together"
                )));
            }
            Ok([left.to_owned(), right.to_owned()])
        })
        .collect()
}
