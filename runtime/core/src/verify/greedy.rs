//! `output.greedy_ids`: the prompt of a causal decoder and the tokens it goes on with, as `generate` of
//! transformers takes them without sampling.

use std::collections::BTreeMap;
use std::time::Duration;

use bevel_manifest::GenerateSpec;

use crate::decoder::{Decoder, Prompt, Rules};
use crate::error::{Error, Result};
use crate::session::Session;
use crate::tensors::{Tensor, TensorData};

/// The recorded name.
pub(super) const NAME: &str = "greedy_ids";

/// Whether the graph can go on with a prompt by itself.
pub(super) fn writes(session: &Session) -> bool {
    let mut inputs = session.inputs().iter();
    inputs.any(|i| i.name.starts_with("past_key_values."))
        && session.has_input("input_ids")
        && !session.has_input("encoder_hidden_states")
}

/// As many tokens as were recorded. Several rows end as `spec` says and are then filled; a single
/// one goes on, because where its recording was stopped by an end, it is no longer than that.
///
/// # Errors
/// [`Error::Input`] when prompt and recording do not go together; those of [`Decoder`].
pub(super) fn answer(
    session: Session,
    inputs: &BTreeMap<String, Tensor>,
    recorded: &Tensor,
    spec: Option<&GenerateSpec>,
) -> Result<Tensor> {
    let ids = matrix(inputs.get("input_ids"), "input_ids")?;
    let mask = matrix(inputs.get("attention_mask"), "attention_mask").ok();
    let (&[rows, read], &[_, length]) = (&ids.0, &matrix(Some(recorded), NAME)?.0);
    let limit = length.checked_sub(read).filter(|_| rows > 0 && read > 0);
    let Some(limit) = limit else {
        return Err(Error::Input(format!(
            "`{NAME}` is {:?}, expected the {rows}×{read} ids of the prompt and what follows them",
            recorded.shape
        )));
    };
    let mut rules = Rules {
        repetition_penalty: spec.and_then(|spec| spec.repetition_penalty),
        ..Rules::default()
    };
    if let Some(spec) = spec.filter(|_| rows > 1) {
        rules.end_ids.clone_from(&spec.end_ids);
        let filled = spec.pad_id.or(spec.end_ids.first().copied());
        rules.pad_id = filled.unwrap_or_default();
    }
    let prompt = Prompt {
        ids: ids.1,
        mask: mask
            .map(|(_, mask)| mask)
            .filter(|m| m.len() == ids.1.len()),
        rows,
        hidden: None,
    };
    let mut decoder = Decoder::new(session)?;
    let chosen = decoder.greedy(prompt, &rules, limit, &mut Duration::default())?;
    let longest = chosen.iter().map(Vec::len).max().unwrap_or(0);
    let mut found = Vec::new();
    for (read, chosen) in ids.1.chunks(read).zip(&chosen) {
        let pad = std::iter::repeat_n(rules.pad_id, longest - chosen.len());
        found.extend_from_slice(read);
        found.extend(chosen.iter().copied().chain(pad).map(i64::from));
    }
    Tensor::new(vec![rows, read + longest], TensorData::I64(found))
}

/// Shape and values of a tensor of two axes.
fn matrix<'t>(tensor: Option<&'t Tensor>, name: &str) -> Result<([usize; 2], &'t [i64])> {
    match tensor.map(|t| (t.shape.as_slice(), &t.data)) {
        Some((&[rows, columns], TensorData::I64(values))) => Ok(([rows, columns], values)),
        _ => Err(Error::Input(format!("`{name}` is not int64 N×T"))),
    }
}
