//! Token vectors to text vectors, and words to rows of a table.

mod pool;
#[cfg(feature = "text")]
mod vocabulary;

pub use pool::{mean, mean_pool, normalize};
#[cfg(feature = "text")]
pub use vocabulary::Vocabulary;
