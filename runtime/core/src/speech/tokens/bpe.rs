//! The tokenizers library with those of its parts alone that speech models are written with: the others would
//! be a tenth of a program for speech, most of it tables of Unicode.

use serde::{Deserialize, Deserializer};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    Encoding, NormalizedString, Normalizer, PostProcessor, PreTokenizedString, PreTokenizer,
    TokenizerImpl,
};

use crate::bundle::ModelFile;
use crate::error::{Error, Result};

/// A `tokenizer.json` of BPE. Any gives the text of tokens; one of bytes alone gives the tokens of a text.
pub(in crate::speech) struct Bpe(TokenizerImpl<BPE, Ignored, Split, Ignored, DecoderWrapper>);

/// How a text is split before the model sees it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Split {
    ByteLevel(ByteLevel),
    Other(Ignored),
}

/// A part that stands in the file and is not needed here.
struct Ignored;

impl Bpe {
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is not such a file.
    pub(super) fn load(file: &ModelFile) -> Result<Self> {
        let tokenizer = TokenizerImpl::from_bytes(file.read()?);
        tokenizer
            .map(Self)
            .map_err(|e| Error::model(file.path(), format!("not a tokenizer.json of BPE: {e}")))
    }

    /// How many tokens there are, added ones included.
    pub(super) fn len(&self) -> usize {
        self.0.get_vocab_size(true)
    }

    /// The text of tokens, without special ones.
    ///
    /// # Errors
    /// [`Error::Internal`] when the decoder of the file fails.
    pub(super) fn raw(&self, ids: &[u32]) -> Result<String> {
        let text = self.0.decode(ids, true);
        text.map_err(|e| Error::Internal(format!("no text of tokens: {e}")))
    }

    /// The tokens of a text, without special ones.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the file changes or splits texts in another way than byte-level BPE,
    /// [`Error::Input`] when it refuses the text.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let bytes = matches!(self.0.get_pre_tokenizer(), Some(Split::ByteLevel(_)));
        if !bytes || self.0.get_normalizer().is_some() {
            let what =
                "this model takes neither prompt nor hot words: its tokenizer is no byte-level BPE";
            return Err(Error::Unsupported(what.into()));
        }
        let encoding = self.0.encode_fast(text, false);
        let encoding =
            encoding.map_err(|e| Error::Input(format!("the tokenizer refused the prompt: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }
}

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl Normalizer for Ignored {
    fn normalize(&self, _: &mut NormalizedString) -> tokenizers::Result<()> {
        Ok(())
    }
}

impl PostProcessor for Ignored {
    fn added_tokens(&self, _: bool) -> usize {
        0
    }

    fn process_encodings(
        &self,
        encodings: Vec<Encoding>,
        _: bool,
    ) -> tokenizers::Result<Vec<Encoding>> {
        Ok(encodings)
    }
}

impl PreTokenizer for Split {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> tokenizers::Result<()> {
        match self {
            Self::ByteLevel(split) => split.pre_tokenize(text),
            Self::Other(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bevel_tests::{needs, pulled, root};
    use tokenizers::Tokenizer;

    use super::*;

    /// Of texts with what splitting looks at: spaces, numbers, marks, other scripts, special tokens.
    #[test]
    fn tokens_of_a_text_are_those_of_the_whole_library() {
        let path = needs!(pulled("whisper-base")).join("tokenizer.json");
        let whole = Tokenizer::from_file(&path).unwrap();
        let bpe = Bpe::load(&ModelFile::from(path.as_path())).unwrap();
        assert_eq!(bpe.len(), whole.get_vocab_size(true));
        for text in [
            "",
            " Glossary: Bevel, ONNX, RK3588",
            "it's  12.5 °C,\tisn't it?\n",
            " Grüße aus Zürich – naïve café\u{301}",
            "東京 שלום 👩‍🔬",
            "<|startoftranscript|><|en|> twice",
        ] {
            let expected = whole.encode_fast(text, false).unwrap();
            assert_eq!(bpe.encode(text).unwrap(), expected.get_ids(), "{text:?}");
        }
    }

    /// All tokens of an export whose words begin with `▁`, and that it does not say how texts are split.
    #[test]
    fn text_is_that_of_the_whole_library_where_tokens_are_no_bytes() {
        let path = root().join("tests/golden/sound/moonshine/tokenizer.json");
        let whole = Tokenizer::from_file(&path).unwrap();
        let bpe = Bpe::load(&ModelFile::from(path.as_path())).unwrap();
        let ids: Vec<u32> = (0..bpe.len() as u32 + 5).collect();
        for ids in ids.windows(3) {
            assert_eq!(
                bpe.raw(ids).unwrap(),
                whole.decode(ids, true).unwrap(),
                "{ids:?}"
            );
        }
        let error = bpe.encode("hot").unwrap_err();
        assert_eq!(error.kind(), bevel_manifest::ErrorKind::Unsupported);
    }

    #[test]
    fn other_models_are_refused_with_the_file() {
        let file = r#"{"version":"1.0","added_tokens":[],"model":{"type":"Unigram","unk_id":0,
            "vocab":[["a",0.0]]}}"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file).unwrap();
        let error = Bpe::load(&ModelFile::from(path.as_path())).err().unwrap();
        assert!(
            error.to_string().contains("tokenizer.json of BPE"),
            "{error}"
        );
    }
}
