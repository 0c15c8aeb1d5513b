//! Speech tasks.

use serde::Serialize;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::Options;
use crate::registry::AnyPipeline;

/// Text with times.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Transcript {
    /// The whole text.
    pub text: String,
    /// ISO 639-1.
    pub language: String,
    /// Length of the sound in seconds.
    pub duration: f64,
    /// Pieces in order.
    pub segments: Vec<Segment>,
}

/// One piece of a transcript.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Segment {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds.
    pub end: f64,
    /// Its text.
    pub text: String,
}

pub(crate) fn open_boxed(_: &Bundle, _: &Options) -> Result<Box<dyn AnyPipeline>> {
    Err(Error::Unsupported("speech is not built yet".into()))
}
