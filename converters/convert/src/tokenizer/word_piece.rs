//! `vocab.txt`: one piece a line, ids in order, `##` before pieces that go on a word.

use serde_json::{Value, json};

use super::special::Specials;
use super::{Files, Parts, Vocabulary};
use crate::Error;

pub(super) fn vocabulary(files: &Files<'_>) -> Result<Vocabulary, Error> {
    const FILE: &str = "vocab.txt";
    if !files.flag("do_basic_tokenize", true) {
        let what = "`do_basic_tokenize` is false, which is not supported; write tokenizer.json";
        return Err(files.wrong("tokenizer_config.json", what.into()));
    }
    let text = files.text(FILE)?;
    let lines = text.lines().zip(0..);
    let vocabulary: Vocabulary = lines.map(|(piece, id)| (piece.to_owned(), id)).collect();
    match vocabulary.is_empty() {
        true => Err(files.wrong(FILE, "is empty; copy it again".into())),
        false => Ok(vocabulary),
    }
}

pub(super) fn parts(files: &Files<'_>, specials: &Specials, vocabulary: Vocabulary) -> Parts {
    let strip = files.config.get("strip_accents").and_then(Value::as_bool);
    [
        (
            "normalizer",
            json!({
                "type": "BertNormalizer",
                "clean_text": true,
                "handle_chinese_chars": files.flag("tokenize_chinese_chars", true),
                // Null follows `lowercase`.
                "strip_accents": strip,
                "lowercase": files.flag("do_lower_case", true),
            }),
        ),
        ("pre_tokenizer", json!({"type": "BertPreTokenizer"})),
        (
            "decoder",
            json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        ),
        (
            "model",
            json!({
                "type": "WordPiece",
                "unk_token": specials.content("unk_token").unwrap_or("[UNK]"),
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": vocabulary,
            }),
        ),
    ]
}
