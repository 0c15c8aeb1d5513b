//! The tokenizer of text, and of speech models that write it.

use tokenizers::Tokenizer;

use crate::bundle::ModelFile;
use crate::error::{Error, Result};

/// A `tokenizer.json` of Hugging Face tokenizers.
///
/// # Errors
/// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is not one.
pub(crate) fn load_tokenizer(file: &ModelFile) -> Result<Tokenizer> {
    Tokenizer::from_bytes(file.read()?)
        .map_err(|e| Error::model(file.path(), format!("not a tokenizer.json: {e}")))
}
