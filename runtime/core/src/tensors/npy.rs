//! NumPy's `.npy` (`numpy/lib/format.py`, versions 1 to 3): one array behind a header that is written as a
//! Python dictionary, `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
//!
//! Read here and not by one of the crates for it, which bring a parser generator and assembly along for
//! this one line.

use super::{Tensor, TensorData};

/// What every such file starts with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads an array. What it claims to hold must be there, so a small file stays small.
pub(super) fn read(bytes: &[u8]) -> Result<Tensor, String> {
    let cut_off = || "cut off in its header".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or("no NPY file")?;
    let [version, _, rest @ ..] = rest else {
        return Err(cut_off());
    };
    let (length, rest) = match (version, rest) {
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        (1..=3, _) => return Err(cut_off()),
        (version, _) => return Err(format!("NPY version {version} is not known, 1 to 3 are")),
    };
    let (header, values) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let value = |key: &str| {
        let (_, value) = header.split_once(&format!("'{key}':"))?;
        Some(value.trim_start())
    };
    let lacks = |key: &str| format!("its header has no usable `{key}`: {}", header.trim());

    let kind = value("descr").and_then(|v| v.strip_prefix('\'')?.split_once('\''));
    let (kind, _) = kind.ok_or_else(|| lacks("descr"))?;
    let order = value("fortran_order").ok_or_else(|| lacks("fortran_order"))?;
    let fortran = order.starts_with("True");
    let shape = value("shape").and_then(|v| v.strip_prefix('(')?.split_once(')'));
    let (shape, _) = shape.ok_or_else(|| lacks("shape"))?;
    let sizes = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    let shape: Result<Vec<usize>, _> = sizes.map(str::parse).collect();
    let shape = shape.map_err(|_| lacks("shape"))?;

    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let size = kind.get(2..).and_then(|size| size.parse::<usize>().ok());
    let expected = count.zip(size).and_then(|(n, size)| n.checked_mul(size));
    if size.is_some() && expected != Some(values.len()) {
        let (held, says) = (
            values.len(),
            expected.map_or("more".into(), |n| n.to_string()),
        );
        return Err(format!(
            "it holds {held} bytes of values, shape {shape:?} of {kind} needs {says}"
        ));
    }
    let data = data(kind, values)?;
    let data = match fortran && shape.len() > 1 {
        true => reordered(data, &shape),
        false => data,
    };
    Tensor::new(shape, data).map_err(|error| error.to_string())
}

/// Values of `<f4`, `>i8`, `|b1` and the like; integers that tensors lack are widened.
fn data(kind: &str, bytes: &[u8]) -> Result<TensorData, String> {
    let big = kind.starts_with('>');
    macro_rules! values {
        ($t:ty) => {{
            let chunks = bytes.chunks_exact(size_of::<$t>());
            chunks.map(|chunk| {
                let chunk = chunk.try_into().unwrap_or_default();
                match big {
                    true => <$t>::from_be_bytes(chunk),
                    false => <$t>::from_le_bytes(chunk),
                }
            })
        }};
    }
    Ok(match kind.get(1..).unwrap_or_default() {
        "f2" => TensorData::F32(
            values!(u16)
                .map(|b| half::f16::from_bits(b).to_f32())
                .collect(),
        ),
        "f4" => TensorData::F32(values!(f32).collect()),
        "f8" => TensorData::F64(values!(f64).collect()),
        "i1" => TensorData::I8(values!(i8).collect()),
        "i2" => TensorData::I32(values!(i16).map(i32::from).collect()),
        "i4" => TensorData::I32(values!(i32).collect()),
        "i8" => TensorData::I64(values!(i64).collect()),
        "u1" => TensorData::U8(bytes.to_vec()),
        "u2" => TensorData::I32(values!(u16).map(i32::from).collect()),
        "u4" => TensorData::I64(values!(u32).map(i64::from).collect()),
        "b1" => TensorData::Bool(bytes.iter().map(|b| *b != 0).collect()),
        _ => {
            return Err(format!(
                "arrays of `{kind}` are not read; save it as float32 or int64"
            ));
        }
    })
}

