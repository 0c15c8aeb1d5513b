//! What `torch.save` writes, through `pytorch-reader`, which builds tensors and executes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use pytorch_reader::PytorchReader;

use crate::{DType, Data, Error, Tensor};

/// Keys under which training scripts nest the state dict beside optimiser state and settings.
const WRAPPERS: [&str; 2] = ["state_dict.", "model_state_dict."];

/// What `torch.nn.DataParallel` puts before every name.
const PARALLEL: &str = "module.";

pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    let reader = PytorchReader::new(path).map_err(|source| Error::Pytorch {
        path: path.into(),
        size_bytes: std::fs::metadata(path).map_or(0, |m| m.len()),
        source: Box::new(source),
    })?;
    let tensors = reader.into_tensors().into_iter().map(|(name, tensor)| {
        let described = Tensor {
            dtype: dtype(tensor.dtype()),
            shape: tensor.shape().to_vec(),
            data: Data::Lazy(tensor),
        };
        (name, described)
    });
    Ok(unwrap(tensors.collect()))
}

/// Keeps the state dict where it is nested, and drops the prefix of parallel training.
fn unwrap<T>(mut tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    for wrapper in WRAPPERS {
        if tensors.keys().any(|name| name.starts_with(wrapper)) {
            tensors.retain(|name, _| name.starts_with(wrapper));
            tensors = strip(tensors, wrapper);
        }
    }
    if tensors.keys().all(|name| name.starts_with(PARALLEL)) {
        tensors = strip(tensors, PARALLEL);
    }
    tensors
}

fn strip<T>(tensors: BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            (
                name.strip_prefix(prefix).unwrap_or(&name).to_owned(),
                tensor,
            )
        })
        .collect()
}

fn dtype(dtype: pytorch_reader::DType) -> DType {
    use pytorch_reader::DType as From;
    match dtype {
        From::F64 => DType::F64,
        From::F32 => DType::F32,
        From::F16 => DType::F16,
        From::BF16 => DType::Bf16,
        From::I64 => DType::I64,
        From::I32 => DType::I32,
        From::I16 => DType::I16,
        From::I8 => DType::I8,
        From::U64 => DType::U64,
        From::U32 => DType::U32,
        From::U16 => DType::U16,
        From::U8 => DType::U8,
        From::Bool => DType::Bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off() {
        struct Case {
            name: &'static str,
            from: &'static [&'static str],
            to: &'static [&'static str],
        }
        let cases = [
            Case {
                name: "plain",
                from: &["a.weight", "module.b"],
                to: &["a.weight", "module.b"],
            },
            Case {
                name: "training checkpoint",
                from: &["optimizer.state.0.exp_avg", "state_dict.a.weight"],
                to: &["a.weight"],
            },
            Case {
                name: "parallel training",
                from: &["module.a", "module.b"],
                to: &["a", "b"],
            },
            Case {
                name: "both",
                from: &["epoch", "state_dict.module.a"],
                to: &["a"],
            },
        ];
        for case in cases {
            let tensors = case
                .from
                .iter()
                .map(|name| (name.to_string(), ()))
                .collect();
            let names: Vec<_> = unwrap(tensors).into_keys().collect();
            assert_eq!(names, case.to, "{}", case.name);
        }
    }
}
