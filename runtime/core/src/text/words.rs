//! Text to the mean of its words' vectors.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `ids` | N | i64 | rows of the table: the known words of all texts, one text after another |
//! | `vectors` | N×D | f32 | one vector per word |

use bevel_manifest::{Decode, EmbedSpec, Input, Pooling, Task as TaskName, WordsInput};
use bevel_prep::text::{Vocabulary, mean, normalize};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::text::Embedding;

/// Texts to vectors through a table of word vectors, such as GloVe's.
///
/// Words stand between white space; of each the first known counts: as it is, without the
/// punctuation around it, that in lower case. Unknown words are left out, a text without a known
/// word is an error.
pub struct EmbedWords {
    vocabulary: Vocabulary,
    spec: EmbedSpec,
    max_words: usize,
}

/// Rows of a batch.
#[derive(Debug, Default)]
pub struct Rows {
    ids: Vec<i64>,
    /// Where the rows of each text end.
    ends: Vec<usize>,
}

impl Task for EmbedWords {
    type Item<'a> = &'a str;
    type Answer = Embedding;
    type Scratch = Rows;

    const NAME: TaskName = TaskName::Embed;

    fn item<'a>(sample: Sample<'a>) -> Option<&'a str> {
        sample.text()
    }

    fn wrap(answer: Embedding) -> Answer {
        Answer::Embed(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let manifest = bundle.manifest();
        let Decode::Embed(spec) = &manifest.decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `embed`"));
        };
        if spec.pooling != Pooling::Mean {
            return Err(Error::model(
                bundle.root(),
                "[decode] words are pooled by `mean` alone",
            ));
        }
        let Input::Words(WordsInput {
            vocabulary,
            max_words,
        }) = &manifest.input
        else {
            return Err(Error::model(bundle.root(), "[input] is not words"));
        };
        let file = bundle.file(vocabulary)?;
        let vocabulary = Vocabulary::new(file.text()?)
            .filter(|vocabulary| !vocabulary.is_empty())
            .ok_or_else(|| Error::model(file.path(), "no words in it, or more than 4 GiB"))?;
        Ok(Self {
            vocabulary,
            spec: spec.clone(),
            max_words: options
                .max_tokens
                .unwrap_or(*max_words)
                .clamp(1, *max_words),
        })
    }

    fn fit(&mut self, _: &Session) -> Result<()> {
        Ok(())
    }

    fn max_batch(&self) -> usize {
        16
    }

    fn length(&self, text: &str) -> usize {
        text.len()
    }

    fn preprocess(&self, texts: &[&str], rows: &mut Rows, slots: &mut Slots) -> Result<()> {
        rows.ids.clear();
        rows.ends.clear();
        for text in texts {
            let before = rows.ids.len();
            let found = self.vocabulary.rows(text).take(self.max_words);
            rows.ids.extend(found.map(i64::from));
            if rows.ids.len() == before {
                return Err(Error::Input(format!(
                    "no word of `{}` is in the vocabulary of {} words",
                    shown(text),
                    self.vocabulary.len()
                )));
            }
            rows.ends.push(rows.ids.len());
        }
        let ids = slots.i64("ids", &[rows.ids.len()]);
        ids.copy_from_slice(&rows.ids);
        Ok(())
    }

    fn postprocess(
        &self,
        _: &[&str],
        rows: &mut Rows,
        _: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Embedding>> {
        let vectors = outputs.f32("vectors")?;
        let (&[n, d], Some(values)) = (vectors.shape(), vectors.as_slice()) else {
            return Err(Error::Unsupported(format!(
                "`vectors` has shape {:?}, expected N×D",
                vectors.shape()
            )));
        };
        if n != rows.ids.len() || d == 0 {
            return Err(Error::Unsupported(format!(
                "`vectors` has shape {:?} for {} words",
                vectors.shape(),
                rows.ids.len()
            )));
        }
        let mut start = 0;
        let answers = rows.ends.iter().map(|end| {
            let mut embedding = vec![0.0; d];
            mean(&values[start * d..end * d], &mut embedding);
            start = *end;
            if self.spec.normalize {
                normalize(&mut embedding);
            }
            Embedding { embedding }
        });
        Ok(answers.collect())
    }
}

/// The beginning of a text, for an error.
fn shown(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.into(),
    }
}
