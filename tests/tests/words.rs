//! Word vectors: the golden table against its recorded rows, and texts against
//! sentence-transformers.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel_tests::{Tolerance, arg, bevel, bevel_json, golden, needs, root, shared, success};

#[test]
fn a_table_of_words_embeds_text() {
    let case = needs!(shared("golden/other/glove"));
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("glove.bevel");
    let mut convert = bevel();
    convert.args(["convert", arg(&case), "-o", arg(&bundle)]);
    success(&convert.output().unwrap());
    let io = case.join("io.safetensors");
    let mut verify = bevel();
    verify.args(["verify", arg(&bundle), "--io", arg(&io)]);
    success(&verify.output().unwrap());

    let folder = root().join("tests/golden/word-vectors");
    let golden = golden(&folder.join("embeddings.safetensors"));
    let (shape, expected) = &golden["embeddings"];
    let answers = bevel_json(&[
        "run",
        arg(&bundle),
        arg(&folder.join("texts.txt")),
        "--json",
    ]);
    assert_eq!(answers.len(), shape[0]);
    for (answer, expected) in answers.iter().zip(expected.chunks(shape[1])) {
        let embedding = answer["embedding"].as_array().unwrap();
        let found: Vec<f64> = embedding.iter().map(|v| v.as_f64().unwrap()).collect();
        Tolerance::Close.check(answer["input"].as_str().unwrap(), &found, expected);
    }

    let unknown = bevel()
        .args(["run", arg(&bundle), "Nothing of it"])
        .output();
    let unknown = unknown.unwrap();
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let text = String::from_utf8_lossy(&unknown.stderr);
    assert!(text.contains("`Nothing of it`"), "{text}");
}
