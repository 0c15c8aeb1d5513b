//! What `torch.save` writes: a pickle that describes the tensors, and their bytes beside it.
//!
//! | container | since | where the bytes are |
//! |---|---|---|
//! | [`archive`] | 1.6 | members of a zip archive, stored without compression |
//! | [`stream`] | 0.1.12 | behind each other at the end of the file |
//!
//! `save()` of stable-baselines3 puts such a file into an archive of its own, see [`agent`].
//!
//! Both give the same [`Content`], and everything after that is the same: [`tensor`] turns the
//! records of the pickle into tensors that borrow the bytes, [`state_dict`] finds the weights among
//! the values and names them. Sources: PyTorch 2.15, `torch/serialization.py`, `torch/_utils.py`.

mod agent;
mod archive;
mod state_dict;
mod stream;
mod tensor;

use std::collections::HashMap;
use std::path::Path;

use archive::Archive;
use bytes::Bytes;
use serde_json::Value;

use crate::pickle::{Object, Pickle};
use crate::{Error, Tensors};

/// What a file from a big-endian machine is, and what to do.
const BIG_ENDIAN: (&str, &str) = (
    "a PyTorch file with big-endian numbers",
    "save it again on a little-endian machine: torch.save(torch.load(f), g)",
);

/// A file taken apart.
struct Content {
    pickle: Pickle,
    /// The bytes of each storage by its key.
    storages: HashMap<String, Bytes>,
}

/// What a file holds besides its tensors.
#[derive(Debug)]
pub(crate) struct Pickled {
    pub pickle: Pickle,
    /// What stands beside it about the model.
    pub settings: Option<Value>,
    /// The keys that lead from the object to the model, whose tensors these are.
    pub wrappers: Vec<&'static str>,
}

pub(crate) fn read(path: &Path, bytes: &Bytes) -> Result<(Tensors, Pickled), Error> {
    let (content, settings) = unpack(path, bytes)?;
    let Content {
        mut pickle,
        storages,
    } = content;
    // What a record is made from comes before it, so a parameter finds its tensor.
    for item in pickle.heap.items() {
        let Some(record) = pickle.heap.value(item).record() else {
            continue;
        };
        // Those that cannot be had stay records: they matter only if the model needs them.
        if let Some(Ok(tensor)) = tensor::rebuild(record, &storages)
            && let Some(object) = pickle.heap.object_mut(item)
        {
            *object = Object::Tensor(Box::new(tensor));
        }
    }
    let (tensors, wrappers) = state_dict::read(path, pickle.root(), &storages)?;
    let pickled = Pickled {
        pickle,
        settings,
        wrappers,
    };
    Ok((tensors, pickled))
}

fn unpack(path: &Path, bytes: &Bytes) -> Result<(Content, Option<Value>), Error> {
    if !bytes.starts_with(archive::MAGIC) {
        return Ok((stream::read(path, bytes)?, None));
    }
    let mut archive = Archive::open(path, bytes)?;
    let Some(agent) = agent::read(&mut archive)? else {
        return Ok((archive.content()?, None));
    };
    let content = match agent.policy.starts_with(archive::MAGIC) {
        true => Archive::open(path, &agent.policy)?.content()?,
        false => stream::read(path, &agent.policy)?,
    };
    Ok((content, agent.settings))
}

#[cfg(test)]
mod tests;
