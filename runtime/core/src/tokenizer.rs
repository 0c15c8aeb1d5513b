//! The tokenizer of text, and of speech models that write it.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::error::{Error, Result};

/// A `tokenizer.json` of Hugging Face tokenizers.
///
/// # Errors
/// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is not one.
pub(crate) fn load_tokenizer(path: &Path) -> Result<Tokenizer> {
    let bytes = std::fs::read(path).map_err(|source| Error::ModelFile {
        path: path.to_path_buf(),
        source,
    })?;
    Tokenizer::from_bytes(&bytes)
        .map_err(|e| Error::model(path, format!("not a tokenizer.json: {e}")))
}
