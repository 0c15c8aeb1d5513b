use super::*;
use crate::Checkpoint;

/// `testdata/make.py` has CTranslate2's own writer make these from the values below.
macro_rules! file {
    ($kind:literal) => {
        include_bytes!(concat!("../../testdata/ctranslate2/", $kind, ".bin"))
    };
}

const LINEAR: [f32; 9] = [63.5, -32.0, 0.5, 0.0, 0.0, 0.0, 1.0, 127.0, -64.0];

fn conv() -> Vec<f32> {
    (-6i8..6).map(f32::from).collect()
}

fn open(bytes: &[u8]) -> Result<Checkpoint, Error> {
    Checkpoint::from_bytes(Path::new("model.bin"), Bytes::copy_from_slice(bytes))
}

fn f32s(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let bytes = checkpoint.f32(name).unwrap();
    let (elements, _) = bytes.as_chunks();
    elements.iter().map(|e| f32::from_le_bytes(*e)).collect()
}

#[test]
fn every_type_gives_the_values_that_were_saved() {
    struct Case {
        name: &'static str,
        file: &'static [u8],
        weights: DType,
        others: DType,
        /// Codes on either side of zero for the largest value of a row and whether a row has
        /// its own scale; real values are off by half a code at most.
        codes: Option<(f32, bool)>,
    }
    let case = |name, file, weights, others, codes| Case {
        name,
        file,
        weights,
        others,
        codes,
    };
    use DType::{Bf16, F16, F32, I8, I16};
    let cases = [
        case("float32", file!("float32"), F32, F32, None),
        case("float16", file!("float16"), F16, F16, None),
        case("bfloat16", file!("bfloat16"), Bf16, Bf16, None),
        case("int8", file!("int8"), I8, F32, Some((127.0, true))),
        case(
            "int8_float16",
            file!("int8_float16"),
            I8,
            F16,
            Some((127.0, true)),
        ),
        case("int16", file!("int16"), I16, F32, Some((1024.0, false))),
    ];
    for Case {
        name,
        file,
        weights,
        others,
        codes,
    } in cases
    {
        let checkpoint = open(file).unwrap();
        assert_eq!(checkpoint.format(), crate::Format::CTranslate2, "{name}");
        let spec = checkpoint.spec().unwrap();
        assert_eq!(
            (spec.name.as_str(), spec.revision),
            ("TinySpec", 7),
            "{name}"
        );
        let names: Vec<_> = checkpoint.names().collect();
        let expected = [
            "conv/bias",
            "conv/weight",
            "linear_0/bias",
            "linear_0/weight",
            "num_heads",
            "projection/weight",
        ];
        assert_eq!(names, expected, "{name}");
        for (of, dtype, shape, values) in [
            ("linear_0/weight", weights, &[3, 3][..], LINEAR.to_vec()),
            ("projection/weight", weights, &[3, 3], LINEAR.to_vec()),
            ("conv/weight", weights, &[2, 2, 3], conv()),
            ("linear_0/bias", others, &[3], vec![1.5, -0.25, 3.0]),
            ("conv/bias", others, &[2], vec![0.5, -8.0]),
        ] {
            let tensor = checkpoint.tensor(of).unwrap();
            assert_eq!(
                (tensor.dtype, tensor.shape.as_slice()),
                (dtype, shape),
                "{name} {of}"
            );
            let got = f32s(&checkpoint, of);
            assert_eq!(got.len(), values.len(), "{name} {of}");
            let part = match codes {
                Some((_, true)) => values.len() / shape[0],
                _ => values.len(),
            };
            for (got, values) in got.chunks(part).zip(values.chunks(part)) {
                let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                let half = match codes {
                    Some((codes, _)) if dtype == weights => largest / codes / 2.0,
                    _ => 0.0,
                };
                for (got, value) in got.iter().zip(values) {
                    let off = (got - value).abs();
                    assert!(off <= half * 1.0001, "{name} {of}: {got} for {value}");
                }
            }
        }
        let heads = checkpoint.bytes("num_heads").unwrap();
        assert_eq!(heads.as_ref(), 4i16.to_le_bytes(), "{name}");
        assert!(checkpoint.f32("num_heads").is_err(), "{name}");
        // An alias is the same bytes, not a copy.
        let [of, alias] = ["linear_0/weight", "projection/weight"]
            .map(|name| checkpoint.bytes(name).unwrap().as_ptr());
        assert_eq!(of, alias, "{name}");
    }
}

/// Rows whose largest value is 127 times a power of two are exact in int8.
#[test]
fn codes_are_divided_by_their_scale() {
    let checkpoint = open(file!("int8")).unwrap();
    assert_eq!(f32s(&checkpoint, "linear_0/weight"), LINEAR);
    let codes = checkpoint.bytes("linear_0/weight").unwrap();
    assert_eq!(codes.as_ref(), [127, 192, 1, 0, 0, 0, 1, 127, 192]);
}

/// The offset of `pattern`, which occurs once.
fn find(bytes: &[u8], pattern: &[u8]) -> usize {
    bytes
        .windows(pattern.len())
        .position(|w| w == pattern)
        .unwrap()
}

#[test]
fn what_is_wrong_is_said() {
    struct Case {
        name: &'static str,
        damage: fn(&mut Vec<u8>),
        says: &'static str,
    }
    let cases = [
        Case {
            name: "newer version",
            damage: |b| b[0] = 7,
            says: "binary version 7, 4 to 6 are read",
        },
        Case {
            name: "older version",
            damage: |b| b[0] = 3,
            says: "binary version 3",
        },
        Case {
            name: "billions of variables",
            damage: |b| b[19..23].fill(0xff),
            says: "4294967295 variables",
        },
        Case {
            name: "a string without its NUL",
            damage: |b| *b.last_mut().unwrap() = b'x',
            says: "no text at byte 283, where what `projection/weight` is an alias of",
        },
        Case {
            name: "bytes after the end",
            damage: |b| b.push(0),
            says: "1 bytes follow its end",
        },
        Case {
            name: "cut off",
            damage: |b| b.truncate(50),
            says: "its 50 bytes end within tensor `conv/bias`",
        },
        Case {
            name: "unknown type",
            damage: |b| {
                let at = find(b, b"conv/bias\0");
                b[at + 15] = 9;
            },
            says: "tensor `conv/bias` has the unknown type 9",
        },
        Case {
            name: "shape against size",
            damage: |b| {
                let at = find(b, b"conv/bias\0");
                b[at + 11] = 3;
            },
            says: "tensor `conv/bias` is f32 [3] and 8 bytes",
        },
        Case {
            name: "twice",
            damage: |b| {
                let at = find(b, b"\x12\0projection/weight\0");
                b.splice(at..at + 20, *b"\x0a\0conv/bias\0");
            },
            says: "tensor `conv/bias` is there twice",
        },
        Case {
            name: "alias of nothing",
            damage: |b| {
                let at = b.len() - 3;
                b[at] = b'x';
            },
            says: "`projection/weight` is an alias of `linear_0/weigxt`",
        },
    ];
    for case in cases {
        let mut bytes = file!("float32").to_vec();
        (case.damage)(&mut bytes);
        let text = open(&bytes).unwrap_err().to_string();
        assert!(text.starts_with("model.bin"), "{}: {text}", case.name);
        assert!(text.contains(case.says), "{}: {text}", case.name);
    }
}
