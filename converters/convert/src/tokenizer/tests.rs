use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::{EncodeInput, Tokenizer};

use super::build;
use crate::Error;
use crate::source::Source;
use crate::testing::{Shapes, write_safetensors};

/// A checkpoint folder of one small tensor and the given side files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let shapes = Shapes::from([("w".into(), vec![1])]);
        write_safetensors(&folder.path("model.safetensors"), &shapes);
        folder
    }

    fn copy(from: &Path) -> Self {
        let folder = Self::new();
        for entry in from.read_dir().unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.0.path().join(entry.file_name())).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn build(&self) -> Result<Option<Value>, Error> {
        build(&Source::open(self.0.path()).unwrap())
    }

    fn tokenizer(&self) -> Tokenizer {
        let value = self.build().unwrap().unwrap();
        Tokenizer::from_bytes(value.to_string()).unwrap()
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tokenizers")
}

/// `tests/golden/tokenizers`: what transformers 5.23 makes of the same files. Tolerance: exact.
#[test]
fn encodings_are_those_of_transformers() {
    let mut folders: Vec<_> = golden()
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert!(folders.len() >= 12, "{folders:?}");
    for path in folders {
        let tokenizer = Folder::copy(&path).tokenizer();
        let cases = std::fs::read(path.join("cases.json")).unwrap();
        let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let input: EncodeInput<'_> = match case["pair"].as_str() {
                Some(pair) => (text, pair).into(),
                None => text.into(),
            };
            let found = tokenizer.encode_char_offsets(input, true).unwrap();
            let name = format!("{} {text:?}", path.display());
            assert_eq!(json!(found.get_ids()), case["ids"], "{name}");
            assert_eq!(json!(found.get_type_ids()), case["type_ids"], "{name}");
            assert_eq!(json!(found.get_offsets()), case["offsets"], "{name}");
        }
    }
}

#[test]
fn nothing_is_built_from_nothing() {
    assert_eq!(Folder::new().build().unwrap(), None);
}

#[test]
fn ids_may_have_gaps() {
    let folder = Folder::copy(&golden().join("bert"));
    folder.write("added_tokens.json", r#"{"kettle": 900, "[X]": 700}"#);
    folder.write(
        "special_tokens_map.json",
        r#"{"additional_special_tokens": ["[X]"]}"#,
    );
    let tokenizer = folder.tokenizer();
    let ids = tokenizer.encode("a kettle [X]", false).unwrap();
    assert_eq!(ids.get_ids()[1..], [900, 700]);
    assert_eq!(tokenizer.decode(ids.get_ids(), true).unwrap(), "a kettle");
}

#[test]
fn a_vocabulary_from_windows_is_read() {
    let folder = Folder::copy(&golden().join("bert"));
    let unix = folder.tokenizer().encode("the kettle", true).unwrap();
    let text = std::fs::read_to_string(folder.path("vocab.txt")).unwrap();
    folder.write("vocab.txt", &text.replace('\n', "\r\n"));
    let windows = folder.tokenizer().encode("the kettle", true).unwrap();
    assert_eq!(unix.get_ids(), windows.get_ids());
}

#[test]
fn what_cannot_be_built_is_told() {
    struct Case {
        name: &'static str,
        golden: &'static str,
        change: fn(&Folder),
        says: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "SentencePiece",
            golden: "bert",
            change: |f| std::fs::rename(f.path("vocab.txt"), f.path("spiece.model")).unwrap(),
            says: &[
                "spiece.model",
                "SentencePiece",
                "save_pretrained",
                "--task tensors",
            ],
        },
        Case {
            name: "another class",
            golden: "bert",
            change: |f| {
                let config = r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#;
                f.write("tokenizer_config.json", config);
            },
            says: &["`BertJapaneseTokenizer`", "save_pretrained"],
        },
        Case {
            name: "vocabulary of another class",
            golden: "bert",
            change: |f| f.write("config.json", r#"{"model_type": "roberta"}"#),
            says: &["vocab.txt", "RobertaTokenizer", "vocab.json"],
        },
        Case {
            name: "no basic tokenizer",
            golden: "bert",
            change: |f| f.write("tokenizer_config.json", r#"{"do_basic_tokenize": false}"#),
            says: &["do_basic_tokenize"],
        },
        Case {
            name: "no separator",
            golden: "bert",
            change: |f| f.write("vocab.txt", "[UNK]\n[CLS]\na\n"),
            says: &["vocab.txt", "sep_token `[SEP]`"],
        },
        Case {
            name: "separator unset",
            golden: "bert",
            change: |f| f.write("special_tokens_map.json", r#"{"sep_token": null}"#),
            says: &["`sep_token`"],
        },
        Case {
            name: "empty",
            golden: "bert",
            change: |f| f.write("vocab.txt", ""),
            says: &["vocab.txt", "empty"],
        },
        Case {
            name: "not UTF-8",
            golden: "bert",
            change: |f| std::fs::write(f.path("vocab.txt"), b"[UNK]\n\xff\n").unwrap(),
            says: &["vocab.txt", "UTF-8"],
        },
        Case {
            name: "no merges",
            golden: "gpt2",
            change: |f| std::fs::remove_file(f.path("merges.txt")).unwrap(),
            says: &["merges.txt"],
        },
        Case {
            name: "merges of another vocabulary",
            golden: "gpt2",
            change: |f| f.write("merges.txt", "#version: 0.2\nh zzz\n"),
            says: &["merges.txt", "line 2", "`zzz`"],
        },
        Case {
            name: "half a merge",
            golden: "gpt2",
            change: |f| f.write("merges.txt", "h\n"),
            says: &["merges.txt", "line 1", "`h`"],
        },
        Case {
            name: "vocabulary of something else",
            golden: "gpt2",
            change: |f| f.write("vocab.json", r#"{"a": "b"}"#),
            says: &["vocab.json", "`a`"],
        },
        Case {
            name: "an id that is taken",
            golden: "bert",
            change: |f| f.write("added_tokens.json", r#"{"[CLS]": 77}"#),
            says: &["added_tokens.json", "`[CLS]`", "77"],
        },
        Case {
            name: "an id that is none",
            golden: "bert",
            change: |f| f.write("added_tokens.json", r#"{"x": -1}"#),
            says: &["added_tokens.json", "`x`", "-1"],
        },
    ];
    for case in cases {
        let folder = Folder::copy(&golden().join(case.golden));
        (case.change)(&folder);
        let error = folder.build().unwrap_err().to_string();
        for says in case.says {
            assert!(error.contains(says), "{}: {error}", case.name);
        }
        assert!(!error.contains('\n'), "{}: {error}", case.name);
    }
}
