//! Text tasks.

mod embed;
mod tokenize;
mod words;

pub use crate::embedding::Embedding;
pub use embed::Embed;
pub use tokenize::Tokenize;
pub(crate) use tokenize::load_tokenizer;
pub use words::EmbedWords;
