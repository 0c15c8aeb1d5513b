use std::path::Path;

use bytes::Bytes;

use crate::{Checkpoint, DType, Error, Format};

/// `testdata/make.py` has gensim write these, all with the words and numbers below.
const FILES: [(&str, &[u8]); 3] = [
    (
        "word2vec.bin",
        include_bytes!("../../testdata/vectors/word2vec.bin"),
    ),
    (
        "word2vec.txt",
        include_bytes!("../../testdata/vectors/word2vec.txt"),
    ),
    (
        "glove.txt",
        include_bytes!("../../testdata/vectors/glove.txt"),
    ),
];

const WORDS: [&str; 5] = ["the", ",", "Zürich", "日本", "<unk>"];

fn open(bytes: &[u8]) -> Result<Checkpoint, Error> {
    Checkpoint::from_bytes(Path::new("words.txt"), Bytes::copy_from_slice(bytes))
}

fn vectors(checkpoint: &Checkpoint) -> Vec<f32> {
    let bytes = checkpoint.f32("vectors").unwrap();
    let (elements, _) = bytes.as_chunks();
    elements.iter().map(|e| f32::from_le_bytes(*e)).collect()
}

fn words(checkpoint: &Checkpoint) -> Vec<&[u8]> {
    checkpoint.words().unwrap().iter().collect()
}

#[test]
fn every_form_gives_the_same_table() {
    let expected: Vec<f32> = (0..15u8).map(|i| f32::from(i) / 7.0 - 1.0).collect();
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in FILES {
        // From memory and from a file, which is read another way.
        let path = dir.path().join("any.name");
        std::fs::write(&path, bytes).unwrap();
        for checkpoint in [open(bytes), Checkpoint::open(&path)] {
            let checkpoint = checkpoint.unwrap();
            assert_eq!(checkpoint.format(), Format::Vectors, "{name}");
            assert_eq!(words(&checkpoint), WORDS.map(str::as_bytes), "{name}");
            let tensor = checkpoint.tensor("vectors").unwrap();
            assert_eq!(tensor.dtype, DType::F32, "{name}");
            assert_eq!(tensor.shape, [5, 3], "{name}");
            assert_eq!(vectors(&checkpoint), expected, "{name}");
        }
    }
}

