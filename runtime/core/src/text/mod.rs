//! Text tasks.

mod answer;
mod characters;
mod classify;
mod embed;
mod entities;
mod generate;
mod rows;
mod spans;
mod tag;
mod tokenize;
mod windows;
mod words;

pub use crate::classes::{Classes, Label};
pub use crate::embedding::Embedding;
pub use crate::registry::Question;
pub use answer::AnswerQuestion;
pub use classify::Classify;
pub use embed::Embed;
pub use entities::{Entities, Entity};
pub(crate) use generate::open_boxed;
pub use generate::{Generate, Generated, Likelihood};
pub use spans::Span;
pub use tag::Tag;
pub use tokenize::Tokenize;
pub use words::EmbedWords;
