//! Text to a vector.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input_ids` | N×T | i64 | token ids, rows filled with the pad id |
//! | `attention_mask` | N×T | i64 | 1 for text, 0 for filling |
//! | `token_type_ids` | N×T | i64 | 0; only where the graph has it |
//! | `last_hidden_state` | N×T×D | f32 | one vector per token |

use bevel_manifest::{Decode, EmbedSpec, Pooling, Task as TaskName};
use bevel_prep::text::{mean_pool, normalize};
use serde::Serialize;

use crate::bundle::Bundle;
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

/// The vector of one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Embedding {
    /// D values; of length 1 where the bundle says `normalize`.
    pub embedding: Vec<f32>,
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
        let hidden = outputs.f32("last_hidden_state")?;
        let mask = slots.view_i64("attention_mask").unwrap_or_default();
        let (&[n, t, d], Some(values)) = (hidden.shape(), hidden.as_slice()) else {
            return Err(Error::Unsupported(format!(
                "`last_hidden_state` has shape {:?}, expected N×T×D",
                hidden.shape()
            )));
        };
        if n != texts.len() || mask.len() != n * t || d == 0 {
            return Err(Error::Unsupported(format!(
                "`last_hidden_state` has shape {:?} for {} texts of {} tokens",
                hidden.shape(),
                texts.len(),
                mask.len() / texts.len().max(1)
            )));
        }
        let rows = values.chunks_exact(t * d).zip(mask.chunks_exact(t));
        Ok(rows
            .map(|(hidden, mask)| {
                let mut embedding = vec![0.0; d];
                match self.spec.pooling {
                    Pooling::Mean => mean_pool(hidden, mask, &mut embedding),
                    Pooling::Cls => embedding.copy_from_slice(&hidden[..d]),
                }
                if self.spec.normalize {
                    normalize(&mut embedding);
                }
                Embedding { embedding }
            })
            .collect())
    }
}
