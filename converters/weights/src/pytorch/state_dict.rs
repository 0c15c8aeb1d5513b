//! Finds the weights among the values of a checkpoint, and names them as `state_dict()` does.
//!
//! 1. Training scripts keep the weights beside the optimiser and settings. Where the object is a
//!    dictionary, the first of [`WRAPPERS`] under which there are tensors is the model, and the rest
//!    is left out; and again inside that.
//! 2. A module (`torch.save(model, f)`) gives its parameters and persistent buffers under the names
//!    of `state_dict()`. A dictionary, list or tuple gives the tensors in it; keys and indexes are
//!    joined by dots. Other objects give nothing.
//! 3. A prefix of [`PREFIXES`] that all names have is taken off.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

use super::tensor;
use crate::pickle::{Dict, List, Record, Value};
use crate::{Error, Tensors, limits};

/// Keys under which weights are kept, and by whom; those of an averaged model, which is the one to
/// deploy, before those of the last step.
const WRAPPERS: [&str; 10] = [
    "state_dict_ema",   // timm
    "state_dict",       // Lightning, timm and most scripts
    "model_state_dict", // PyTorch's tutorial
    "ema",              // ultralytics, while training
    "model",            // ultralytics, torchvision, YOLOX
    "module",           // DeepSpeed
    "net",
    "policy",     // stable-baselines3
    "params_ema", // BasicSR
    "params",
];

/// How often one is taken off.
const WRAPPED: usize = 4;

/// What `DataParallel` and `torch.compile` put before every name.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

/// The name of a tensor that is alone in its file.
const ALONE: &str = "tensor";

/// The weights by name, and the wrappers around them, the outermost first.
pub(super) fn read(
    path: &Path,
    root: Value<'_>,
    storages: &HashMap<String, Bytes>,
) -> Result<(Tensors, Vec<&'static str>), Error> {
    let mut search = Search {
        path,
        storages,
        tensors: Tensors::new(),
        steps: 0,
    };
    let mut model = root;
    let mut wrappers = Vec::new();
    for _ in 0..WRAPPED {
        match search.unwrapped(model)? {
            Some((wrapper, inner)) => {
                wrappers.push(wrapper);
                model = inner;
            }
            None => break,
        }
    }
    let mut tensors = search.tensors_in(model)?;
    while let Some(prefix) = PREFIXES
        .iter()
        .find(|prefix| !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(**prefix)))
    {
        tensors = tensors
            .into_iter()
            .map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor))
            .collect();
    }
    Ok((tensors, wrappers))
}

struct Search<'a> {
    path: &'a Path,
    storages: &'a HashMap<String, Bytes>,
    tensors: Tensors,
    /// What it cost so far.
    steps: usize,
}

impl Search<'_> {
    /// The first wrapper with tensors, and what is under it.
    fn unwrapped<'v>(
        &mut self,
        value: Value<'v>,
    ) -> Result<Option<(&'static str, Value<'v>)>, Error> {
        let Some(dict) = value.dict() else {
            return Ok(None);
        };
        for wrapper in WRAPPERS {
            self.spend(dict.len())?;
            let Some(inner) = dict.get(wrapper) else {
                continue;
            };
            // A parameter of that name is a weight, not a wrapper.
            if inner.tensor().is_none() && !self.tensors_in(inner)?.is_empty() {
                return Ok(Some((wrapper, inner)));
            }
        }
        Ok(None)
    }

    fn tensors_in(&mut self, value: Value<'_>) -> Result<Tensors, Error> {
        match value {
            Value::Tensor(tensor) => Ok(Tensors::from([(ALONE.to_owned(), tensor.clone())])),
            _ => {
                self.value(value, &mut String::new(), 0)?;
                Ok(std::mem::take(&mut self.tensors))
            }
        }
    }

    fn value(&mut self, value: Value<'_>, name: &mut String, depth: usize) -> Result<(), Error> {
        self.spend(name.len() + 1)?;
        if depth > limits::DEPTH {
            return Err(self.limit("modules or dictionaries inside each other", limits::DEPTH));
        }
        match value {
            Value::Tensor(tensor) => {
                self.tensors.insert(name.clone(), tensor.clone());
                Ok(())
            }
            Value::Record(record) => {
                // It would be a tensor by now if it could be had.
                if let Some(Err(reason)) = tensor::rebuild(record, self.storages) {
                    return Err(reason.of_tensor(self.path, name));
                }
                // Each attribute that makes a module is looked for.
                self.spend(4 * record.attribute_count())?;
                match Module::of(record) {
                    Some(module) => self.module(module, name, depth),
                    None => self.entries(record.entries(), name, depth),
                }
            }
            Value::Dict(dict) => self.entries(dict, name, depth),
            Value::List(list) | Value::Tuple(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.inside(value, name, &index.to_string(), depth)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn entries(&mut self, dict: Dict<'_>, name: &mut String, depth: usize) -> Result<(), Error> {
        for (key, value) in dict.iter() {
            match key {
                Value::Text(key) => self.inside(value, name, key, depth)?,
                Value::Int(key) => self.inside(value, name, &key.to_string(), depth)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn module(&mut self, module: Module<'_>, name: &mut String, depth: usize) -> Result<(), Error> {
        self.entries(module.parameters, name, depth)?;
        for (key, value) in module.buffers.into_iter().flat_map(Dict::iter) {
            let Value::Text(key) = key else { continue };
            self.spend(module.transient.map_or(0, |names| names.len()))?;
            let mut transient = module.transient.into_iter().flat_map(|names| names.iter());
            if !transient.any(|name| name.text() == Some(key)) {
                self.inside(value, name, key, depth)?;
            }
        }
        self.entries(module.modules, name, depth)
    }

    /// One that is inside what has this name.
    fn inside(
        &mut self,
        value: Value<'_>,
        name: &mut String,
        key: &str,
        depth: usize,
    ) -> Result<(), Error> {
        self.spend(1)?;
        if !matches!(
            value,
            Value::Tensor(_) | Value::Record(_) | Value::Dict(_) | Value::List(_) | Value::Tuple(_)
        ) {
            return Ok(());
        }
        let outer = name.len();
        if outer > 0 {
            name.push('.');
        }
        name.push_str(key);
        self.value(value, name, depth + 1)?;
        name.truncate(outer);
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), Error> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > limits::SEARCH {
            true => Err(self.limit("steps to find the tensors", limits::SEARCH)),
            false => Ok(()),
        }
    }

    fn limit(&self, what: &'static str, limit: usize) -> Error {
        Error::Limit {
            path: self.path.into(),
            what,
            limit,
        }
    }
}

/// A `torch.nn.Module`, recognised by its attributes, whatever its class.
struct Module<'a> {
    parameters: Dict<'a>,
    buffers: Option<Dict<'a>>,
    modules: Dict<'a>,
    /// Names of buffers that `state_dict()` leaves out.
    transient: Option<List<'a>>,
}

impl<'a> Module<'a> {
    fn of(record: Record<'a>) -> Option<Self> {
        let dict = |name| record.attribute(name)?.dict();
        Some(Self {
            parameters: dict("_parameters")?,
            modules: dict("_modules")?,
            buffers: dict("_buffers"),
            transient: record
                .attribute("_non_persistent_buffers_set")
                .and_then(Value::list),
        })
    }
}
