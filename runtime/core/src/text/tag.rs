//! Text to labelled entities.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_ids` | N×T | i64 | token ids, rows filled with the pad id |
//! | `attention_mask` | N×T | i64 | 1 for text, 0 for filling |
//! | `token_type_ids` | N×T | i64 | 0; only where the graph has it |
//! | `logits` | N×T×C | f32 | one logit per token and tag |

use bevel_manifest::{Decode, Task as TaskName};
use bevel_prep::score::{softmax, top_k};
use tokenizers::{ModelWrapper, Tokenizer};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::text::characters::Characters;
use crate::text::entities::{Entities, Tags, Word};
use crate::text::windows::{Piece, Queue, Window, Windows};

/// Tokens that stand for what a vocabulary does not know.
const UNKNOWN: [&str; 2] = ["[UNK]", "<unk>"];

/// Texts to the entities in them, such as names of people and places.
///
/// The best tag of a word's first token decides for the word, as `aggregation_strategy="first"` of
/// transformers 5.23. Its words are taken over, too: those of the tokenizer where tokens within a word are
/// marked (WordPiece), and else what stands between white space. Two things are mended: white space is any,
/// not the space alone, and a character that several tokens share is in one word.
///
/// A text that is longer than the model reads at once is read in windows that overlap. A token counts
/// where it has the most text on both sides.
pub struct Tag {
    windows: Windows,
    tags: Tags,
    /// Whether the tokenizer marks tokens within a word.
    marks_words: bool,
    unknown: Option<u32>,
}

/// What is known of the texts of a batch.
#[derive(Debug, Default)]
pub struct Tagged {
    queue: Queue,
    /// The tokens of each text.
    texts: Vec<Vec<Token>>,
}

/// A token and its best tag.
#[derive(Debug, Clone, Copy)]
struct Token {
    piece: Piece,
    id: u32,
    tag: usize,
    score: f32,
    /// Tokens to the nearer end of the window, where the text goes on behind it.
    margin: usize,
}

impl Task for Tag {
    type Item<'a> = &'a str;
    type Answer = Entities;
    type Scratch = Tagged;

    const NAME: TaskName = TaskName::Tag;

    fn item<'a>(sample: Sample<'a>) -> Option<&'a str> {
        sample.text()
    }

    fn wrap(answer: Entities) -> Answer {
        Answer::Tag(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Tag(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `tag`"));
        };
        let windows = Windows::load(bundle, options)?;
        let tokenizer = windows.tokenizer();
        let mut unknown = UNKNOWN.iter();
        Ok(Self {
            tags: Tags::new(&bundle.labels(&spec.labels)?),
            marks_words: marks_words(tokenizer),
            unknown: unknown.find_map(|token| tokenizer.token_to_id(token)),
            windows,
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.windows.fit(session);
        Ok(())
    }

    fn max_batch(&self) -> usize {
        32
    }

    fn length(&self, text: &str) -> usize {
        text.len()
    }

    fn preprocess(&self, texts: &[&str], tagged: &mut Tagged, slots: &mut Slots) -> Result<()> {
        tagged.queue.clear();
        tagged.texts.clear();
        tagged.texts.resize(texts.len(), Vec::new());
        for (item, text) in texts.iter().enumerate() {
            self.windows.cut(item, None, text, &mut tagged.queue)?;
        }
        self.windows.write(&mut tagged.queue, slots).map(|_| ())
    }

    fn proceed(&self, tagged: &mut Tagged, slots: &mut Slots, outputs: &Outputs) -> Result<bool> {
        let logits = outputs.f32("logits")?;
        let windows = tagged.queue.running();
        let (&[n, t, c], Some(values)) = (logits.shape(), logits.as_slice()) else {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {:?}, expected N×T×C",
                logits.shape()
            )));
        };
        let longest = windows.iter().map(|window| window.ids.len()).max();
        if n != windows.len() || Some(t) != longest || c != self.tags.len() {
            return Err(Error::Unsupported(format!(
                "`logits` has shape {:?} for {} rows of {} tokens and {} labels",
                logits.shape(),
                windows.len(),
                longest.unwrap_or(0),
                self.tags.len()
            )));
        }
        for (window, row) in windows.iter().zip(values.chunks_exact(t * c)) {
            if let Some(text) = tagged.texts.get_mut(window.item) {
                read(window, row, c, text);
            }
        }
        self.windows.write(&mut tagged.queue, slots)
    }

    fn postprocess(
        &self,
        texts: &[&str],
        tagged: &mut Tagged,
        _: &Slots,
        _: &Outputs<'_>,
    ) -> Result<Vec<Entities>> {
        let found = texts.iter().zip(&tagged.texts).map(|(text, tokens)| {
            let text = Characters::new(text);
            self.tags.entities(&self.words(tokens, &text), &text)
        });
        Ok(found.collect())
    }
}

/// Takes the best tag of each token in a window, from T×C logits of its row.
fn read(window: &Window, logits: &[f32], classes: usize, text: &mut Vec<Token>) {
    let rows = logits.chunks_exact(classes).skip(window.place.start);
    let ids = window.ids.iter().skip(window.place.start);
    let count = window.tokens.len();
    for (at, ((piece, id), row)) in window.tokens.iter().zip(ids).zip(rows).enumerate() {
        let before = if window.first == 0 { usize::MAX } else { at };
        let behind = if window.ends {
            usize::MAX
        } else {
            count - 1 - at
        };
        let mut scores = row.to_vec();
        softmax(&mut scores);
        let tag = top_k(&scores, 1).first().copied().unwrap_or(0);
        let token = Token {
            piece: *piece,
            id: *id,
            tag,
            score: scores[tag],
            margin: before.min(behind),
        };
        match text.get_mut(window.first + at) {
            Some(known) if known.margin < token.margin => *known = token,
            Some(_) => {}
            None => text.push(token),
        }
    }
}

impl Tag {
    fn words(&self, tokens: &[Token], text: &Characters<'_>) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        let mut last: Option<&Token> = None;
        for token in tokens {
            let Piece { start, end, .. } = token.piece;
            match words.last_mut() {
                Some(word) if !self.begins(token, last, text) => word.end = end.max(word.end),
                _ => words.push(Word {
                    tag: token.tag,
                    score: token.score,
                    start,
                    end,
                }),
            }
            last = Some(token);
        }
        words
    }

    /// Whether a token is the first of a word.
    fn begins(&self, token: &Token, last: Option<&Token>, text: &Characters<'_>) -> bool {
        let (here, Some(last)) = (token.piece, last.map(|last| last.piece)) else {
            return true;
        };
        if self.marks_words {
            return here.word.is_none() || here.word != last.word;
        }
        if here.start < last.end {
            return false;
        }
        let spaced = text.is_space(here.start) || text.is_space(here.start.saturating_sub(1));
        spaced || Some(token.id) == self.unknown
    }
}

/// Whether the vocabulary tells tokens within a word from those that begin one.
fn marks_words(tokenizer: &Tokenizer) -> bool {
    match tokenizer.get_model() {
        ModelWrapper::WordPiece(_) => true,
        ModelWrapper::BPE(model) => {
            let prefix = model.get_continuing_subword_prefix().as_ref();
            prefix.is_some_and(|prefix| !prefix.is_empty())
        }
        _ => false,
    }
}
