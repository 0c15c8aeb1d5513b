//! Token vectors to text vectors, and words to rows of a table.

mod pool;
mod vocabulary;

pub use pool::{mean, mean_pool, normalize};
pub use vocabulary::Vocabulary;
