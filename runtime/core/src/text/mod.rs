//! Text tasks.

mod embed;
mod generate;
mod tokenize;
mod words;

pub use crate::embedding::Embedding;
pub use embed::Embed;
pub(crate) use generate::open_boxed;
pub use generate::{Generate, Generated, Likelihood};
pub use tokenize::Tokenize;
pub(crate) use tokenize::load_tokenizer;
pub use words::EmbedWords;
