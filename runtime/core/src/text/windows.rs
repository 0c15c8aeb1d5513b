//! Texts of any length as rows that a model can take: windows that overlap, each with the special tokens
//! that belong around it.

use std::ops::Range;

use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper, Tokenizer, TruncationDirection};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Slots};
use crate::session::Session;
use crate::text::rows::{Row, Rows};
use crate::text::tokenize::{longest, of_bundle, refused};

/// The most tokens that a window shares with the next: `doc_stride` of transformers' pipelines.
const OVERLAP: usize = 128;

/// Rows of one run, and their tokens, filling included.
const MAX_ROWS: usize = 32;
const MAX_TOKENS: usize = MAX_ROWS * 512;

/// Cuts texts into windows.
pub(crate) struct Windows {
    /// Adds no special tokens and cuts nothing.
    tokenizer: Tokenizer,
    /// What adds them.
    processor: Option<PostProcessorWrapper>,
    rows: Rows,
    max_tokens: usize,
}

/// A row, and the part of a text in it.
#[derive(Debug)]
pub(crate) struct Window {
    /// Which text of the batch.
    pub item: usize,
    /// Ids of the whole row.
    pub ids: Vec<u32>,
    type_ids: Vec<u32>,
    /// Where in the row the tokens of the text stand.
    pub place: Range<usize>,
    /// The tokens of the text before this window.
    pub first: usize,
    /// Whether the text ends in it.
    pub ends: bool,
    /// The tokens of the text in it.
    pub tokens: Vec<Piece>,
}

/// Where a token comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// First character in the text, in Unicode characters.
    pub start: usize,
    /// Behind the last one.
    pub end: usize,
    /// The word it belongs to, as the tokenizer splits the text.
    pub word: Option<u32>,
}

/// The windows of a batch of texts, and which of them run.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    windows: Vec<Window>,
    running: Range<usize>,
}

impl Windows {
    /// Reads the tokenizer that the bundle names.
    ///
    /// # Errors
    /// [`Error::Model`] when it is not a tokenizer, or for a bundle without text input.
    pub fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let (spec, file, mut tokenizer) = of_bundle(bundle)?;
        let whole = tokenizer.with_truncation(None);
        whole.map_err(|e| Error::model(file.path(), e.to_string()))?;
        let processor = tokenizer.get_post_processor().cloned();
        // Some processors also trim offsets, which must not happen twice.
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        Ok(Self {
            tokenizer,
            processor,
            rows: Rows::new(spec),
            max_tokens: longest(spec, options),
        })
    }

    /// Learns from the graph which tensors to write.
    pub fn fit(&mut self, session: &Session) {
        self.rows.type_ids = session.has_input("token_type_ids");
    }

    /// The tokenizer, without what it adds.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Queues the windows of a text: all its tokens in order, where `before` is a text that stands in
    /// front of each window. The window of an empty text holds no tokens of it.
    ///
    /// # Errors
    /// [`Error::Input`] when the tokenizer refuses a text, or `before` leaves less than half of a window.
    pub fn cut(
        &self,
        item: usize,
        before: Option<&str>,
        text: &str,
        queue: &mut Queue,
    ) -> Result<()> {
        let encode = |text: &str| self.tokenizer.encode_char_offsets(text, false);
        let before = before.map(encode).transpose().map_err(refused)?;
        let mut rest = encode(text).map_err(refused)?;
        let size = self.size(before.as_ref())?;
        let overlap = OVERLAP.min(size / 2);
        let tokens = rest.len();
        rest.truncate(size, overlap, TruncationDirection::Right);
        let more = rest.take_overflowing();
        let step = size - overlap;
        for (number, part) in std::iter::once(rest).chain(more).enumerate() {
            let first = number * step;
            let ends = first + part.len() == tokens;
            let window = self.window(before.clone(), part)?;
            queue.windows.push(Window {
                item,
                first,
                ends,
                ..window
            });
        }
        Ok(())
    }

    /// The tokens of a text that fit into a window.
    fn size(&self, before: Option<&Encoding>) -> Result<usize> {
        let processor = self.processor.as_ref();
        let added = processor.map_or(0, |p| p.added_tokens(before.is_some()));
        let used = added + before.map_or(0, Encoding::len);
        let size = self.max_tokens.saturating_sub(used);
        match before {
            // Windows of a few tokens each would take a run for every one of a long text.
            Some(before) if size < self.max_tokens / 2 || size == 0 => Err(Error::Input(format!(
                "the question is {} tokens long; it may take half of the {} that this model reads at \
                 once; shorten it",
                before.len(),
                self.max_tokens
            ))),
            None if size == 0 => Err(Error::Unsupported(format!(
                "the tokenizer adds {added} special tokens to a text of at most {}; nothing is left \
                 for the text",
                self.max_tokens
            ))),
            _ => Ok(size),
        }
    }

    /// One row: special tokens around the part of a text, behind what stands before it.
    fn window(&self, before: Option<Encoding>, mut part: Encoding) -> Result<Window> {
        let (sequence, length) = (usize::from(before.is_some()), part.len());
        let row = match (&self.processor, before) {
            (Some(processor), Some(before)) => processor.process(before, Some(part), true),
            (Some(processor), None) => processor.process(part, None, true),
            (None, Some(mut before)) => {
                before.set_sequence_id(0);
                part.set_sequence_id(1);
                Ok(Encoding::merge([before, part], false))
            }
            (None, None) => {
                part.set_sequence_id(0);
                Ok(part)
            }
        }
        .map_err(refused)?;
        let sequences = row.get_sequence_ids();
        let start = sequences.iter().position(|s| *s == Some(sequence));
        let start = start.unwrap_or(0);
        let place = start..start + length;
        let (Some(offsets), Some(words)) = (
            row.get_offsets().get(place.clone()),
            row.get_word_ids().get(place.clone()),
        ) else {
            return Err(Error::Unsupported(
                "the tokenizer puts something between the tokens of a text".into(),
            ));
        };
        let piece = |((start, end), word): (&(usize, usize), &Option<u32>)| Piece {
            start: *start,
            end: *end,
            word: *word,
        };
        let tokens = offsets.iter().zip(words).map(piece).collect();
        Ok(Window {
            item: 0,
            ids: row.get_ids().to_vec(),
            type_ids: row.get_type_ids().to_vec(),
            place,
            first: 0,
            ends: true,
            tokens,
        })
    }

    /// Writes the tensors of the next windows; `false` where none is left.
    ///
    /// # Errors
    /// [`Error::Input`] for a text of nothing.
    pub fn write(&self, queue: &mut Queue, slots: &mut Slots) -> Result<bool> {
        let rows = (MAX_TOKENS / self.max_tokens).clamp(1, MAX_ROWS);
        let start = queue.running.end;
        queue.running = start..queue.windows.len().min(start + rows);
        let windows = queue.running();
        if windows.is_empty() {
            return Ok(false);
        }
        let rows: Vec<_> = windows.iter().map(Window::row).collect();
        self.rows.write(&rows, slots)?;
        Ok(true)
    }
}

impl Window {
    fn row(&self) -> Row<'_> {
        Row {
            ids: &self.ids,
            type_ids: &self.type_ids,
        }
    }
}

impl Queue {
    pub fn clear(&mut self) {
        self.windows.clear();
        self.running = 0..0;
    }

    /// The windows whose rows were written last.
    pub fn running(&self) -> &[Window] {
        self.windows.get(self.running.clone()).unwrap_or_default()
    }
}
