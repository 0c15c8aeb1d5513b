//! Inputs that the contract lets a caller leave out, and the value they then have.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::session::TensorInfo;
use crate::tensors::{Tensor, TensorData};

/// Inputs whose length in tokens, samples or frames others follow, with the axis of that length.
const LEADERS: [(&str, usize); 3] = [("input_ids", 1), ("input_values", 1), ("inputs_embeds", 1)];

/// Names and what they are filled with.
#[derive(Clone, Copy)]
enum Natural {
    /// N×H×0×K, H and K from the graph.
    EmptyCache,
    /// N×T of ones, T that of the leader.
    Ones,
    /// N×S of ones, S the length of `encoder_hidden_states`.
    OnesOfEncoder,
    /// 0 .. T in each of N rows.
    Positions,
    /// N×T of zeros.
    Zeros,
    /// One `false`: no cache yet.
    No,
}

fn kind(name: &str) -> Option<Natural> {
    Some(match name {
        "attention_mask" => Natural::Ones,
        "encoder_attention_mask" => Natural::OnesOfEncoder,
        "position_ids" => Natural::Positions,
        "token_type_ids" => Natural::Zeros,
        "use_cache_branch" => Natural::No,
        _ if name.starts_with("past_key_values.") => Natural::EmptyCache,
        _ => return None,
    })
}

/// Whether an input of this name may be left out.
pub(super) fn has(name: &str) -> bool {
    kind(name).is_some()
}

/// The value of an input that is not given; `None` for one that must be, or while what it follows is
/// not given.
pub(super) fn value(info: &TensorInfo, given: &BTreeMap<String, Tensor>) -> Result<Option<Tensor>> {
    let Some(kind) = kind(&info.name) else {
        return Ok(None);
    };
    let length = |(name, axis): &(&str, usize)| {
        let shape = &given.get(*name)?.shape;
        Some([*shape.first()?, *shape.get(*axis)?])
    };
    let led = || LEADERS.iter().find_map(length);
    let fill = |size: Option<[usize; 2]>, value: fn(usize) -> i64| {
        let Some([n, t]) = size else {
            return Ok(None);
        };
        let values = (0..n * t).map(|i| value(i % t)).collect();
        Tensor::new(vec![n, t], TensorData::I64(values)).map(Some)
    };
    match kind {
        Natural::Ones => fill(led(), |_| 1),
        Natural::OnesOfEncoder => fill(length(&("encoder_hidden_states", 1)), |_| 1),
        Natural::Positions => fill(led(), |t| t as i64),
        Natural::Zeros => fill(led(), |_| 0),
        Natural::No => Tensor::new(vec![1], TensorData::Bool(vec![false])).map(Some),
        Natural::EmptyCache => {
            let [Some(heads), None, Some(width)] = info.shape.get(1..).unwrap_or_default() else {
                return Err(Error::Input(format!(
                    "input `{}` is {}, expected [N, H, ?, K]",
                    info.name,
                    info.shape_text()
                )));
            };
            let Some([n, _]) = led() else {
                return Ok(None);
            };
            let shape = vec![n, *heads, 0, *width];
            Tensor::new(shape, TensorData::F32(Vec::new())).map(Some)
        }
    }
}