/// What people's files hold besides; the expected values are what gensim 4.4 reads, where it reads
/// them.
#[test]
fn the_odd_rows_of_real_files() {
    struct Case {
        name: &'static str,
        file: &'static [u8],
        words: &'static [&'static [u8]],
        vectors: &'static [f32],
        repeated: u64,
    }
    let cases = [
        Case {
            name: "of a repeated word the first row counts",
            file: b"3 1\na 1\nb 2\na 3\n",
            words: &[b"a", b"b"],
            vectors: &[1.0, 2.0],
            repeated: 1,
        },
        Case {
            name: "the same in binary, without line breaks between",
            file: b"3 1\na \0\0\x80\x3fb \0\0\0\x40a \0\0\x40\x40",
            words: &[b"a", b"b"],
            vectors: &[1.0, 2.0],
            repeated: 1,
        },
        Case {
            name: "line breaks before a word in binary",
            file: b"2 1\na \0\0\x80\x3f\n\n\nb \0\0\0\x40\n",
            words: &[b"a", b"b"],
            vectors: &[1.0, 2.0],
            repeated: 0,
        },
        Case {
            name: "a space at the end of each line, as word2vec writes it",
            file: b"2 2\na 1 2 \nb 3 4 \n",
            words: &[b"a", b"b"],
            vectors: &[1.0, 2.0, 3.0, 4.0],
            repeated: 0,
        },
        Case {
            name: "line breaks of Windows, tabs, no line break at the end",
            file: b"a\t1\t2\r\nb\t3\t4",
            words: &[b"a", b"b"],
            vectors: &[1.0, 2.0, 3.0, 4.0],
            repeated: 0,
        },
        Case {
            name: "words with spaces",
            file: b". . . 1 2\nat name@domain.com 3 4\n",
            words: &[b". . .", b"at name@domain.com"],
            vectors: &[1.0, 2.0, 3.0, 4.0],
            repeated: 0,
        },
        Case {
            name: "words that are numbers or called so",
            file: b"1 1 2\nnan 3 4\ninf 5 6\n",
            words: &[b"1", b"nan", b"inf"],
            vectors: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            repeated: 0,
        },
        Case {
            name: "a word that is not UTF-8",
            file: b"1 2\ncaf\xc3 1e0 -.5\n",
            words: &[b"caf\xc3"],
            vectors: &[1.0, -0.5],
            repeated: 0,
        },
        Case {
            name: "empty lines",
            file: b"a 1 2\n\nb 3 4\n\n\n",
            words: &[b"a", b"b"],
            vectors: &[1.0, 2.0, 3.0, 4.0],
            repeated: 0,
        },
    ];
    for case in cases {
        let checkpoint = open(case.file).unwrap();
        assert_eq!(words(&checkpoint), case.words, "{}", case.name);
        assert_eq!(vectors(&checkpoint), case.vectors, "{}", case.name);
        let repeated = checkpoint.words().unwrap().repeated();
        assert_eq!(repeated, case.repeated, "{}", case.name);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let long = [b"a 1 2\n".to_vec(), vec![b'b'; 2 << 20]].concat();
    let no_space = [b"1 30000\n".to_vec(), vec![0xff; 130_000]].concat();
    let cases: [(&str, &[u8], &str); 18] = [
        (
            "few numbers",
            b"a 1 2 3\nb 1 2\n",
            "line 2 has 2 numbers after `b`; expected a word and 3 numbers, as line 1 says",
        ),
        (
            "few numbers under a header",
            b"2 3\na 1 2 3\nb 1 2\n",
            "line 3 has 2 numbers after `b`; expected a word and 3 numbers, as the header says",
        ),
        (
            "many numbers",
            b"a 1 2\nb 1 2 3\n",
            "line 2 has more than 2 numbers",
        ),
        (
            "no numbers",
            b"a 1 2\nb\n",
            "line 2 has 0 numbers after `b`",
        ),
        (
            "no word",
            b"a 1 2\n 1 2\n",
            "line 2 has 1 numbers after `1`",
        ),
        (
            "a word among them",
            b"a 1 2\nb x 2\n",
            "line 2 has `x`, which is no finite number",
        ),
        ("not a number", b"a 1 2\nb 1 nan\n", "line 2 has `nan`"),
        ("infinite", b"a 1 2\nb inf 1\n", "line 2 has `inf`"),
        ("beyond f32", b"a 1 2\nb 1 1e39\n", "line 2 has `1e39`"),
        (
            "no end of line",
            &long,
            "line 2 is longer than 1048576 bytes",
        ),
        (
            "rows missing",
            b"3 1\na 1.5\nb 2.5\n",
            "it ends after 2 of the 3 words",
        ),
        (
            "rows left over",
            b"2 1\na 1\nb 2\nc 3\n",
            "line 4 goes on after the 2 words",
        ),
        (
            "bytes left over in binary",
            b"1 1\na \0\0\x80\x3f\nb \0\0\0\x40",
            "goes on after the 1 words",
        ),
        (
            "an absurd header",
            b"1000000000000000000 300\nthe 0.1",
            "1000000000000000000 words of 300 numbers, which do not fit into its 31 bytes",
        ),
        (
            "an absurd width",
            b"1 1000000000000000000\nthe \0\0\0\0",
            "1 words of 1000000000000000000 numbers",
        ),
        ("no words", b"0 300\n", "0 words of 300 numbers"),
        (
            "not a number in binary",
            b"1 1\na \0\0\xc0\x7f",
            "row 1, `a`, holds NaN",
        ),
        ("no space in binary", &no_space, "row 1 has no word"),
    ];
    for (name, file, says) in cases {
        let text = open(file).unwrap_err().to_string();
        assert!(text.starts_with("words.txt"), "{name}: {text}");
        assert!(text.contains(says), "{name}: {text}");
        assert!(!text.contains('\n') && text.len() < 400, "{name}: {text}");
    }
}

/// Only a text without a header cannot know that rows are missing.
#[test]
fn every_truncation_under_a_header_is_an_error() {
    for (name, bytes) in FILES.into_iter().take(2) {
        for length in 0..bytes.len() - 1 {
            let cut = &bytes[..length];
            // The last number, 1.0, says the same without its last digits.
            if cut.ends_with(b" 1") || cut.ends_with(b" 1.") {
                continue;
            }
            let result = open(cut);
            assert!(
                result.is_err(),
                "{name}: {length} of {} are enough",
                bytes.len()
            );
        }
    }
}
