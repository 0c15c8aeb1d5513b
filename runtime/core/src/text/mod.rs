//! Text tasks.

mod embed;
mod tokenize;
mod words;

pub use embed::{Embed, Embedding};
pub use tokenize::Tokenize;
pub use words::EmbedWords;
