//! Question and context to the part of the context that answers.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_ids` | N×T | i64 | token ids of question and context, rows filled with the pad id |
//! | `attention_mask` | N×T | i64 | 1 for text, 0 for filling |
//! | `token_type_ids` | N×T | i64 | which of the two a token is of; only where the graph has it |
//! | `start_logits`, `end_logits` | N×T | f32 | whether the answer starts or ends with a token |

use bevel_manifest::{Decode, Task as TaskName};

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Question, Sample};
use crate::session::Session;
use crate::text::characters::Characters;
use crate::text::spans::{Logits, Span};
use crate::text::windows::{Queue, Windows};

/// Answers questions with words of a text.
///
/// A context that is longer than the model reads at once is read in windows that overlap; the answer is
/// the likeliest of any window. Within a window it is found as by the question-answering pipeline of
/// transformers 4.57 with `max_answer_len=30`.
pub struct AnswerQuestion {
    windows: Windows,
}

/// What is known of the questions of a batch.
#[derive(Debug, Default)]
pub struct Asked {
    queue: Queue,
    /// The logits of each window that ran, by question.
    logits: Vec<Vec<Logits>>,
}

impl Task for AnswerQuestion {
    type Item<'a> = Question<'a>;
    type Answer = Span;
    type Scratch = Asked;

    const NAME: TaskName = TaskName::Answer;

    fn item<'a>(sample: Sample<'a>) -> Option<Question<'a>> {
        match sample {
            Sample::Question(question) => Some(question),
            _ => None,
        }
    }

    fn wrap(answer: Span) -> Answer {
        Answer::Answer(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        if bundle.manifest().decode != Decode::Answer {
            return Err(Error::model(bundle.root(), "[decode] is not `answer`"));
        }
        Ok(Self {
            windows: Windows::load(bundle, options)?,
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.windows.fit(session);
        Ok(())
    }

    fn max_batch(&self) -> usize {
        32
    }

    fn length(&self, item: Question<'_>) -> usize {
        item.question.len() + item.context.len()
    }

    fn preprocess(
        &self,
        items: &[Question<'_>],
        asked: &mut Asked,
        slots: &mut Slots,
    ) -> Result<()> {
        asked.queue.clear();
        asked.logits.clear();
        asked.logits.resize_with(items.len(), Vec::new);
        for (at, item) in items.iter().enumerate() {
            for (name, text) in [("question", item.question), ("context", item.context)] {
                if text.trim().is_empty() {
                    return Err(Error::Input(format!("the {name} is empty")));
                }
            }
            let question = Some(item.question);
            self.windows
                .cut(at, question, item.context, &mut asked.queue)?;
        }
        self.windows.write(&mut asked.queue, slots).map(|_| ())
    }

    fn proceed(&self, asked: &mut Asked, slots: &mut Slots, outputs: &Outputs) -> Result<bool> {
        let (starts, ends) = (outputs.f32("start_logits")?, outputs.f32("end_logits")?);
        let windows = asked.queue.running();
        let longest = windows.iter().map(|window| window.ids.len()).max();
        let shape = [windows.len(), longest.unwrap_or(0)];
        let same = starts.shape() == shape && ends.shape() == shape;
        let (Some(starts), Some(ends), true) = (starts.as_slice(), ends.as_slice(), same) else {
            return Err(Error::Unsupported(format!(
                "`start_logits` and `end_logits` have shapes {:?} and {:?} for {} rows of {} tokens",
                starts.shape(),
                ends.shape(),
                shape[0],
                shape[1]
            )));
        };
        let rows = starts
            .chunks_exact(shape[1])
            .zip(ends.chunks_exact(shape[1]));
        for (window, (starts, ends)) in windows.iter().zip(rows) {
            if let Some(logits) = asked.logits.get_mut(window.item) {
                logits.push(Logits::of(window, starts, ends));
            }
        }
        self.windows.write(&mut asked.queue, slots)
    }

    fn postprocess(
        &self,
        items: &[Question<'_>],
        asked: &mut Asked,
        _: &Slots,
        _: &Outputs<'_>,
    ) -> Result<Vec<Span>> {
        let answers = items.iter().zip(&asked.logits).map(|(item, windows)| {
            let context = Characters::new(item.context);
            let spans = windows.iter().filter_map(|logits| logits.best(&context));
            let span = spans.reduce(|a, b| if b.score > a.score { b } else { a });
            span.ok_or_else(|| {
                Error::Input("the tokenizer makes nothing of the context".to_owned())
            })
        });
        answers.collect()
    }
}
