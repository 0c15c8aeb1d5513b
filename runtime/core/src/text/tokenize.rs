use bevel_manifest::TextInput;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use crate::bundle::{Bundle, ModelFile};
use crate::error::{Error, Result};
use crate::pipeline::{Options, Slots};
use crate::text::rows::{Row, Rows};

/// Text to `input_ids`, `attention_mask` and, where the graph asks for it, `token_type_ids`: N×T, i64,
/// T the longest text of the batch.
///
/// Ids come from the bundle's `tokenizer.json` through Hugging Face tokenizers. Text beyond
/// `max_tokens` is cut at the end, special tokens kept.
pub struct Tokenize {
    tokenizer: Tokenizer,
    rows: Rows,
}

impl Tokenize {
    /// Reads the tokenizer that the bundle names.
    ///
    /// # Errors
    /// [`Error::Model`] when it is not a tokenizer, or for a bundle without text input.
    pub fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let (spec, file, mut tokenizer) = of_bundle(bundle)?;
        let max_length = longest(spec, options);
        tokenizer
            .with_truncation(Some(TruncationParams {
                max_length,
                ..Default::default()
            }))
            .map_err(|e| Error::model(file.path(), e.to_string()))?;
        Ok(Self {
            tokenizer,
            rows: Rows::new(spec),
        })
    }

    /// Whether `token_type_ids` is written too; not unless asked for.
    pub fn set_type_ids(&mut self, write: bool) {
        self.rows.type_ids = write;
    }

    /// Writes the tensors for a batch. Returns [N, T].
    ///
    /// # Errors
    /// [`Error::Input`] when the tokenizer refuses a text, or makes nothing of it.
    pub fn write(&self, texts: &[&str], slots: &mut Slots) -> Result<[usize; 2]> {
        let encodings: Vec<Encoding> = texts
            .iter()
            .map(|text| self.tokenizer.encode_fast(*text, true).map_err(refused))
            .collect::<Result<_>>()?;
        let rows: Vec<_> = encodings.iter().map(Row::of).collect();
        self.rows.write(&rows, slots)
    }
}

/// A `tokenizer.json` of Hugging Face tokenizers.
///
/// # Errors
/// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is not one.
pub(crate) fn load_tokenizer(file: &ModelFile) -> Result<Tokenizer> {
    Tokenizer::from_bytes(file.read()?)
        .map_err(|e| Error::model(file.path(), format!("not a tokenizer.json: {e}")))
}

/// The text input of a bundle, and its tokenizer without padding.
pub(crate) fn of_bundle(bundle: &Bundle) -> Result<(&TextInput, &ModelFile, Tokenizer)> {
    let Some(spec) = bundle.manifest().input.text() else {
        return Err(Error::model(bundle.root(), "[input] is not text"));
    };
    let file = bundle.file(&spec.tokenizer)?;
    let mut tokenizer = load_tokenizer(file)?;
    tokenizer.with_padding(None);
    Ok((spec, file, tokenizer))
}

/// What the tokenizer says about a text it cannot read.
pub(crate) fn refused(error: tokenizers::Error) -> Error {
    Error::Input(format!("the tokenizer refused the text: {error}"))
}

/// Longest row in tokens: the model's, or a shorter one that was asked for.
pub(crate) fn longest(spec: &TextInput, options: &Options) -> usize {
    // At least the two special tokens and one of the text.
    options
        .max_tokens
        .unwrap_or(spec.max_tokens)
        .clamp(3, spec.max_tokens)
}
