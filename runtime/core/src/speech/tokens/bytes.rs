use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bundle::ModelFile;
use crate::error::Result;

/// The most bytes a `tokenizer.json` may have; Whisper's has 2.2 MB.
const MAX_BYTES: u64 = 64 << 20;

/// Bytes of every token of a byte-level BPE, read from `tokenizer.json` without what only encoding needs: the
/// merges, which are most of what takes time and memory.
#[derive(Debug)]
pub(in crate::speech) struct ByteTokenizer {
    bytes: Vec<u8>,
    /// Start and end of token `i` in `bytes`; equal for special ones.
    places: Vec<[u32; 2]>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    decoder: Option<Decoder>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Decoder {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    #[serde(default)]
    #[allow(dead_code)]
    merges: Option<IgnoredAny>,
}

/// That of other models than BPE is a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vocabulary {
    Bytes(HashMap<String, u32>),
    Other(IgnoredAny),
}

impl ByteTokenizer {
    /// Reads the file; `None` when its tokens are not bytes.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) when it cannot be read,
    /// [`Error::Model`](crate::Error::Model) when it is too large.
    pub(super) fn load(file: &ModelFile) -> Result<Option<Self>> {
        let bytes = file.read_at_most(MAX_BYTES, "a tokenizer")?;
        Ok(Self::parse(&bytes))
    }

    fn parse(file: &[u8]) -> Option<Self> {
        let File {
            added_tokens,
            decoder,
            model,
        } = serde_json::from_slice(file).ok()?;
        let byte_level = decoder.is_some_and(|decoder| decoder.kind == "ByteLevel");
        let Vocabulary::Bytes(vocabulary) = model.vocab else {
            return None;
        };
        if !byte_level || model.kind.as_deref().is_some_and(|kind| kind != "BPE") {
            return None;
        }
        let values = byte_values();
        let added = added_tokens.iter().map(|token| token.id);
        let last = vocabulary.values().copied().chain(added).max()?;
        // A token takes at least four bytes in the file.
        if last as usize > file.len() {
            return None;
        }
        let mut found = Self {
            bytes: Vec::with_capacity(file.len() / 4),
            places: vec![[0; 2]; last as usize + 1],
        };
        for (token, id) in &vocabulary {
            found.set(*id, token, &values);
        }
        for token in &added_tokens {
            let text = if token.special { "" } else { &token.content };
            found.set(token.id, text, &values);
        }
        Some(found)
    }

    fn set(&mut self, id: u32, token: &str, values: &HashMap<char, u8>) {
        let start = self.bytes.len();
        let bytes: Option<Vec<u8>> = token.chars().map(|c| values.get(&c).copied()).collect();
        // A token with other characters stands for itself.
        self.bytes
            .extend(bytes.unwrap_or_else(|| token.as_bytes().to_vec()));
        if let Some(place) = self.places.get_mut(id as usize) {
            *place = [start as u32, self.bytes.len() as u32];
        }
    }

    /// How many tokens there are, gaps included.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The text of tokens as it stands between others, without special ones. What is no UTF-8 becomes
    /// U+FFFD.
    pub(super) fn raw(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for [start, end] in ids.iter().filter_map(|id| self.places.get(*id as usize)) {
            bytes.extend_from_slice(&self.bytes[*start as usize..*end as usize]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The character that stands for each byte in byte-level BPE (Radford et al. 2019): itself where it is
/// printable, else the next one from U+0100 on.
fn byte_values() -> HashMap<char, u8> {
    let mut next = 0x100;
    let value = |byte: u8| {
        let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let character = match printable {
            true => char::from(byte),
            false => {
                next += 1;
                char::from_u32(next - 1).unwrap_or_default()
            }
        };
        (character, byte)
    };
    (0..=255).map(value).collect()
}

#[cfg(test)]
mod tests {
    use bevel_tests::{needs, pulled};

    use super::*;

    /// All ids of Whisper's vocabulary, alone and in pairs, against the tokenizers library.
    #[test]
    fn text_is_that_of_the_tokenizers_library() {
        let path = needs!(pulled("whisper-base")).join("tokenizer.json");
        let file = ModelFile::from(path.as_path());
        let bytes = ByteTokenizer::load(&file).unwrap().unwrap();
        let whole = tokenizers::Tokenizer::from_file(&path).unwrap();
        assert_eq!(bytes.len(), whole.get_vocab_size(true));
        for id in 0..bytes.len() as u32 + 10 {
            for ids in [vec![id], vec![id, (id * 7919) % 51_000, 220]] {
                assert_eq!(
                    bytes.raw(&ids),
                    whole.decode(&ids, true).unwrap(),
                    "{ids:?}"
                );
            }
        }
    }

    #[test]
    fn other_tokenizers_and_damaged_files_are_left_to_the_library() {
        for (name, file) in [
            ("nothing", ""),
            ("no JSON", "{\"model\":"),
            (
                "words",
                r#"{"model":{"type":"WordPiece","vocab":{"a":0}},"decoder":{"type":"WordPiece"}}"#,
            ),
            (
                "pieces",
                r#"{"model":{"type":"Unigram","vocab":[["a",0.0]]},"decoder":{"type":"ByteLevel"}}"#,
            ),
            (
                "no tokens",
                r#"{"model":{"type":"BPE","vocab":{}},"decoder":{"type":"ByteLevel"}}"#,
            ),
            (
                "a wild id",
                r#"{"model":{"type":"BPE","vocab":{"a":4294967295}},"decoder":{"type":"ByteLevel"}}"#,
            ),
        ] {
            assert!(ByteTokenizer::parse(file.as_bytes()).is_none(), "{name}");
        }
    }
}
