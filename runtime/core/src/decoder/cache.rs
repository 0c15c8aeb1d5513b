//! The key/value cache of a decoder, by the names of its graph.

use ort::session::SessionOutputs;
use ort::value::{DynValue, Tensor};

use crate::error::{Error, Result, internal};
use crate::session::{Selected, Session};

/// Which tensors make the cache, and the sizes they share.
pub(super) struct Cache {
    entries: Vec<Entry>,
    /// H and K.
    heads: [usize; 2],
    /// Asks for logits and the decoder's half: the other half comes back empty from the second
    /// step on.
    later: Selected,
}

/// One tensor of it.
struct Entry {
    past: String,
    present: String,
    /// Whether it belongs to the encoder's output and is made once.
    of_encoder: bool,
}

impl Cache {
    /// Learns `past_key_values.*` and `present.*` from a decoder.
    ///
    /// # Errors
    /// [`Error::Model`] when there are none, they do not match, or their layers differ in size.
    pub(super) fn of(decoder: &Session) -> Result<Self> {
        let bad = |what: String| Error::model(decoder.path(), what);
        let mut entries = Vec::new();
        let mut sizes = None;
        for input in decoder.inputs() {
            let Some(name) = input.name.strip_prefix("past_key_values.") else {
                continue;
            };
            let present = format!("present.{name}");
            if decoder.outputs().iter().all(|o| o.name != present) {
                let what = format!("has input `{}` but no output `{present}`", input.name);
                return Err(bad(what));
            }
            let found = match input.shape[..] {
                [_, Some(heads), _, Some(head_dim)] => [heads, head_dim],
                _ => {
                    let shape = input.shape_text();
                    let what = format!("input `{}` is {shape}, expected [N, H, ?, K]", input.name);
                    return Err(bad(what));
                }
            };
            if *sizes.get_or_insert(found) != found {
                return Err(bad(format!("layers differ in size at `{}`", input.name)));
            }
            entries.push(Entry {
                past: input.name.clone(),
                present,
                of_encoder: name.contains(".encoder."),
            });
        }
        let heads = sizes.ok_or_else(|| {
            bad("has no `past_key_values.*` inputs; use the merged decoder".into())
        })?;
        let mut selected = vec!["logits".to_string()];
        if decoder
            .outputs()
            .iter()
            .any(|o| o.name == "cross_attentions")
        {
            selected.push("cross_attentions".into());
        }
        let own = entries.iter().filter(|c| !c.of_encoder);
        selected.extend(own.map(|entry| entry.present.clone()));
        Ok(Self {
            entries,
            heads,
            later: Selected::new(selected)?,
        })
    }

    /// The outputs that only go into the next step.
    pub(super) fn present(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.present.as_str())
    }

    /// A past of length 0 for so many rows.
    pub(super) fn empty(&self, rows: usize) -> Result<Past<'_>> {
        let [heads, head_dim] = self.heads;
        let empty = |_: &Entry| {
            let empty = Tensor::from_array(([rows, heads, 0, head_dim], Vec::<f32>::new()));
            empty.map(Tensor::into_dyn).map_err(internal)
        };
        Ok(Past {
            cache: self,
            values: self.entries.iter().map(empty).collect::<Result<_>>()?,
            first: true,
        })
    }
}

/// The cache of one batch. Its values are ONNX Runtime's own, moved from outputs to inputs.
pub(super) struct Past<'c> {
    cache: &'c Cache,
    values: Vec<DynValue>,
    first: bool,
}

impl<'c> Past<'c> {
    /// Name and value of each input.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&'c str, &DynValue)> {
        let entries = self.cache.entries.iter();
        entries.map(|e| e.past.as_str()).zip(&self.values)
    }

    /// Whether nothing was taken yet.
    pub(super) fn is_empty(&self) -> bool {
        self.first
    }

    /// Which outputs to ask for; all of them at the first step.
    pub(super) fn wanted(&self) -> Option<&'c Selected> {
        (!self.first).then_some(&self.cache.later)
    }

    /// Moves the outputs of a step in; the encoder's half stays that of the first step.
    pub(super) fn take(&mut self, outputs: &mut SessionOutputs<'_>) -> Result<()> {
        for (entry, value) in self.cache.entries.iter().zip(&mut self.values) {
            if entry.of_encoder && !self.first {
                continue;
            }
            let present = outputs.remove(&entry.present);
            *value = present
                .ok_or_else(|| Error::Internal(format!("output `{}` is gone", entry.present)))?;
        }
        self.first = false;
        Ok(())
    }
}
