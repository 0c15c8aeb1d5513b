//! Text to labels.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_ids` | N×T | i64 | token ids, rows filled with the pad id |
//! | `attention_mask` | N×T | i64 | 1 for text, 0 for filling |
//! | `token_type_ids` | N×T | i64 | 0; only where the graph has it |
//! | `logits` (the graph's first output) | N×C | f32 | one logit per class |

use bevel_manifest::Task as TaskName;

use crate::bundle::Bundle;
use crate::classes::{Classes, Labels};
use crate::error::Result;
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::text::Tokenize;

/// Texts to labels, such as their subject or mood. What is beyond the model's longest text does not
/// count.
pub struct Classify {
    tokenize: Tokenize,
    labels: Labels,
}

impl Task for Classify {
    type Item<'a> = &'a str;
    type Answer = Classes;
    type Scratch = ();

    const NAME: TaskName = TaskName::Classify;

    fn item<'a>(sample: Sample<'a>) -> Option<&'a str> {
        sample.text()
    }

    fn wrap(answer: Classes) -> Answer {
        Answer::Classify(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        Ok(Self {
            labels: Labels::load(bundle, options)?,
            tokenize: Tokenize::load(bundle, options)?,
        })
    }

    fn fit(&mut self, session: &Session) -> Result<()> {
        self.tokenize
            .set_type_ids(session.has_input("token_type_ids"));
        Ok(())
    }

    fn max_batch(&self) -> usize {
        32
    }

    fn length(&self, text: &str) -> usize {
        text.len()
    }

    fn preprocess(&self, texts: &[&str], _: &mut (), slots: &mut Slots) -> Result<()> {
        self.tokenize.write(texts, slots).map(|_| ())
    }

    fn postprocess(
        &self,
        texts: &[&str],
        _: &mut (),
        _: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Classes>> {
        self.labels.answers(outputs, texts.len())
    }
}
