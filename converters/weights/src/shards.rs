//! `*.index.json` of Hugging Face libraries: `{"weight_map": {"tensor": "shard file", …}}`. The shards,
//! of safetensors or PyTorch, stand beside the index.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use crate::sniff::{Format, sniff};
use crate::{Error, Tensors, map, pytorch, safetensors};

pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Tensors, Error> {
    let wrong = |what: String| Error::Index {
        path: path.into(),
        what,
    };
    let index: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    let map = index
        .get("weight_map")
        .and_then(|map| map.as_object())
        .ok_or_else(|| wrong("it has no `weight_map`".into()))?;
    let shards: BTreeSet<&str> = map.values().filter_map(|v| v.as_str()).collect();
    let mut tensors = Tensors::new();
    for shard in shards {
        let mut parts = Path::new(shard).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(wrong(format!("shard `{shard}` is not a file beside it")));
        }
        let file = path.with_file_name(shard);
        let bytes = map::map(&file)?;
        tensors.extend(match sniff(&file, &bytes)? {
            Format::Safetensors => safetensors::read(&file, &bytes)?,
            Format::Pytorch => pytorch::read(&file, &bytes)?.0,
            _ => {
                let what = format!("shard `{shard}` is neither safetensors nor PyTorch");
                return Err(wrong(what));
            }
        });
    }
    match map.keys().find(|name| !tensors.contains_key(*name)) {
        Some(name) => Err(wrong(format!("no shard holds tensor `{name}`"))),
        None => Ok(tensors),
    }
}
