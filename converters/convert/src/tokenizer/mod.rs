//! Builds a `tokenizer.json` where a checkpoint has only the files of before: `vocab.txt`, or
//! `vocab.json` with `merges.txt`.
//!
//! Classes differ by data: see [`class`]. What they say goes behind what the checkpoint says in
//! `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`. The reference is what
//! transformers 5.23 makes of the same files.

mod byte_bpe;
mod class;
mod ends;
mod special;
mod word_piece;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Error;
use crate::source::Source;
use class::{CLASSES, Class, Model};
use special::Specials;

/// Models of SentencePiece, which are not read here.
const SENTENCE_PIECE: [&str; 4] = [
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
];

/// Token to id.
type Vocabulary = BTreeMap<String, u32>;

/// The `tokenizer.json` of a checkpoint that has none; `None` where there is nothing to build it
/// from.
///
/// # Errors
/// [`Error::SideFile`] for a class that is not known here, and for files that do not fit together.
pub(crate) fn build(source: &Source) -> Result<Option<Value>, Error> {
    let is_there = |name: &&str| source.path(name).is_file();
    let Some(file) = ["vocab.txt", "vocab.json"].into_iter().find(is_there) else {
        return match SENTENCE_PIECE.into_iter().find(is_there) {
            Some(model) => Err(must_be_saved(source, model, "a SentencePiece model")),
            None => Ok(None),
        };
    };
    let config = source.json("tokenizer_config.json")?.unwrap_or_default();
    let Some(class) = class(source, &config) else {
        let name = class_name(source, &config).unwrap_or("unknown");
        let what = format!("a vocabulary of the tokenizer class `{name}`");
        return Err(must_be_saved(source, file, &what));
    };
    if class.vocabulary_file() != file {
        let expected = class.vocabulary_file();
        let what = format!(
            "not the vocabulary of a {}, which is {expected}",
            class.name
        );
        return Err(must_be_saved(source, file, &what));
    }
    let files = Files {
        source,
        config: &config,
        class,
    };
    files.build().map(Some)
}

/// For files that only Python reads.
fn must_be_saved(source: &Source, file: &str, what: &str) -> Error {
    Error::SideFile {
        path: source.path(file),
        what: format!(
            "is {what}; write tokenizer.json beside it, in Python: \
             AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) of transformers; \
             or convert without it by --task tensors"
        ),
    }
}

/// The class that the checkpoint names, else the usual one of its model type.
fn class(source: &Source, config: &Value) -> Option<&'static Class> {
    let by_type = |class: &&Class| {
        let model_type = source.model_type();
        model_type.is_some_and(|name| class.model_types.contains(&name))
    };
    match class_name(source, config) {
        Some(name) => {
            let name = name.strip_suffix("Fast").unwrap_or(name);
            CLASSES.iter().find(|class| class.names.contains(&name))
        }
        None => CLASSES.iter().find(by_type),
    }
}

fn class_name<'a>(source: &'a Source, config: &'a Value) -> Option<&'a str> {
    let configs = [Some(config), source.config.as_ref()];
    let mut configs = configs.into_iter().flatten();
    configs.find_map(|config| config.get("tokenizer_class")?.as_str())
}

/// What a tokenizer is built from.
struct Files<'a> {
    source: &'a Source,
    /// `tokenizer_config.json`, or null.
    config: &'a Value,
    class: &'static Class,
}

impl Files<'_> {
    fn build(&self) -> Result<Value, Error> {
        let mut vocabulary = match self.class.model {
            Model::WordPiece => word_piece::vocabulary(self)?,
            Model::ByteBpe(_) => byte_bpe::vocabulary(self)?,
        };
        let specials = Specials::read(self, &mut vocabulary)?;
        let mut tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": specials.added(),
            "post_processor": ends::post_processor(self, &specials, &vocabulary)?,
        });
        let parts = match &self.class.model {
            Model::WordPiece => word_piece::parts(self, &specials, vocabulary),
            Model::ByteBpe(shape) => byte_bpe::parts(self, shape, &specials, vocabulary)?,
        };
        for (part, value) in parts {
            tokenizer[part] = value;
        }
        Ok(tokenizer)
    }

    /// A flag of `tokenizer_config.json`.
    fn flag(&self, key: &str, usual: bool) -> bool {
        let value = self.config.get(key).and_then(Value::as_bool);
        value.unwrap_or(usual)
    }

    fn text(&self, name: &str) -> Result<String, Error> {
        let path = self.source.path(name);
        let bytes = std::fs::read(&path).map_err(|e| Error::read(&path, e))?;
        let wrong = |_| self.wrong(name, "not UTF-8; copy it again".into());
        String::from_utf8(bytes).map_err(wrong)
    }

    fn wrong(&self, name: &str, what: String) -> Error {
        Error::SideFile {
            path: self.source.path(name),
            what,
        }
    }
}

/// Named parts of a `tokenizer.json`.
type Parts = [(&'static str, Value); 4];

#[cfg(test)]
mod tests;
