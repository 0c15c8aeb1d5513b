//! Text to a vector.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_ids` | N×T | i64 | token ids, rows filled with the pad id |
//! | `attention_mask` | N×T | i64 | 1 for text, 0 for filling |
//! | `token_type_ids` | N×T | i64 | 0; only where the graph has it |
//! | `last_hidden_state` | N×T×D | f32 | one vector per token |
//! | the first output | N×D | f32 | instead of it, where the graph pools by itself |

use bevel_manifest::{Decode, EmbedSpec, Task as TaskName};

use crate::bundle::Bundle;
use crate::embedding::{Embedding, embeddings};
use crate::error::{Error, Result};
use crate::pipeline::{Options, Outputs, Slots, Task};
use crate::registry::{Answer, Sample};
use crate::session::Session;
use crate::text::Tokenize;

/// Sentences to vectors whose cosine tells how alike they are.
pub struct Embed {
    tokenize: Tokenize,
    spec: EmbedSpec,
}

impl Task for Embed {
    type Item<'a> = &'a str;
    type Answer = Embedding;
    type Scratch = ();

    const NAME: TaskName = TaskName::Embed;

    fn item<'a>(sample: Sample<'a>) -> Option<&'a str> {
        sample.text()
    }

    fn wrap(answer: Embedding) -> Answer {
        Answer::Embed(answer)
    }

    fn load(bundle: &Bundle, options: &Options) -> Result<Self> {
        let Decode::Embed(spec) = &bundle.manifest().decode else {
            return Err(Error::model(bundle.root(), "[decode] is not `embed`"));
        };
        Ok(Self {
            tokenize: Tokenize::load(bundle, options)?,
            spec: spec.clone(),
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
        slots: &Slots,
        outputs: &Outputs<'_>,
    ) -> Result<Vec<Embedding>> {
        let mask = slots.view_i64("attention_mask");
        embeddings(&self.spec, outputs, texts.len(), mask)
    }
}
