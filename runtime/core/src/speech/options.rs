use std::path::PathBuf;

/// What a caller may choose for speech. What is not given is the model's own.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SpeechOptions {
    /// Which times are answered.
    pub timestamps: Timestamps,
    /// Whether what is heard is written down in English, whatever its language.
    pub translate: bool,
    /// Text that the model takes for what came before: its spelling, style and names are gone on with.
    pub prompt: Option<String>,
    /// Words that are likely to be said, such as names.
    pub hot_words: Vec<String>,
    /// Whether Whisper always hears its whole window of 30 s, as its makers run it, also where the bundle
    /// says that short speech needs less.
    pub full_window: bool,
    /// How many pieces of a recording Whisper hears together, 1 when not given. Each takes the memory of an
    /// encoder's output and of the keys and values made from it: 40 MB in the base size.
    pub batch: Option<usize>,
    /// How many candidates a beam search keeps; 1 takes the likeliest token at each step.
    pub beams: Option<usize>,
    /// An n-gram language model in ARPA format that a beam search asks.
    pub language_model: Option<PathBuf>,
}

/// Which times a transcript has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timestamps {
    /// Those of pauses: a segment is what is said between two.
    #[default]
    Pauses,
    /// Those that the model writes: a segment is about a sentence.
    Segments,
    /// Those of words, too.
    Words,
}
