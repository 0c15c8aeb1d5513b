//! What is read of PyTorch's files is what PyTorch reads: `tests/golden/pytorch`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use bevel_tests::{needs, root, shared};
use bevel_weights::pickle::Value;
use bevel_weights::{Checkpoint, DType};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The listing of `make.py`.
fn listing(checkpoint: &Checkpoint) -> String {
    let mut lines = String::new();
    for name in checkpoint.names() {
        let tensor = checkpoint.tensor(name).unwrap();
        let dtype = match tensor.dtype {
            DType::F64 => "float64",
            DType::F32 => "float32",
            DType::F16 => "float16",
            DType::Bf16 => "bfloat16",
            DType::I64 => "int64",
            DType::I32 => "int32",
            DType::I16 => "int16",
            DType::I8 => "int8",
            DType::U64 => "uint64",
            DType::U32 => "uint32",
            DType::U16 => "uint16",
            DType::U8 => "uint8",
            DType::Bool => "bool",
            other => panic!("{other}"),
        };
        let sha256 = sha256(&tensor.bytes());
        lines += &format!("{name} {dtype} {:?} {sha256}\n", tensor.shape);
    }
    lines
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn golden() -> serde_json::Map<String, serde_json::Value> {
    let path = root().join("tests/golden/pytorch/listings.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Those files of the golden whose name starts so, and at least one.
fn check(prefix: &str, folder: &Path) {
    let golden = golden();
    let mut checked = 0;
    for (name, expected) in &golden {
        let Some(file) = name.strip_prefix(prefix) else {
            continue;
        };
        let path: PathBuf = folder.join(file);
        let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let listing = listing(&checkpoint);
        assert_eq!(
            (
                checkpoint.tensor_count() as u64,
                sha256(listing.as_bytes()).as_str()
            ),
            (
                expected["tensors"].as_u64().unwrap(),
                expected["sha256"].as_str().unwrap()
            ),
            "{name}; compare with `make.py --list`:\n{listing}"
        );
        if expected.get("stride").is_some() {
            attributes(name, &checkpoint, expected);
        }
        checked += 1;
    }
    assert!(checked > 0, "no file starts with {prefix}");
}

/// What the converter of ultralytics' models needs beside the weights.
fn attributes(name: &str, checkpoint: &Checkpoint, expected: &serde_json::Value) {
    let model = checkpoint.model().unwrap();
    let floats = |bytes: Bytes| {
        let (elements, _) = bytes.as_chunks();
        elements.iter().map(|e| f32::from_le_bytes(*e)).collect()
    };
    let stride = model.attribute("stride").unwrap().tensor().unwrap();
    let stride: Vec<f32> = floats(stride.f32().unwrap());
    assert_eq!(serde_json::json!(stride), expected["stride"], "{name}");

    let names = model.attribute("names").unwrap().dict().unwrap();
    let names: Vec<&str> = names.iter().map(|(_, v)| v.text().unwrap()).collect();
    assert_eq!(serde_json::json!(names), expected["names"], "{name}");

    let layers = model.attribute("_modules").unwrap().get("model").unwrap();
    let layers = layers.attribute("_modules").unwrap().dict().unwrap();
    let class = |value: Value<'_>| value.record().unwrap().class().unwrap().name().to_owned();
    let layers: Vec<String> = layers.iter().map(|(_, layer)| class(layer)).collect();
    assert_eq!(serde_json::json!(layers), expected["layers"], "{name}");

    let yaml = model.attribute("yaml").unwrap();
    assert!(
        yaml.get("backbone").unwrap().list().unwrap().len() > 5,
        "{name}"
    );
}

#[test]
fn every_kind_of_file_is_read_as_pytorch_reads_it() {
    check("tests/", &root().join("tests"));
}

#[test]
fn models_are_read_as_pytorch_reads_them() {
    let golden = needs!(shared("golden"));
    check("shared/golden/", &golden);
}

#[test]
fn contiguous_tensors_are_not_copied() {
    let path = root().join("tests/fuzz/seeds/pytorch/views.pt");
    let file = Bytes::from(std::fs::read(path).unwrap());
    let checkpoint = Checkpoint::from_bytes(Path::new("views.pt"), file.clone()).unwrap();
    for (name, borrowed) in [
        ("whole", true),
        ("rows", true),
        ("transposed", false),
        ("columns", false),
    ] {
        let bytes = checkpoint.bytes(name).unwrap();
        let inside = file.as_ptr_range().contains(&bytes.as_ptr());
        assert_eq!(inside, borrowed, "{name}");
    }
}

/// Values of every kind, from each protocol.
#[test]
fn values_are_those_that_were_saved() {
    for protocol in 1..=5 {
        let file = format!("tests/fuzz/seeds/pytorch/protocol-{protocol}.pt");
        let checkpoint = Checkpoint::open(&root().join(file)).unwrap();
        let get = |key| checkpoint.object().unwrap().get(key).unwrap();
        let ints = |key| {
            let list = get(key).list().unwrap();
            list.iter().map(|v| v.int().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(get("yes").bool(), Some(true), "{protocol}");
        assert_eq!(get("many").int(), Some(1 << 40), "{protocol}");
        assert_eq!(get("ratio").float(), Some(1.5), "{protocol}");
        assert_eq!(get("text").text(), Some("é"), "{protocol}");
        assert_eq!(ints("size"), [2, 3], "{protocol}");
        assert_eq!(ints("set"), [1, 2], "{protocol}");
        assert_eq!(get("frozen").list().unwrap().len(), 1, "{protocol}");
        for (key, expected) in [("raw", &b"\xff\0"[..]), ("array", b"xy")] {
            let Value::Bytes(bytes) = get(key) else {
                panic!("{protocol}: {key} is {:?}", get(key));
            };
            assert_eq!(bytes, expected, "{protocol}: {key}");
        }
        // -2^80 in eleven bytes.
        match get("huge") {
            Value::Text(text) => assert_eq!((protocol, text), (1, "-1208925819614629174706176")),
            Value::Long(bytes) => assert_eq!(bytes, b"\0\0\0\0\0\0\0\0\0\0\xff", "{protocol}"),
            other => panic!("{protocol}: {other:?}"),
        }
        assert_eq!(get("a").tensor().unwrap().shape, [2, 2], "{protocol}");
        assert!(checkpoint.object().unwrap().get("nothing").is_none());
    }
}

/// A file that ends early, or has other bytes in places, is an error or another checkpoint.
#[test]
fn no_damage_makes_it_panic() {
    let mut seed = 1u64;
    let mut random = |below: usize| {
        // Knuth's MMIX generator.
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    let read = |bytes: Vec<u8>| {
        if let Ok(checkpoint) = Checkpoint::from_bytes(Path::new("damaged.pt"), bytes.into()) {
            for name in checkpoint.names() {
                checkpoint.bytes(name).unwrap();
                let _ = checkpoint.f32(name);
            }
        }
    };
    for file in std::fs::read_dir(root().join("tests/fuzz/seeds/pytorch")).unwrap() {
        let whole = std::fs::read(file.unwrap().path()).unwrap();
        for length in (0..whole.len()).step_by(97) {
            read(whole[..length].to_vec());
        }
        for _ in 0..300 {
            let mut damaged = whole.clone();
            for _ in 0..=random(4) {
                damaged[random(whole.len())] = random(256) as u8;
            }
            read(damaged);
        }
    }
}
