//! What `save()` of stable-baselines3 writes (2.9, `common/save_util.py`): a zip archive, mostly without
//! compression.
//!
//! | member | holds |
//! |---|---|
//! | `policy.pth` | the checkpoint of the policy, of `torch.save` |
//! | `data` | JSON: the arguments of the algorithm, also `policy_kwargs` with the names of classes |
//! | `policy.optimizer.pth`, `pytorch_variables.pth`, … | what goes on training |

use bytes::Bytes;
use serde_json::Value;

use super::archive::Archive;
use crate::{Error, limits};

pub(super) struct Agent {
    /// The checkpoint inside.
    pub policy: Bytes,
    /// `data`. Python writes numbers that are not finite in a way that is no JSON: then it is left out.
    pub settings: Option<Value>,
}

/// `None` for an archive of another kind.
pub(super) fn read(archive: &mut Archive<'_>) -> Result<Option<Agent>, Error> {
    // Only what is unpacked needs memory of its own.
    let policy = match archive.stored("policy.pth") {
        Some(policy) => policy,
        None => match archive.member("policy.pth", limits::UNPACKED_BYTES)? {
            Some(policy) => policy,
            None => return Ok(None),
        },
    };
    let data = archive.member("data", limits::SETTINGS_BYTES)?;
    Ok(Some(Agent {
        policy,
        settings: data.and_then(|data| serde_json::from_slice(&data).ok()),
    }))
}
