//! From what a caller has to what a graph takes.
//!
//! | given | taken |
//! |---|---|
//! | float64, float32 and all integers | float32, float64, float16, where the value is in their range |
//! | all integers | int64, int32, int8, uint8, where the value is in their range |
//! | bool | bool |

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Named, ONLY, Tensor, TensorData};
use crate::error::{Error, Result};
use crate::session::{Session, TensorInfo};

/// Tensors under the names of the graph's inputs, in the types of these. What is missing or left over
/// is for the graph to say.
pub(super) fn fit<'t>(
    session: &Session,
    given: &'t Named,
) -> Result<BTreeMap<String, Cow<'t, Tensor>>> {
    let inputs = session.inputs();
    let mut fitted = BTreeMap::new();
    for (name, tensor) in given {
        let info = match (name.as_str(), inputs) {
            (ONLY, [only]) => Some(only),
            (ONLY, _) => {
                let what = "the graph has several inputs, name what they take: ";
                return Err(Error::Input(format!("{what}{}", session.inputs_text())));
            }
            (name, inputs) => inputs.iter().find(|info| info.name == name),
        };
        let (name, tensor) = match info {
            Some(info) => (info.name.clone(), cast(tensor, info)?),
            None => (name.clone(), Cow::Borrowed(tensor)),
        };
        if let Some(0) = tensor.shape.first() {
            let what = format!("input `{name}` is empty: its shape is {:?}", tensor.shape);
            return Err(Error::Input(what));
        }
        fitted.insert(name, tensor);
    }
    Ok(fitted)
}

fn cast<'t>(tensor: &'t Tensor, info: &TensorInfo) -> Result<Cow<'t, Tensor>> {
    let (from, to) = (tensor.data.dtype(), info.dtype);
    let data = match (&tensor.data, to) {
        _ if from == to => return Ok(Cow::Borrowed(tensor)),
        (TensorData::Bool(_), _) => None,
        (data, "float32" | "float16") => {
            let values = data.to_f64();
            let most = match to {
                "float16" => f64::from(half::f16::MAX),
                _ => f64::from(f32::MAX),
            };
            if let Some(x) = values.iter().find(|x| x.is_finite() && x.abs() > most) {
                return Err(outside(info, x));
            }
            let narrow = values.iter().map(|x| *x as f32).collect();
            Some(TensorData::F32(narrow))
        }
        (data, "float64") => Some(TensorData::F64(data.to_f64())),
        (data, "int64") => integers(data).map(TensorData::I64),
        (data, "int32") => narrowed(data, info)?.map(TensorData::I32),
        (data, "int8") => narrowed(data, info)?.map(TensorData::I8),
        (data, "uint8") => narrowed(data, info)?.map(TensorData::U8),
        _ => None,
    };
    let data = data.ok_or_else(|| {
        let name = &info.name;
        Error::Input(format!("input `{name}` is {from}, the graph asks for {to}"))
    })?;
    Ok(Cow::Owned(Tensor::new(tensor.shape.clone(), data)?))
}

/// The values of an integer type.
fn integers(data: &TensorData) -> Option<Vec<i64>> {
    Some(match data {
        TensorData::I64(v) => v.clone(),
        TensorData::I32(v) => v.iter().map(|x| i64::from(*x)).collect(),
        TensorData::I8(v) => v.iter().map(|x| i64::from(*x)).collect(),
        TensorData::U8(v) => v.iter().map(|x| i64::from(*x)).collect(),
        TensorData::F32(_) | TensorData::F64(_) | TensorData::Bool(_) => return None,
    })
}

fn narrowed<T: TryFrom<i64>>(data: &TensorData, info: &TensorInfo) -> Result<Option<Vec<T>>> {
    let Some(values) = integers(data) else {
        return Ok(None);
    };
    let narrow = |x: i64| T::try_from(x).map_err(|_| outside(info, &x));
    values
        .into_iter()
        .map(narrow)
        .collect::<Result<_>>()
        .map(Some)
}

fn outside(info: &TensorInfo, value: &dyn std::fmt::Display) -> Error {
    let (name, dtype) = (&info.name, info.dtype);
    Error::Input(format!(
        "input `{name}`: {value} is outside {dtype}, which the graph asks for"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_or_refused() {
        struct Case {
            name: &'static str,
            given: TensorData,
            dtype: &'static str,
            expected: Result<TensorData, &'static str>,
        }
        let cases = [
            Case {
                name: "whole numbers for floats",
                given: TensorData::I64(vec![1, -2]),
                dtype: "float32",
                expected: Ok(TensorData::F32(vec![1.0, -2.0])),
            },
            Case {
                name: "float64 for float32",
                given: TensorData::F64(vec![0.1, f64::INFINITY]),
                dtype: "float32",
                expected: Ok(TensorData::F32(vec![0.1, f32::INFINITY])),
            },
            Case {
                name: "beyond float32",
                given: TensorData::F64(vec![1e300]),
                dtype: "float32",
                expected: Err("outside float32"),
            },
            Case {
                name: "beyond float16",
                given: TensorData::F32(vec![1.0, 65536.0]),
                dtype: "float16",
                expected: Err("65536 is outside float16"),
            },
            Case {
                name: "floats for whole numbers",
                given: TensorData::F64(vec![1.0]),
                dtype: "int64",
                expected: Err("input `x` is float64, the graph asks for int64"),
            },
            Case {
                name: "wider",
                given: TensorData::U8(vec![255]),
                dtype: "int64",
                expected: Ok(TensorData::I64(vec![255])),
            },
            Case {
                name: "narrower",
                given: TensorData::I64(vec![255]),
                dtype: "uint8",
                expected: Ok(TensorData::U8(vec![255])),
            },
            Case {
                name: "too narrow",
                given: TensorData::I64(vec![-1]),
                dtype: "uint8",
                expected: Err("-1 is outside uint8"),
            },
            Case {
                name: "truths for numbers",
                given: TensorData::Bool(vec![true]),
                dtype: "float32",
                expected: Err("is bool"),
            },
            Case {
                name: "numbers for truths",
                given: TensorData::I64(vec![1]),
                dtype: "bool",
                expected: Err("asks for bool"),
            },
        ];
        for case in cases {
            let tensor = Tensor::new(vec![case.given.len()], case.given).unwrap();
            let info = TensorInfo {
                name: "x".into(),
                dtype: case.dtype,
                shape: vec![None],
            };
            match (cast(&tensor, &info), case.expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.data, expected, "{}", case.name),
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{}: {error}", case.name);
                }
                (found, _) => panic!("{}: {found:?}", case.name),
            }
        }
    }
}
