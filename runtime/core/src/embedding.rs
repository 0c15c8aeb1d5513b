//! Vectors of any input: what embedding tasks share.

use bevel_manifest::{EmbedSpec, Pooling};
use bevel_prep::text::{mean, mean_pool, normalize};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::pipeline::Outputs;

/// The vector of one text or picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Embedding {
    /// D values; of length 1 where the bundle says `normalize`.
    pub embedding: Vec<f32>,
}

/// One vector an item, from `last_hidden_state` N×T×D or from the graph's first output N×D. `mask` is
/// N×T; without it every token counts.
///
/// # Errors
/// [`Error::Unsupported`] when the output has another name or shape.
pub(crate) fn embeddings(
    spec: &EmbedSpec,
    outputs: &Outputs<'_>,
    items: usize,
    mask: Option<&[i64]>,
) -> Result<Vec<Embedding>> {
    let (output, rank) = match spec.pooling {
        Pooling::Graph => (outputs.first_f32()?, 2),
        Pooling::Mean | Pooling::Cls => (outputs.f32("last_hidden_state")?, 3),
    };
    let unexpected = || {
        Error::Unsupported(format!(
            "the vectors have shape {:?} for {items} inputs of {} tokens, expected {}",
            output.shape(),
            mask.map_or(0, |mask| mask.len() / items.max(1)),
            if rank == 2 { "N×D" } else { "N×T×D" }
        ))
    };
    let (n, t, d) = match *output.shape() {
        [n, d] if rank == 2 => (n, 1, d),
        [n, t, d] if rank == 3 => (n, t, d),
        _ => return Err(unexpected()),
    };
    let counts = rank == 2 || mask.is_none_or(|mask| mask.len() == n * t);
    let (Some(values), true) = (output.as_slice(), n == items && t * d > 0 && counts) else {
        return Err(unexpected());
    };
    let rows = values.chunks_exact(t * d).enumerate();
    Ok(rows
        .map(|(i, hidden)| {
            let mut embedding = vec![0.0; d];
            match spec.pooling {
                Pooling::Mean => match mask.and_then(|mask| mask.get(i * t..(i + 1) * t)) {
                    Some(mask) => mean_pool(hidden, mask, &mut embedding),
                    None => mean(hidden, &mut embedding),
                },
                Pooling::Cls | Pooling::Graph => embedding.copy_from_slice(&hidden[..d]),
            }
            if spec.normalize {
                normalize(&mut embedding);
            }
            Embedding { embedding }
        })
        .collect())
}
