//! Token ids to text.

mod bin;
mod bpe;
mod bytes;
pub(super) mod characters;

use std::path::Path;

use bevel_manifest::TranscribeSpec;

use crate::bundle::ModelFile;
use crate::error::{Error, Result};
use crate::speech::tokens::bin::BinTokenizer;
use crate::speech::tokens::bpe::Bpe;
use crate::speech::tokens::bytes::ByteTokenizer;
use crate::speech::tokens::characters::Characters;

/// The tokenizer of a speech model.
pub(super) enum Tokens {
    /// Moonshine's `tokenizer.bin`.
    Bin(BinTokenizer),
    /// `tokenizer.json` of a byte-level BPE, and where it lies for texts that are to be encoded.
    Bytes(ByteTokenizer, ModelFile),
    /// `tokenizer.json` of any other BPE.
    Json(Box<Bpe>),
    /// The vocabulary of a CTC model.
    Characters(Characters),
}

impl Tokens {
    /// Reads the file of a model; what it is, the model and the ending tell.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is not such a file.
    pub(super) fn load(file: &ModelFile, spec: &TranscribeSpec) -> Result<Self> {
        if let TranscribeSpec::Ctc {
            word_delimiter_id, ..
        } = spec
        {
            return Characters::load(file, *word_delimiter_id).map(Self::Characters);
        }
        if file.path().extension().is_none_or(|e| e != "json") {
            return BinTokenizer::load(file).map(Self::Bin);
        }
        match ByteTokenizer::load(file)? {
            Some(tokenizer) => Ok(Self::Bytes(tokenizer, file.alone())),
            None => Ok(Self::Json(Box::new(Bpe::load(file)?))),
        }
    }

    /// Checks that a decoder of so many tokens belongs to this tokenizer, which was read from `path`.
    ///
    /// # Errors
    /// [`Error::Model`] with both numbers.
    pub(super) fn fit(&self, vocabulary: usize, path: &Path) -> Result<()> {
        let (len, fits) = match self {
            Self::Bin(tokenizer) => (tokenizer.len(), tokenizer.len() == vocabulary),
            Self::Characters(tokens) => (tokens.len(), tokens.len() == vocabulary),
            // Whisper's files leave out the tokens of times, and vocabularies are rounded up.
            Self::Bytes(tokenizer, _) => (tokenizer.len(), tokenizer.len() <= vocabulary),
            Self::Json(tokenizer) => (tokenizer.len(), tokenizer.len() <= vocabulary),
        };
        if fits {
            return Ok(());
        }
        let what = format!(
            "{len} tokens, the decoder answers {vocabulary}; they belong to different models"
        );
        Err(Error::model(path, what))
    }

    /// The text of tokens, without special ones and without space around it.
    ///
    /// # Errors
    /// [`Error::Internal`] when the tokenizer's decoder fails.
    pub(super) fn text(&self, ids: &[u32]) -> Result<String> {
        match self {
            Self::Bin(tokenizer) => Ok(tokenizer.text(ids)),
            Self::Characters(tokens) => Ok(tokens.text(ids)),
            Self::Bytes(..) | Self::Json(_) => Ok(self.raw(ids)?.trim().to_string()),
        }
    }

    /// The text of tokens as it stands between others, with the spaces that belong to it.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(super) fn raw(&self, ids: &[u32]) -> Result<String> {
        match self {
            Self::Bytes(tokenizer, _) => Ok(tokenizer.raw(ids)),
            Self::Json(tokenizer) => tokenizer.raw(ids),
            Self::Bin(_) | Self::Characters(_) => self.text(ids),
        }
    }

    /// The tokens of a text, without special ones.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when this tokenizer only reads tokens, [`Error::Input`] when it refuses the
    /// text.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Self::Json(tokenizer) => tokenizer.encode(text),
            Self::Bytes(_, file) => Bpe::load(file)?.encode(text),
            Self::Bin(_) | Self::Characters(_) => {
                let what = "this model takes neither prompt nor hot words";
                Err(Error::Unsupported(what.into()))
            }
        }
    }
}
