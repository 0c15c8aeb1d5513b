//! Text tasks.

mod embed;
mod tokenize;

pub use embed::{Embed, Embedding};
pub use tokenize::Tokenize;
pub(crate) use tokenize::load_tokenizer;
