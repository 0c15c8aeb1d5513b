//! Tensors as JSON: an object with one entry an input, or what the only input takes by itself.
//!
//! A tensor is lists inside each other, `[[1, 2], [3, 4]]`, a number, or what `--json` writes of an
//! output: `{"shape": [2, 2], "data": [1, 2, 3, 4]}`, row-major.

use serde_json::{Map, Value};

use super::{Named, ONLY, Tensor, TensorData};
use crate::error::{Error, Result};

/// Reads named tensors. Whole numbers are int64, all others float64: what the graph takes is decided
/// when it runs.
///
/// # Errors
/// [`Error::Input`] for what is no JSON, for lists of several lengths, and for anything in them but
/// numbers, or `true` and `false`.
///
/// ```
/// let inputs = bevel::tensors::from_json(r#"{"user": [3], "series": [[0.5, 1]]}"#)?;
/// assert_eq!(inputs["series"].shape, [1, 2]);
/// # Ok::<(), bevel::Error>(())
/// ```
pub fn from_json(text: &str) -> Result<Named> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| Error::Input(format!("not JSON: {error}")))?;
    match &value {
        Value::Object(entries) if !is_tensor(entries) => {
            let read = |(name, value): (&String, &Value)| Ok((name.clone(), tensor(name, value)?));
            entries.iter().map(read).collect()
        }
        _ => Ok(Named::from([(ONLY.to_owned(), tensor(ONLY, &value)?)])),
    }
}

fn is_tensor(entries: &Map<String, Value>) -> bool {
    entries.contains_key("shape") && entries.contains_key("data")
}

fn tensor(name: &str, value: &Value) -> Result<Tensor> {
    let wrong = |what: String| {
        let name = match name {
            ONLY => "the input".to_owned(),
            name => format!("input `{name}`"),
        };
        Error::Input(format!("{name}: {what}"))
    };
    let (shape, value) = match value {
        Value::Object(entries) if is_tensor(entries) => {
            let size = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
            let shape = entries["shape"].as_array();
            let shape = shape.and_then(|shape| shape.iter().map(size).collect());
            let shape: Vec<usize> =
                shape.ok_or_else(|| wrong("`shape` is no list of sizes".into()))?;
            (Some(shape), &entries["data"])
        }
        value => (None, value),
    };
    let mut grid = Grid::default();
    grid.add(value, 0).map_err(wrong)?;
    let shape = match (shape, grid.shape.as_slice()) {
        (None, found) => found.to_vec(),
        (Some(shape), [_]) => shape,
        (Some(_), _) => return Err(wrong("`data` is no list of numbers".into())),
    };
    let data = match (grid.numbers, grid.booleans) {
        (numbers, booleans) if booleans.is_empty() => numbers.data(),
        (numbers, booleans) if numbers.count() == 0 => TensorData::Bool(booleans),
        _ => return Err(wrong("numbers beside true and false".into())),
    };
    Tensor::new(shape, data).map_err(|error| wrong(error.to_string()))
}

/// What lists inside each other hold.
#[derive(Default)]
struct Grid {
    /// The length of the first list of each depth.
    shape: Vec<usize>,
    /// Whether the innermost depth has been reached.
    closed: bool,
    numbers: Numbers,
    booleans: Vec<bool>,
}

impl Grid {
    fn add(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        match value {
            Value::Array(items) => {
                match self.shape.get(depth) {
                    Some(length) if *length == items.len() => {}
                    Some(length) => {
                        return Err(format!(
                            "ragged lists: one of {} values beside one of {length}",
                            items.len()
                        ));
                    }
                    None if self.closed => return Err("a list beside a number".into()),
                    None => self.shape.push(items.len()),
                }
                items.iter().try_for_each(|item| self.add(item, depth + 1))
            }
            _ if depth < self.shape.len() => Err("a number beside a list".into()),
            value => {
                self.closed = true;
                match value {
                    Value::Bool(value) => self.booleans.push(*value),
                    Value::Number(number) => self.numbers.push(number)?,
                    Value::Null => return Err("null is no number".into()),
                    Value::String(text) => return Err(format!("\"{text}\" is no number")),
                    _ => return Err("an object is no number".into()),
                }
                Ok(())
            }
        }
    }
}

