//! A decode that is going on.

use std::time::{Duration, Instant};

use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{DynValue, TensorRef};

use crate::decoder::cache::Past;
use crate::error::{Error, Result, internal};
use crate::session::Session;

/// Inputs that not every graph has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs {
    mask: bool,
    positions: bool,
    places: bool,
    pub(super) encoder: bool,
    encoder_mask: bool,
    branch: bool,
}

impl Inputs {
    pub(super) fn of(session: &Session) -> Self {
        let has = |name: &str| session.has_input(name);
        Self {
            mask: has("attention_mask"),
            positions: has("position_ids"),
            places: has("cache_position"),
            encoder: has("encoder_hidden_states"),
            encoder_mask: has("encoder_attention_mask"),
            branch: has("use_cache_branch"),
        }
    }
}

/// Tokens go in, logits come out; what was seen stays in the cache.
pub(crate) struct Run<'d> {
    session: &'d mut Session,
    inputs: Inputs,
    past: Past<'d>,
    hidden: Option<&'d DynValue>,
    rows: usize,
    /// Tokens a row so far.
    seen: usize,
    /// N×(P+T).
    mask: Vec<i64>,
    /// N×T.
    positions: Vec<i64>,
    /// T.
    places: Vec<i64>,
    /// N.
    ones: Vec<i64>,
}

impl<'d> Run<'d> {
    pub(super) fn new(
        session: &'d mut Session,
        inputs: Inputs,
        past: Past<'d>,
        rows: usize,
        mask: Option<&[i64]>,
        hidden: Option<&'d DynValue>,
    ) -> Self {
        Self {
            session,
            inputs,
            past,
            hidden,
            rows,
            seen: 0,
            mask: mask.map_or_else(Vec::new, <[i64]>::to_vec),
            positions: Vec::new(),
            places: Vec::new(),
            ones: vec![1; rows],
        }
    }

    /// Reads N×T more tokens. Adds the time inside ONNX Runtime to `spent`.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails, [`Error::Model`] when logits are not N×T×V.
    pub(crate) fn step(&mut self, ids: &[i64], spent: &mut Duration) -> Result<Step<'_>> {
        let tokens = ids.len() / self.rows;
        self.count(tokens);
        let later = [!self.past.is_empty()];
        let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
            let wanted = &self.inputs;
            let named = [
                (true, "input_ids", ids),
                (wanted.mask, "attention_mask", self.mask.as_slice()),
                (wanted.positions, "position_ids", &self.positions),
                (wanted.encoder_mask, "encoder_attention_mask", &self.ones),
            ];
            let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::new();
            for (_, name, values) in named.iter().filter(|(wanted, ..)| *wanted) {
                let shape = [self.rows, values.len() / self.rows];
                let tensor = TensorRef::from_array_view((shape, *values))?;
                inputs.push((name, tensor.into()));
            }
            if wanted.places {
                let places = self.places.as_slice();
                let places = TensorRef::from_array_view(([places.len()], places))?;
                inputs.push(("cache_position", places.into()));
            }
            if wanted.branch {
                let later = TensorRef::from_array_view(([1], later.as_slice()))?;
                inputs.push(("use_cache_branch", later.into()));
            }
            let hidden = self.hidden.filter(|_| wanted.encoder);
            inputs.extend(hidden.map(|hidden| ("encoder_hidden_states", hidden.into())));
            let past = self.past.inputs();
            inputs.extend(past.map(|(name, value)| (name, value.into())));
            Ok(inputs)
        };
        let inputs = inputs().map_err(internal)?;
        let start = Instant::now();
        let path = self.session.path().to_path_buf();
        let mut outputs = match self.past.wanted() {
            Some(wanted) => self.session.run_selected(inputs, wanted)?,
            None => self.session.run(inputs)?,
        };
        *spent += start.elapsed();
        self.past.take(&mut outputs)?;
        self.seen += tokens;
        Step::of(outputs, self.rows).ok_or_else(|| {
            let what = "output `logits` is not float32 N×T×V";
            Error::model(&path, what)
        })
    }

    /// Makes mask and positions those of the next tokens: counted from the first token, where padding
    /// stands at the same place as that.
    fn count(&mut self, tokens: usize) {
        self.places.clear();
        let end = self.seen + tokens;
        self.places
            .extend((self.seen..end).map(|place| place as i64));
        if !(self.inputs.mask || self.inputs.positions) {
            return;
        }
        let (rows, before) = (self.rows, self.mask.len() / self.rows);
        if before < end {
            // Rows grow at their ends, the last one first, so that none runs over the next.
            self.mask.resize(rows * end, 1);
            for row in (0..rows).rev() {
                self.mask
                    .copy_within(row * before..(row + 1) * before, row * end);
                self.mask[row * end + before..(row + 1) * end].fill(1);
            }
        }
        self.positions.clear();
        for row in self.mask.chunks(end) {
            let mut at: i64 = row[..self.seen].iter().sum();
            self.positions.extend(row[self.seen..].iter().map(|mask| {
                at += mask;
                (at - 1).max(0)
            }));
        }
    }
}

/// What a graph answers for the tokens it has just read.
pub(crate) struct Step<'r> {
    outputs: SessionOutputs<'r>,
    tokens: usize,
    vocabulary: usize,
}

impl<'r> Step<'r> {
    /// `None` when logits are not N×T×V.
    fn of(outputs: SessionOutputs<'r>, rows: usize) -> Option<Self> {
        let (shape, _) = outputs.get("logits")?.try_extract_tensor::<f32>().ok()?;
        let [n, tokens, vocabulary] = shape[..] else {
            return None;
        };
        let size = |size: i64| usize::try_from(size).ok().filter(|size| *size > 0);
        let (n, tokens, vocabulary) = (size(n)?, size(tokens)?, size(vocabulary)?);
        (n == rows).then_some(Self {
            outputs,
            tokens,
            vocabulary,
        })
    }

    /// How many tokens a row there are logits of: T, or 1 where the graph answers for the last alone.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// V.
    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// What follows a token of a row.
    pub(crate) fn logits(&self, row: usize, token: usize) -> &[f32] {
        let start = (row * self.tokens + token) * self.vocabulary;
        let logits = self.outputs.get("logits");
        let logits = logits.and_then(|logits| logits.try_extract_tensor::<f32>().ok());
        let values = logits.map_or(&[][..], |(_, values)| values);
        values
            .get(start..start + self.vocabulary)
            .unwrap_or_default()
    }

    /// What follows the last token of a row.
    pub(crate) fn last(&self, row: usize) -> &[f32] {
        self.logits(row, self.tokens - 1)
    }

    /// Appends where the heads of a row look for each of the tokens from `from` on: token by token, head by
    /// head. Answers S; `None` where the graph does not say.
    pub(crate) fn attention(&self, row: usize, from: usize, out: &mut Vec<f32>) -> Option<usize> {
        let value = self.outputs.get("cross_attentions")?;
        let (shape, values) = value.try_extract_tensor::<f32>().ok()?;
        let [rows, heads, tokens, frames] = shape[..] else {
            return None;
        };
        let size = |size: i64| usize::try_from(size).ok().filter(|size| *size > 0);
        let (heads, tokens, frames) = (size(heads)?, size(tokens)?, size(frames)?);
        if row >= size(rows)? {
            return None;
        }
        for token in from..tokens {
            for head in 0..heads {
                let start = ((row * heads + head) * tokens + token) * frames;
                out.extend_from_slice(&values[start..start + frames]);
            }
        }
        Some(frames)
    }
}
