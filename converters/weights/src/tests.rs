use std::path::Path;

use super::*;

fn safetensors_file() -> Vec<u8> {
    let header = br#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"F16","shape":[2],"data_offsets":[16,20]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.extend_from_slice(&[1.0f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat());
    file.extend_from_slice(&[0x00, 0x3c, 0x00, 0xc0]);
    file
}

/// Two f32 tensors as `torch.save` of torch 2.15 wrote them (zip container).
const PTH: &[u8] = include_bytes!("../testdata/two.pth");

/// The same with `_use_new_zipfile_serialization=False`.
const LEGACY: &[u8] = include_bytes!("../testdata/two-legacy.pth");

/// A small model as CTranslate2 4.8.5 wrote it in int8.
const CTRANSLATE2: &[u8] = include_bytes!("../testdata/ctranslate2/int8.bin");

fn f32s(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let bytes = checkpoint.f32(name).unwrap();
    let (elements, _) = bytes.as_chunks();
    elements.iter().map(|e| f32::from_le_bytes(*e)).collect()
}

#[test]
fn both_kinds_give_the_same_tensors() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("safetensors", safetensors_file(), Format::Safetensors),
        ("zip", PTH.to_vec(), Format::Pytorch),
        ("legacy", LEGACY.to_vec(), Format::Pytorch),
    ];
    for (name, bytes, format) in cases {
        // The extension lies on purpose: content decides.
        let path = dir.path().join(name).with_extension("onnx");
        std::fs::write(&path, bytes).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.format(), format, "{name}");
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"], "{name}");
        assert_eq!(checkpoint.tensor("a").unwrap().shape, [2, 2], "{name}");
        assert_eq!(f32s(&checkpoint, "a"), [1.0, 2.0, 3.0, 4.0], "{name}");
        assert_eq!(f32s(&checkpoint, "b"), [1.0, -2.0], "{name}");
        let error = checkpoint.f32("c").unwrap_err().to_string();
        assert!(error.contains("`c`"), "{name}: {error}");
    }
}

#[test]
fn shards_are_one_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("1.safetensors", &safetensors_file());
    write("1.bin", PTH);
    write("words.txt", b"the 0.5 1.5\n");
    let open = |map: &str| {
        write("i.json", format!(r#"{{"weight_map": {map}}}"#).as_bytes());
        Checkpoint::open(&dir.path().join("i.json"))
    };
    let good = open(r#"{"a": "1.safetensors", "b": "1.safetensors"}"#).unwrap();
    assert_eq!(f32s(&good, "b"), [1.0, -2.0]);
    let good = open(r#"{"a": "1.bin", "b": "1.bin"}"#).unwrap();
    assert_eq!(f32s(&good, "b"), [1.0, -2.0]);
    for (map, says) in [
        (r#"{"a": "../1.safetensors"}"#, "../1.safetensors"),
        (r#"{"c": "1.safetensors"}"#, "`c`"),
        (r#"{"a": "2.safetensors"}"#, "2.safetensors"),
        (r#"{"a": "words.txt"}"#, "neither safetensors nor PyTorch"),
        ("3", "weight_map"),
    ] {
        let error = open(map).unwrap_err().to_string();
        assert!(error.contains(says), "{map}: {error}");
    }
}

#[test]
fn every_truncation_is_an_error_of_one_line() {
    for (name, whole) in [
        ("model.safetensors", safetensors_file()),
        ("model.pth", PTH.to_vec()),
        ("legacy.pth", LEGACY.to_vec()),
        ("model.bin", CTRANSLATE2.to_vec()),
    ] {
        for length in 0..whole.len() {
            let bytes = Bytes::copy_from_slice(&whole[..length]);
            let error = Checkpoint::from_bytes(Path::new(name), bytes).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name), "{length}: {text}");
            assert!(!text.contains('\n'), "{length}: {text}");
        }
    }
}

#[test]
fn damaged_bytes_never_panic() {
    for whole in [
        safetensors_file(),
        PTH.to_vec(),
        LEGACY.to_vec(),
        CTRANSLATE2.to_vec(),
    ] {
        for at in 0..whole.len() {
            for value in [0, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                if let Ok(checkpoint) = Checkpoint::from_bytes(Path::new("x"), damaged.into()) {
                    for name in checkpoint.names() {
                        let _ = checkpoint.f32(name);
                    }
                }
            }
        }
    }
}

#[test]
fn missing_file_and_folder_are_named() {
    let missing = Checkpoint::open(Path::new("/nowhere/x.pth")).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/x.pth"));
    let folder = Checkpoint::open(Path::new("/")).unwrap_err();
    assert!(folder.to_string().contains("a folder"));
}