/// Whole numbers, until one comes that is not.
enum Numbers {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Whole(Vec::new())
    }
}

impl Numbers {
    fn push(&mut self, number: &serde_json::Number) -> Result<(), String> {
        if let (Self::Whole(whole), Some(number)) = (&mut *self, number.as_i64()) {
            whole.push(number);
            return Ok(());
        }
        if number.is_u64() && matches!(self, Self::Whole(_)) && number.as_i64().is_none() {
            return Err(format!("{number} is beyond int64"));
        }
        if let Self::Whole(whole) = self {
            *self = Self::Real(whole.iter().map(|n| *n as f64).collect());
        }
        if let Self::Real(real) = self {
            real.push(number.as_f64().unwrap_or(f64::NAN));
        }
        Ok(())
    }

    fn count(&self) -> usize {
        match self {
            Self::Whole(whole) => whole.len(),
            Self::Real(real) => real.len(),
        }
    }

    fn data(self) -> TensorData {
        match self {
            Self::Whole(whole) => TensorData::I64(whole),
            Self::Real(real) => TensorData::F64(real),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_tensors_or_a_clear_error() {
        struct Case {
            text: &'static str,
            expected: Result<(&'static [usize], TensorData), &'static str>,
        }
        let cases = [
            Case {
                text: "[[1, 2, 3], [4, 5, 6]]",
                expected: Ok((&[2, 3], TensorData::I64(vec![1, 2, 3, 4, 5, 6]))),
            },
            Case {
                text: "{\"x\": [1, 2.5]}",
                expected: Ok((&[2], TensorData::F64(vec![1.0, 2.5]))),
            },
            Case {
                text: "{\"x\": {\"dtype\": \"bool\", \"shape\": [1, 2], \"data\": [true, false]}}",
                expected: Ok((&[1, 2], TensorData::Bool(vec![true, false]))),
            },
            Case {
                text: "7",
                expected: Ok((&[], TensorData::I64(vec![7]))),
            },
            Case {
                text: "[]",
                expected: Ok((&[0], TensorData::I64(vec![]))),
            },
            Case {
                text: "[[1, 2], [3]]",
                expected: Err("the input: ragged lists: one of 1 values beside one of 2"),
            },
            Case {
                text: "{\"x\": [1, [2]]}",
                expected: Err("input `x`: a list beside a number"),
            },
            Case {
                text: "{\"x\": [[2], 1]}",
                expected: Err("input `x`: a number beside a list"),
            },
            Case {
                text: "[[], [1]]",
                expected: Err("ragged"),
            },
            Case {
                text: "[1, null]",
                expected: Err("null is no number"),
            },
            Case {
                text: "[\"a\"]",
                expected: Err("\"a\" is no number"),
            },
            Case {
                text: "[1, true]",
                expected: Err("numbers beside true and false"),
            },
            Case {
                text: "[18446744073709551615]",
                expected: Err("beyond int64"),
            },
            Case {
                text: "{\"shape\": [3], \"data\": [1, 2]}",
                expected: Err("2 values do not fill a tensor of shape [3]"),
            },
            Case {
                text: "{\"shape\": [4294967296, 4294967296], \"data\": [1]}",
                expected: Err("do not fill"),
            },
            Case {
                text: "[1, NaN]",
                expected: Err("not JSON"),
            },
            Case {
                text: "",
                expected: Err("not JSON"),
            },
        ];
        for case in cases {
            match (from_json(case.text), case.expected) {
                (Ok(found), Ok((shape, data))) => {
                    let found = found.values().next().unwrap();
                    assert_eq!(
                        (found.shape.as_slice(), &found.data),
                        (shape, &data),
                        "{}",
                        case.text
                    );
                }
                (Err(error), Err(says)) => {
                    assert!(error.to_string().contains(says), "{}: {error}", case.text);
                }
                (found, _) => panic!("{}: {found:?}", case.text),
            }
        }
    }
}
