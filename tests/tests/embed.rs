//! MiniLM converted by us against transformers in fp32 PyTorch.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel::{Bundle, Embed, Options, Pipeline};
use bevel_tests::{Tolerance, arg, bevel_json, bundle, golden, needs, root, shared};

fn reviews() -> Option<Vec<String>> {
    let text = std::fs::read_to_string(shared("data/text/amazon_reviews.tsv")?).unwrap();
    Some(
        text.lines()
            .filter_map(|l| Some(l.split_once('\t')?.1.to_string()))
            .collect(),
    )
}

fn pipeline(variant: &str) -> Option<Pipeline<Embed>> {
    let bundle = Bundle::load(&bundle("all-minilm-l6-v2")?).unwrap();
    let mut options = Options::default();
    options.variant = Some(variant.into());
    Some(Pipeline::load(&bundle, &options).unwrap())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn fp32_vectors_are_those_of_transformers() {
    let reviews = needs!(reviews());
    let mut embed = needs!(pipeline("fp32"));
    let golden = golden(&root().join("tests/golden/minilm/embeddings.safetensors"));
    let (shape, expected) = &golden["embeddings"];
    for (row, line) in golden["lines"].1.iter().enumerate() {
        let found = embed.run(&[reviews[*line as usize - 1].as_str()]).unwrap();
        let found: Vec<f64> = found[0].embedding.iter().map(|v| f64::from(*v)).collect();
        let expected = &expected[row * shape[1]..][..shape[1]];
        Tolerance::Close.check(&format!("line {line}"), &found, expected);
    }
}

#[test]
fn int8_vectors_stay_close_to_fp32() {
    let reviews = needs!(reviews());
    let (mut fp32, mut int8) = (needs!(pipeline("fp32")), needs!(pipeline("int8")));
    let texts: Vec<_> = reviews.iter().take(64).map(String::as_str).collect();
    let (a, b) = (fp32.run(&texts).unwrap(), int8.run(&texts).unwrap());
    let cosines: Vec<_> = a
        .iter()
        .zip(&b)
        .map(|(a, b)| cosine(&a.embedding, &b.embedding))
        .collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    println!("mean cosine {mean:.4}");
    // onnxruntime.quantization per channel: 0.9915 on this model.
    assert!(mean >= 0.9915, "mean cosine {mean}");
}

#[test]
fn a_batch_of_any_size_answers_in_order_and_as_alone() {
    let reviews = needs!(reviews());
    let mut embed = needs!(pipeline("fp32"));
    for size in [1, 2, 31, 33, 70] {
        let texts: Vec<_> = reviews.iter().take(size).map(String::as_str).collect();
        let together = embed.run(&texts).unwrap();
        assert_eq!(together.len(), size);
        for (text, answer) in texts.iter().zip(&together).step_by(7) {
            let alone = embed.run(&[text]).unwrap();
            let as_f64 = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            Tolerance::Close.check(
                text,
                &as_f64(&answer.embedding),
                &as_f64(&alone[0].embedding),
            );
        }
    }
}

#[test]
fn json_has_the_documented_keys() {
    let bundle = needs!(bundle("all-minilm-l6-v2"));
    let lines = bevel_json(&[
        "run",
        arg(&bundle),
        "Good morning",
        "",
        "🦀 مرحبا",
        "--json",
    ]);
    assert_eq!(lines.len(), 3);
    for (line, input) in lines.iter().zip(["Good morning", "", "🦀 مرحبا"]) {
        assert_eq!(
            (line["input"].as_str(), line["task"].as_str()),
            (Some(input), Some("embed"))
        );
        let vector: Vec<f64> = line["embedding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        assert_eq!(vector.len(), 384);
        let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
        for stage in ["prepare", "run", "decode"] {
            assert!(line["ms"][stage].as_f64().unwrap() >= 0.0);
        }
    }
}

#[test]
fn a_text_of_100_000_words_is_cut_at_max_tokens() {
    let mut embed = needs!(pipeline("int8"));
    let long = "word ".repeat(100_000);
    let cut = "word ".repeat(300);
    let answers = embed.run(&[long.as_str(), cut.as_str()]).unwrap();
    // Both fill the window of 256 tokens with the same word, so nothing tells them apart.
    assert!(cosine(&answers[0].embedding, &answers[1].embedding) > 0.9999);
}
