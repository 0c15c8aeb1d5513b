//! Special tokens and those that were added to a vocabulary.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Files, Vocabulary};
use crate::Error;

/// A token that text is searched for before anything else happens to it.
#[derive(Debug, Clone)]
struct Added {
    content: String,
    single_word: bool,
    /// Whether spaces before it, after it, belong to it.
    lstrip: bool,
    rstrip: bool,
    /// Whether it is searched for in normalised text.
    normalized: bool,
    special: bool,
}

impl Added {
    fn special(content: &str) -> Self {
        Self {
            content: content.into(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        }
    }

    /// A token as side files write it: its text, or an object that says more.
    fn read(value: &Value, special: bool) -> Option<Self> {
        if let Some(content) = value.as_str() {
            return Some(Self {
                special,
                normalized: !special,
                ..Self::special(content)
            });
        }
        let flag = |key: &str| value.get(key).and_then(Value::as_bool);
        let special = special || flag("special").unwrap_or(false);
        Some(Self {
            content: value.get("content")?.as_str()?.to_owned(),
            single_word: flag("single_word").unwrap_or(false),
            lstrip: flag("lstrip").unwrap_or(false),
            rstrip: flag("rstrip").unwrap_or(false),
            normalized: flag("normalized").unwrap_or(!special),
            special,
        })
    }
}

/// Named special tokens, and all added ones by id.
pub(super) struct Specials {
    /// `cls_token` … to the token.
    named: BTreeMap<String, Added>,
    added: BTreeMap<u32, Added>,
}

/// Keys of lists of further special tokens, the second since transformers 5.
const MORE: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

impl Specials {
    /// Reads the side files. Every token gets an id in `vocabulary`: readers of tokenizer.json count
    /// on from there for those that have none, which would close gaps between ids.
    pub fn read(files: &Files<'_>, vocabulary: &mut Vocabulary) -> Result<Self, Error> {
        const CONFIG: &str = "tokenizer_config.json";
        let mut specials = Self {
            named: BTreeMap::new(),
            added: BTreeMap::new(),
        };
        for special in files.class.specials {
            let token = Added {
                lstrip: special.left,
                ..Added::special(special.token)
            };
            specials.named.insert(special.key.into(), token);
        }
        specials.name_all(files, files.config);
        let mut further = more(files.config);
        match files.config.get("added_tokens_decoder") {
            Some(Value::Object(tokens)) => {
                for (id, token) in tokens {
                    let entry = id.parse().ok().zip(Added::read(token, false));
                    let Some((id, token)) = entry else {
                        let what = format!("`added_tokens_decoder` has {id}: {token}");
                        return Err(files.wrong(CONFIG, what));
                    };
                    specials.add(files, CONFIG, vocabulary, id, token)?;
                }
            }
            _ => {
                let map = files.source.json("special_tokens_map.json")?;
                let map = map.unwrap_or_default();
                specials.name_all(files, &map);
                further.extend(more(&map));
                specials.read_added(files, vocabulary, &further)?;
            }
        }
        // Those that stand in the vocabulary and nowhere else.
        let named = specials.named.values().cloned();
        for token in named.chain(further).collect::<Vec<_>>() {
            if let Some(id) = vocabulary.get(&token.content) {
                specials.added.entry(*id).or_insert(token);
            }
        }
        Ok(specials)
    }

    /// Takes `cls_token` … of a side file.
    fn name_all(&mut self, files: &Files<'_>, side: &Value) {
        let entries = side.as_object().into_iter().flatten();
        for (key, value) in entries.filter(|(key, _)| key.ends_with("_token")) {
            if value.is_null() {
                self.named.remove(key);
            } else if let Some(mut token) = Added::read(value, true) {
                // Text alone says nothing about spaces.
                let mut usual = files.class.specials.iter();
                let usual = usual.find(|usual| usual.key == key);
                token.lstrip |= value.is_string() && usual.is_some_and(|usual| usual.left);
                self.named.insert(key.clone(), token);
            }
        }
    }

    /// Takes `added_tokens.json`: token to id.
    fn read_added(
        &mut self,
        files: &Files<'_>,
        vocabulary: &mut Vocabulary,
        further: &[Added],
    ) -> Result<(), Error> {
        const FILE: &str = "added_tokens.json";
        let map = files.source.json(FILE)?.unwrap_or_default();
        for (content, id) in map.as_object().into_iter().flatten() {
            let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
                return Err(files.wrong(FILE, format!("`{content}` has the id {id}")));
            };
            let mut known = self.named.values().chain(further);
            let token = known.find(|token| token.content == *content);
            let plain = || Added {
                special: false,
                normalized: true,
                ..Added::special(content)
            };
            let token = token.cloned().unwrap_or_else(plain);
            self.add(files, FILE, vocabulary, id, token)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        files: &Files<'_>,
        file: &str,
        vocabulary: &mut Vocabulary,
        id: u32,
        token: Added,
    ) -> Result<(), Error> {
        let known = *vocabulary.entry(token.content.clone()).or_insert(id);
        if known != id {
            let what = format!(
                "`{}` has the id {id}, but {known} in {}; take files that belong together",
                token.content,
                files.class.vocabulary_file()
            );
            return Err(files.wrong(file, what));
        }
        let named = self.named.values();
        let special = token.special || named.into_iter().any(|t| t.content == token.content);
        self.added.insert(id, Added { special, ..token });
        Ok(())
    }

    /// The token of a key and its id.
    ///
    /// # Errors
    /// [`Error::SideFile`] when there is none, or the vocabulary lacks it.
    pub fn named(&self, files: &Files<'_>, key: &str) -> Result<(&str, u32), Error> {
        let file = files.class.vocabulary_file();
        let missing = |token: &str| {
            let what = format!(
                "lacks {token}, which a {} puts around text",
                files.class.name
            );
            files.wrong(file, what)
        };
        let Some(token) = self.named.get(key) else {
            return Err(missing(&format!("a `{key}`")));
        };
        let content = token.content.as_str();
        let mut rows = self.added.iter();
        match rows.find(|(_, token)| token.content == content) {
            Some((id, _)) => Ok((content, *id)),
            None => Err(missing(&format!("the {key} `{content}`"))),
        }
    }

    /// The text of the token of a key, whether it has an id or not.
    pub fn content(&self, key: &str) -> Option<&str> {
        self.named.get(key).map(|token| token.content.as_str())
    }

    /// `added_tokens` of tokenizer.json, in order of id.
    pub fn added(&self) -> Vec<Value> {
        let rows = self.added.iter();
        rows.map(|(id, token)| {
            json!({
                "id": id,
                "content": token.content,
                "single_word": token.single_word,
                "lstrip": token.lstrip,
                "rstrip": token.rstrip,
                "normalized": token.normalized,
                "special": token.special,
            })
        })
        .collect()
    }
}

/// Further special tokens: a list, or an object by name.
fn more(side: &Value) -> Vec<Added> {
    let read = |value: &Value| Added::read(value, true);
    let tokens = MORE.into_iter().filter_map(|key| match side.get(key)? {
        Value::Array(list) => Some(list.iter().filter_map(read).collect::<Vec<_>>()),
        Value::Object(named) => Some(named.values().filter_map(read).collect()),
        _ => None,
    });
    tokens.flatten().collect()
}
