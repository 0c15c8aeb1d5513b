use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::{Checkpoint, limits};

/// An archive as `torch.save` lays it out: the pickle, and one storage of the bytes 0 to 31.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let storage: Vec<u8> = (0..32).collect();
    zip(
        &[("m/data.pkl", pickle), ("m/data/0", &storage)],
        CompressionMethod::Stored,
    )
}

fn zip(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn open(file: Vec<u8>) -> Result<Checkpoint, Error> {
    Checkpoint::from_bytes(Path::new("m.pt"), file.into())
}

/// Opcodes of a text.
fn text(text: &str) -> String {
    assert!(text.len() < 128);
    format!("\u{8c}{}{text}", text.len() as u8 as char)
}

/// Opcodes of a tuple of small numbers.
fn sizes(sizes: &[u8]) -> String {
    let items: String = sizes
        .iter()
        .map(|size| format!("K{}", *size as char))
        .collect();
    format!("({items}t")
}

/// Opcodes of a storage.
fn storage(kind: &str, key: &str) -> String {
    format!(
        "({}ctorch\n{kind}\n{}{}K\u{8}tQ",
        text("storage"),
        text(key),
        text("cpu")
    )
}

/// Opcodes of a tensor. All of these are texts of the characters 0 to 255, a byte each.
fn tensor(kind: &str, key: &str, offset: u8, shape: &[u8], strides: &[u8], more: &str) -> String {
    let (storage, shape, strides) = (storage(kind, key), sizes(shape), sizes(strides));
    let offset = offset as char;
    format!("ctorch._utils\n_rebuild_tensor_v2\n({storage}K{offset}{shape}{strides}\u{89}N{more}tR")
}

/// Opcodes of a dictionary.
fn dict(entries: &[(&str, &str)]) -> String {
    let entries = entries.iter().map(|(key, value)| text(key) + value);
    format!("}}({}u", entries.collect::<String>())
}

/// Opcodes of a list.
fn list(items: &[&str]) -> String {
    format!("]({}e", items.concat())
}

/// Opcodes of a module with these attributes.
fn module(attributes: &[(&str, &str)]) -> String {
    format!("ctorch.nn\nLinear\n)\u{81}{}b", dict(attributes))
}

fn pickle(opcodes: &str) -> Vec<u8> {
    let bytes = opcodes.chars().map(|c| u8::try_from(c).unwrap());
    bytes.chain([b'.']).collect()
}

fn names(opcodes: &str) -> String {
    let checkpoint = open(archive(&pickle(opcodes))).unwrap();
    checkpoint.names().collect::<Vec<_>>().join(" ")
}

fn simple() -> String {
    tensor("ByteStorage", "0", 0, &[2], &[1], "")
}

#[test]
fn weights_are_found_where_scripts_keep_them() {
    struct Case {
        name: &'static str,
        object: String,
        expected: &'static str,
    }
    let tensor = &simple();
    let one = &dict(&[("a", tensor)]);
    let parallel = dict(&[
        ("module._orig_mod.a", tensor),
        ("module._orig_mod.b", tensor),
    ]);
    let inner = module(&[("_parameters", &dict(&[("w", tensor)])), ("_modules", "}")]);
    let outer = [
        ("_parameters", &*dict(&[("w", tensor), ("bias", "N")])),
        (
            "_buffers",
            &dict(&[("kept", tensor), ("scratch", tensor), ("none", "N")]),
        ),
        ("_non_persistent_buffers_set", &list(&[&text("scratch")])),
        ("_modules", &dict(&[("in", &inner), ("none", "N")])),
        ("not_a_weight", tensor),
    ];
    let cases = [
        Case {
            name: "a state dict",
            object: dict(&[("a.w", tensor), ("module.b", tensor)]),
            expected: "a.w module.b",
        },
        Case {
            name: "training",
            object: dict(&[
                ("optimizer", &dict(&[("state", tensor)])),
                ("state_dict", one),
            ]),
            expected: "a",
        },
        Case {
            name: "an averaged model goes first",
            object: dict(&[("model", one), ("ema", &dict(&[("b", tensor)]))]),
            expected: "b",
        },
        Case {
            name: "but not where there is none",
            object: dict(&[("model", one), ("ema", "N")]),
            expected: "a",
        },
        Case {
            name: "a wrapper in a wrapper",
            object: dict(&[("model", &dict(&[("state_dict", one)]))]),
            expected: "a",
        },
        Case {
            name: "a tensor that is called as a wrapper",
            object: dict(&[("model", tensor), ("b", tensor)]),
            expected: "b model",
        },
        Case {
            name: "parallel and compiled",
            object: dict(&[("state_dict", &parallel)]),
            expected: "a b",
        },
        Case {
            name: "lists, tuples and numbers",
            object: format!("({tensor}{}}}K\u{5}{tensor}st", list(&["N", tensor])),
            expected: "0 1.1 2.5",
        },
        Case {
            name: "a module",
            object: module(&outer),
            expected: "in.w kept w",
        },
        Case {
            name: "a dictionary of another class",
            object: format!("caddict\nDict\n)\u{81}{}{tensor}s", text("a")),
            expected: "a",
        },
        Case {
            name: "a program beside the weights",
            object: dict(&[("a", tensor), ("x", "cos\nabort\n)R")]),
            expected: "a",
        },
    ];
    for case in cases {
        assert_eq!(names(&case.object), case.expected, "{}", case.name);
    }
}

#[test]
fn what_is_no_plain_tensor_is_named() {
    struct Case {
        name: &'static str,
        tensor: String,
        says: &'static str,
    }
    let made = |function: &str| format!("ctorch._utils\n{function}\n)R");
    let cases = [
        Case {
            name: "complex",
            tensor: tensor("ComplexFloatStorage", "0", 0, &[1], &[1], ""),
            says: "unsupported type ComplexFloat;",
        },
        Case {
            name: "of eight bits",
            tensor: format!(
                "ctorch._utils\n_rebuild_tensor_v3\n({}K\0{}{}\u{89}Nctorch\nfloat8_e5m2\ntR",
                storage("UntypedStorage", "0"),
                sizes(&[1]),
                sizes(&[1])
            ),
            says: "unsupported type float8_e5m2;",
        },
        Case {
            name: "sparse",
            tensor: made("_rebuild_sparse_tensor"),
            says: "is sparse; save it dense",
        },
        Case {
            name: "quantised",
            tensor: made("_rebuild_qtensor"),
            says: "is quantised; convert the float model",
        },
        Case {
            name: "meta",
            tensor: made("_rebuild_meta_tensor_no_storage"),
            says: "without values",
        },
        Case {
            name: "of a kind yet to come",
            tensor: made("_rebuild_knitted_tensor"),
            says: "only PyTorch can rebuild",
        },
        Case {
            name: "a sparse parameter",
            tensor: format!(
                "ctorch._utils\n_rebuild_parameter\n({}\u{88}NtR",
                made("_rebuild_sparse_tensor")
            ),
            says: "is sparse",
        },
        Case {
            name: "negated",
            tensor: tensor(
                "FloatStorage",
                "0",
                0,
                &[1],
                &[1],
                &dict(&[("neg", "\u{88}")]),
            ),
            says: "negated view",
        },
        Case {
            name: "beyond its storage",
            tensor: tensor("FloatStorage", "0", 0, &[3, 3], &[3, 1], ""),
            says: "reaches to byte 36 of storage `0`, which has 32;",
        },
        Case {
            name: "beyond it by its offset",
            tensor: tensor("FloatStorage", "0", 7, &[2], &[1], ""),
            says: "reaches to byte 36 of storage `0`, which has 32;",
        },
        Case {
            name: "without storage",
            tensor: tensor("FloatStorage", "1", 0, &[1], &[1], ""),
            says: "storage `1`, which is not in the file",
        },
        Case {
            name: "expanded",
            tensor: tensor("ByteStorage", "0", 0, &[255; 4], &[0; 4], ""),
            says: "expanded to more than 64 MiB",
        },
        Case {
            name: "larger than any memory",
            tensor: tensor("ByteStorage", "0", 0, &[255; 9], &[0; 9], ""),
            says: "makes no sense",
        },
        Case {
            name: "of too many dimensions",
            tensor: tensor("ByteStorage", "0", 0, &[1; 17], &[1; 17], ""),
            says: "makes no sense",
        },
        Case {
            name: "with a stride too few",
            tensor: tensor("ByteStorage", "0", 0, &[1, 1], &[1], ""),
            says: "makes no sense",
        },
        Case {
            name: "without arguments",
            tensor: made("_rebuild_tensor_v2"),
            says: "makes no sense",
        },
        Case {
            name: "a parameter of nothing",
            tensor: made("_rebuild_parameter"),
            says: "makes no sense",
        },
    ];
    for case in cases {
        let object = dict(&[("layer.w", &case.tensor), ("b", &simple())]);
        let error = open(archive(&pickle(&object))).unwrap_err().to_string();
        assert!(
            error.contains("`layer.w`") && error.contains(case.says),
            "{}: {error}",
            case.name
        );
        // Where the model does not need it, it is no obstacle.
        let training = dict(&[
            ("other", &case.tensor),
            ("model", &dict(&[("a", &simple())])),
        ]);
        assert_eq!(names(&training), "a", "{}", case.name);
    }
}

#[test]
fn other_archives_are_recognised() {
    struct Case {
        name: &'static str,
        file: Vec<u8>,
        says: &'static str,
    }
    let weights = &pickle(&dict(&[("a", &simple())]));
    let stored = |members: &[(&str, &[u8])]| zip(members, CompressionMethod::Stored);
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let cases = [
        Case {
            name: "TorchScript",
            file: stored(&[("m/data.pkl", weights), ("m/code/m.py", b"")]),
            says: "a TorchScript program; save its weights alone",
        },
        Case {
            name: "TorchScript without code",
            file: stored(&[("m/data.pkl", weights), ("m/constants.pkl", b"")]),
            says: "a TorchScript program; save its weights alone",
        },
        Case {
            name: "big-endian",
            file: stored(&[("m/data.pkl", weights), ("m/byteorder", b"big")]),
            says: "big-endian",
        },
        Case {
            name: "compressed",
            file: zip(&[("m/data.pkl", weights)], CompressionMethod::Deflated),
            says: "with compression; unpack it",
        },
        Case {
            name: "stable-baselines3 without a policy",
            file: stored(&[("data", b"{}"), ("policy.pth", b"")]),
            says: "m.pt",
        },
        Case {
            name: "stable-baselines3 in itself",
            file: stored(&[("policy.pth", &stored(&[("policy.pth", weights)]))]),
            says: "no data.pkl",
        },
        Case {
            name: "another zip",
            file: stored(&[("word/document.xml", b"")]),
            says: "no data.pkl",
        },
        Case {
            name: "tar",
            file: tar,
            says: "a tar archive; unpack it",
        },
        Case {
            name: "a pickle of Python",
            file: weights.clone(),
            says: "not a kind of checkpoint that is known",
        },
        Case {
            name: "a newer pickle of Python",
            file: [b"\x80\x04", &weights[..]].concat(),
            says: "a Python pickle, but not of torch.save",
        },
        Case {
            name: "nothing but settings",
            file: archive(&pickle(&dict(&[("rate", "K\u{1}")]))),
            says: "holds no tensors",
        },
    ];
    for case in cases {
        let error = open(case.file).unwrap_err().to_string();
        assert!(
            error.starts_with("m.pt ") && error.contains(case.says),
            "{}: {error}",
            case.name
        );
    }
}

#[test]
fn a_policy_is_read_inside_the_archive_of_its_agent() {
    let policy = archive(&pickle(&dict(&[("action_net.weight", &simple())])));
    let settings = br#"{"policy_kwargs": {"net_arch": [8]}}"#;
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let members: [(&str, &[u8]); 3] = [
            ("data", settings),
            ("policy.pth", &policy),
            ("policy.optimizer.pth", b"whatever"),
        ];
        let checkpoint = open(zip(&members, method)).unwrap();
        let names: Vec<_> = checkpoint.names().collect();
        assert_eq!(names, ["action_net.weight"], "{method}");
        let settings = checkpoint.settings().unwrap();
        assert_eq!(settings["policy_kwargs"]["net_arch"][0], 8, "{method}");
    }
    // What Python writes for an infinite number is no JSON; the weights are there nevertheless.
    let members: [(&str, &[u8]); 2] = [("data", b"{\"a\": Infinity}"), ("policy.pth", &policy)];
    let checkpoint = open(zip(&members, CompressionMethod::Stored)).unwrap();
    assert!(checkpoint.settings().is_none());
    // A small file that unpacks to a large one, and one that is cut off.
    let zeros = vec![0u8; limits::SETTINGS_BYTES + 1];
    let members: [(&str, &[u8]); 2] = [("data", &zeros), ("policy.pth", &policy)];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let error = open(zip(&members, method)).unwrap_err().to_string();
        assert!(error.contains("bytes in a member"), "{method}: {error}");
    }
    let mut file = zip(&[("policy.pth", &policy)], CompressionMethod::Deflated);
    let middle = file.len() / 3;
    file[middle..middle + 20].fill(0xff);
    let error = open(file).unwrap_err().to_string();
    assert!(error.contains("truncated or damaged"), "{error}");
}

#[test]
fn endless_trees_end() {
    // A list in itself; then thirty lists of which each holds the one before twice.
    let endless = format!("]q\0h\0a{}a", simple());
    let doubled: String = (0..30).map(|_| "q\0]h\0ah\0a").collect();
    let doubled = simple() + &doubled;
    let sparse = "ctorch._utils\n_rebuild_sparse_tensor\n)R";
    let chain = format!("ctorch._utils\n_rebuild_parameter\nq\00{sparse}q\u{1}0");
    let chain = chain + &"h\0h\u{1}\u{85}Rq\u{1}0".repeat(200_000) + "]h\u{1}a";
    for (name, object, says) in [
        ("endless", endless, "more than 128 modules"),
        ("doubled", doubled, "steps to find the tensors"),
        ("wrapped", chain, "makes no sense"),
    ] {
        let error = open(archive(&pickle(&object))).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
}