/// Columns before rows to rows before columns.
fn reordered(data: TensorData, shape: &[usize]) -> TensorData {
    // An axis of one value moves nothing, and a header may claim any number of them.
    let axes: Vec<usize> = shape.iter().copied().filter(|size| *size != 1).collect();
    // Where a value of the row-major order lies: the first axis moves fastest in the file.
    let strides: Vec<usize> = axes
        .iter()
        .scan(1, |stride, size| {
            Some(std::mem::replace(stride, *stride * size))
        })
        .collect();
    let place = |mut index: usize| {
        let mut place = 0;
        for (size, stride) in axes.iter().zip(&strides).rev() {
            place += index % size * stride;
            index /= size;
        }
        place
    };
    macro_rules! reorder {
        ($kind:ident, $values:expr) => {
            TensorData::$kind((0..$values.len()).map(|i| $values[place(i)]).collect())
        };
    }
    match data {
        TensorData::F32(v) => reorder!(F32, v),
        TensorData::F64(v) => reorder!(F64, v),
        TensorData::I64(v) => reorder!(I64, v),
        TensorData::I32(v) => reorder!(I32, v),
        TensorData::I8(v) => reorder!(I8, v),
        TensorData::U8(v) => reorder!(U8, v),
        TensorData::Bool(v) => reorder!(Bool, v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), values].concat()
    }

    fn header(kind: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}   \n")
    }

    #[test]
    fn arrays_are_read_in_every_order_and_type() {
        struct Case {
            name: &'static str,
            header: String,
            values: Vec<u8>,
            expected: Result<(&'static [usize], TensorData), &'static str>,
        }
        let i32s = |to: fn(i32) -> [u8; 4]| (0..6).flat_map(to).collect::<Vec<u8>>();
        let cases = [
            Case {
                name: "rows first",
                header: header("<i4", "False", "(2, 3)"),
                values: i32s(i32::to_le_bytes),
                expected: Ok((&[2, 3], TensorData::I32(vec![0, 1, 2, 3, 4, 5]))),
            },
            Case {
                name: "columns first",
                header: header("<i4", "True", "(2, 3)"),
                values: i32s(i32::to_le_bytes),
                expected: Ok((&[2, 3], TensorData::I32(vec![0, 2, 4, 1, 3, 5]))),
            },
            // numpy: arange(6).reshape((3, 1, 2), order="F").ravel()
            Case {
                name: "columns first, three axes",
                header: header("<i4", "True", "(3, 1, 2)"),
                values: i32s(i32::to_le_bytes),
                expected: Ok((&[3, 1, 2], TensorData::I32(vec![0, 3, 1, 4, 2, 5]))),
            },
            Case {
                name: "big-endian",
                header: header(">i4", "False", "(6,)"),
                values: i32s(i32::to_be_bytes),
                expected: Ok((&[6], TensorData::I32(vec![0, 1, 2, 3, 4, 5]))),
            },
            Case {
                name: "half a float",
                header: header("<f2", "False", "()"),
                values: vec![0, 0x3c],
                expected: Ok((&[], TensorData::F32(vec![1.0]))),
            },
            Case {
                name: "truths",
                header: header("|b1", "False", "(2,)"),
                values: vec![0, 1],
                expected: Ok((&[2], TensorData::Bool(vec![false, true]))),
            },
            Case {
                name: "nothing in it",
                header: header("<f4", "False", "(0, 3)"),
                values: vec![],
                expected: Ok((&[0, 3], TensorData::F32(vec![]))),
            },
            Case {
                name: "a claim",
                header: header("<f8", "False", "(1000000, 1000000)"),
                values: vec![0; 8],
                expected: Err("holds 8 bytes of values"),
            },
            Case {
                name: "a claim beyond all numbers",
                header: header("<f8", "False", "(4294967296, 4294967296, 2)"),
                values: vec![],
                expected: Err("needs more"),
            },
            Case {
                name: "too much behind",
                header: header("<f4", "False", "(1,)"),
                values: vec![0; 8],
                expected: Err("holds 8 bytes of values"),
            },
            Case {
                name: "texts",
                header: header("<U4", "False", "(1,)"),
                values: vec![0; 4],
                expected: Err("arrays of `<U4` are not read"),
            },
            Case {
                name: "objects",
                header: header("|O", "False", "(1,)"),
                values: vec![0; 8],
                expected: Err("arrays of `|O` are not read"),
            },
            Case {
                name: "columns with names",
                header: "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}".into(),
                values: vec![0; 4],
                expected: Err("no usable `descr`"),
            },
            Case {
                name: "a negative size",
                header: header("<f4", "False", "(-1,)"),
                values: vec![],
                expected: Err("no usable `shape`"),
            },
        ];
        for case in cases {
            let bytes = file(&case.header, &case.values);
            match (read(&bytes), case.expected) {
                (Ok(found), Ok((shape, data))) => {
                    assert_eq!(
                        (found.shape.as_slice(), &found.data),
                        (shape, &data),
                        "{}",
                        case.name
                    );
                }
                (Err(error), Err(says)) => assert!(error.contains(says), "{}: {error}", case.name),
                (found, _) => panic!("{}: {found:?}", case.name),
            }
            for length in 0..bytes.len() - case.values.len() {
                assert!(
                    read(&bytes[..length]).is_err(),
                    "{} cut at {length}",
                    case.name
                );
            }
        }
    }
}
