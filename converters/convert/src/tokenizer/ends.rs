//! What a tokenizer puts before and behind text.

use serde_json::{Map, Value, json};

use super::special::Specials;
use super::{Files, Vocabulary};
use crate::Error;

pub(super) enum Ends {
    /// `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`, the second segment of type 1.
    Segments,
    /// `first A last`, `first A last last B last`, all of type 0.
    Roberta {
        /// Keys of the tokens.
        first: &'static str,
        last: &'static str,
        /// Whether offsets leave out the space before a word, where the checkpoint does not say.
        trim_offsets: bool,
    },
    /// Nothing, or `bos_token` and `eos_token` where `add_bos_token` and `add_eos_token` ask for them.
    Flags,
    /// The start of a transcript without times, and the end of text. Whoever transcribes makes the
    /// prompt from ids; language and task are not the tokenizer's.
    Transcript,
}

const TRANSCRIPT: [&str; 2] = ["<|startoftranscript|>", "<|notimestamps|>"];

/// A token and its id.
type Token<'a> = (&'a str, u32);

pub(super) fn post_processor(
    files: &Files<'_>,
    specials: &Specials,
    vocabulary: &Vocabulary,
) -> Result<Value, Error> {
    let named = |key: &str| specials.named(files, key);
    match files.class.ends {
        Ends::Segments => {
            let (first, last) = (named("cls_token")?, named("sep_token")?);
            let single = [token(first, 0), text("A", 0), token(last, 0)];
            let mut pair = single.to_vec();
            pair.extend([text("B", 1), token(last, 1)]);
            Ok(template(single.to_vec(), pair, &[first, last]))
        }
        Ends::Roberta {
            first,
            last,
            trim_offsets,
        } => {
            let (cls, sep) = (named(first)?, named(last)?);
            Ok(json!({
                "type": "RobertaProcessing",
                "sep": [sep.0, sep.1],
                "cls": [cls.0, cls.1],
                "trim_offsets": files.flag("trim_offsets", trim_offsets),
                "add_prefix_space": files.flag("add_prefix_space", false),
            }))
        }
        Ends::Flags => {
            let wanted = |flag: &str, key: &str| match files.flag(flag, false) {
                true => named(key).map(Some),
                false => Ok(None),
            };
            let before = wanted("add_bos_token", "bos_token")?;
            let behind = wanted("add_eos_token", "eos_token")?;
            let around = |sequence: &str, kind: u8| {
                let before = before.map(|t| token(t, kind));
                let behind = behind.map(|t| token(t, kind));
                before
                    .into_iter()
                    .chain([text(sequence, kind)])
                    .chain(behind)
                    .collect()
            };
            let single: Vec<Value> = around("A", 0);
            let mut pair = single.clone();
            pair.extend::<Vec<Value>>(around("B", 1));
            let used: Vec<Token<'_>> = before.into_iter().chain(behind).collect();
            Ok(template(single, pair, &used))
        }
        Ends::Transcript => {
            let end = named("eos_token")?;
            let start = TRANSCRIPT.map(|content| Some((content, *vocabulary.get(content)?)));
            let start: Vec<Token<'_>> = start.into_iter().flatten().collect();
            let begin = || start.iter().map(|t| token(*t, 0)).chain([text("A", 0)]);
            let single = begin().chain([token(end, 0)]).collect();
            let pair = begin().chain([text("B", 1), token(end, 1)]).collect();
            let used: Vec<Token<'_>> = start.iter().copied().chain([end]).collect();
            Ok(template(single, pair, &used))
        }
    }
}

fn token((content, _): Token<'_>, kind: u8) -> Value {
    json!({"SpecialToken": {"id": content, "type_id": kind}})
}

fn text(sequence: &str, kind: u8) -> Value {
    json!({"Sequence": {"id": sequence, "type_id": kind}})
}

fn template(single: Vec<Value>, pair: Vec<Value>, used: &[Token<'_>]) -> Value {
    let row = |(content, id): &Token<'_>| {
        let row = json!({"id": content, "ids": [id], "tokens": [content]});
        ((*content).to_owned(), row)
    };
    let used: Map<String, Value> = used.iter().map(row).collect();
    json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": used,
    })
}
