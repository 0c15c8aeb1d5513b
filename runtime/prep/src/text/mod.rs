//! Token vectors to text vectors.

mod pool;

pub use pool::{mean_pool, normalize};
