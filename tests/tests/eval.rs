//! `bevel eval` over real models and labelled data, from the shell.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use bevel_tests::{arg, bevel, bevel_json, bundle, needs, pulled, root, shared, success};
use serde_json::{Value, json};

fn figure<'v>(report: &'v Value, name: &str) -> &'v Value {
    let mut figures = report["metrics"].as_array().unwrap().iter();
    let found = figures.find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {report}"))
}

fn value(report: &Value, name: &str) -> f64 {
    figure(report, name)["value"].as_f64().unwrap()
}

fn close(found: f64, expected: f64, by: f64) {
    assert!(
        (found - expected).abs() <= by,
        "{found}, expected {expected}"
    );
}

fn yolox() -> Option<(PathBuf, PathBuf)> {
    let graph = pulled("yolox-nano")?.join("yolox_nano.onnx");
    Some((graph, root().join("models/detect/yolox-nano.toml")))
}

/// SOURCES.md of ../shared/data: mAP50-95 0.3217 by pycocotools. On the very same boxes pycocotools says
/// what Bevel says: `tests/peers/evaluate.py`.
#[test]
fn detections_have_the_precision_of_the_reference() {
    let (graph, recipe) = needs!(yolox());
    let data = needs!(shared("data/vision/coco-mini"));
    let eval = ["eval", arg(&graph), arg(&data), "--recipe", arg(&recipe)];
    let report = bevel_json(&[&eval[..], &["--json"]].concat()).remove(0);
    assert_eq!(report["samples"], 79);
    assert_eq!(report["main"], "mAP50-95");
    close(value(&report, "mAP50-95"), 0.3217, 1e-3);
    let main = figure(&report, "mAP50-95");
    assert!(main["low"].as_f64() < main["value"].as_f64());
    assert!(main["value"].as_f64() < main["high"].as_f64());
    let classes = report["classes"].as_array().unwrap();
    let person = classes
        .iter()
        .find(|class| class["label"] == "person")
        .unwrap();
    assert!(person["truths"].as_u64().unwrap() > 100, "{person}");
    assert!(
        (0.3..0.5).contains(&person["values"]["AP50-95"].as_f64().unwrap()),
        "{person}"
    );

    // One class, as a person reads it; and the user's own threshold is left alone.
    let strict = [&eval[..], &["--min-score", "0.6", "--limit", "20"]].concat();
    let text = success(&bevel().args(strict).output().unwrap());
    assert!(
        text.contains("20 samples") && text.contains("person"),
        "{text}"
    );
}

#[test]
fn photos_are_of_the_classes_that_their_names_say() {
    let model = needs!(bundle("efficientnet-lite0"));
    let data = needs!(shared("data/vision/imagenet-sample"));
    let eval = [
        "eval",
        arg(&model),
        arg(&data),
        "--variant",
        "fp32",
        "--json",
    ];
    let report = bevel_json(&eval).remove(0);
    // What fp32 PyTorch reaches: models/classify/efficientnet-lite0.toml.
    close(value(&report, "top1"), 0.88, 1e-9);
    assert!(value(&report, "top5") >= 0.96);
    let counts = report["confusion"]["counts"].as_array().unwrap();
    assert_eq!(
        counts.len(),
        report["confusion"]["labels"].as_array().unwrap().len()
    );
    let sum: u64 = counts
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(sum, 50);
    assert!(report.get("groups").is_none());
}

#[test]
fn speech_has_the_word_error_rate_of_its_transcripts() {
    let model = needs!(bundle("whisper-base"));
    let data = needs!(shared("data/speech"));
    let eval = [
        "eval",
        arg(&model),
        arg(&data),
        "--variant",
        "fp32",
        "--json",
        "--limit",
        "3",
    ];
    let report = bevel_json(&eval).remove(0);
    assert_eq!(report["metrics"][0]["better"], "lower");
    // "there under" for "thereunder" in 44 words.
    assert!(value(&report, "wer") <= 0.08, "{report}");
    assert!(value(&report, "cer") < value(&report, "wer"));
    assert!(report["worst"].as_f64().unwrap() >= value(&report, "wer"));
}

#[test]
fn variants_agree_on_texts_without_labels() {
    let model = needs!(bundle("all-minilm-l6-v2"));
    let data = needs!(shared("data/text/amazon_reviews.tsv"));
    let more = ["--column", "text=2", "--limit", "64", "--json"];
    let eval = [
        &["eval", arg(&model), arg(&data), "--compare", "fp32"],
        &more[..],
    ]
    .concat();
    let report = bevel_json(&eval).remove(0);
    assert_eq!(report["main"], "cosine");
    assert!(value(&report, "cosine") > 0.95);
    assert!(report["worst"].as_f64().unwrap() <= value(&report, "cosine"));
    assert_eq!(report["compared"]["with"], "fp32");
    let same = [&eval[..], &["--variant", "fp32"]].concat();
    close(value(&bevel_json(&same).remove(0), "cosine"), 1.0, 1e-6);

    // Alone they say nothing.
    let alone = [&["eval", arg(&model), arg(&data)], &more[..]].concat();
    let refused = bevel().args(alone).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--compare"));
}

/// Ratings are made up; `spearmanr` and `pearsonr` of scipy 1.17.1 over cosines of the vectors that
/// transformers 5.23 makes, the mean over tokens, say what is expected.
#[test]
fn rated_pairs_are_parted_and_compared() {
    let model = needs!(bundle("all-minilm-l6-v2"));
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("pairs.csv");
    let rows = "kind,sentence1,sentence2,score\n\
                pet,A cat sleeps.,A kitten is asleep.,4.5\n\
                pet,A dog barks.,The stock market fell.,0.2\n\
                pet,A bird sings in the tree.,A bird is singing.,4.2\n\
                food,He eats an apple.,He is eating a red apple.,4.4\n\
                food,She cooks soup.,The engine has broken down.,0.1\n\
                food,They bake bread.,They bake a cake.,2.5\n";
    std::fs::write(&table, rows).unwrap();
    let eval = [
        "eval",
        arg(&model),
        arg(&table),
        "--variant",
        "fp32",
        "--compare",
        "int8",
    ];
    let report = bevel_json(&[&eval[..], &["--group", "kind", "--json"]].concat()).remove(0);
    close(value(&report, "spearman"), 0.7714285714285715, 1e-9);
    close(value(&report, "pearson"), 0.955151836691492, 1e-4);
    let groups = report["groups"].as_array().unwrap();
    let names: Vec<_> = groups
        .iter()
        .map(|group| (&group["group"], &group["samples"]))
        .collect();
    assert_eq!(json!(names), json!([["food", 3], ["pet", 3]]));
    assert!(report["gap"].as_f64().unwrap() >= 0.0);
    let change = report["compared"]["change"]["value"].as_f64().unwrap();
    let other = report["compared"]["metrics"][0]["value"].as_f64().unwrap();
    close(change, value(&report, "spearman") - other, 1e-9);
    let text = success(
        &bevel()
            .args(eval)
            .args(["--group", "kind"])
            .output()
            .unwrap(),
    );
    assert!(
        text.contains("gap") && text.contains("change of spearman"),
        "{text}"
    );
}

/// `exp` of the mean loss over all tokens but the first of each text, of transformers 5.23 in f64 on the
/// checkpoint of `tests/golden/generate`.
#[test]
fn perplexity_is_that_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("small.bevel");
    let checkpoint = root().join("tests/golden/generate/checkpoint");
    let mut convert = bevel();
    success(
        &convert
            .args(["convert", arg(&checkpoint), "-o", arg(&model)])
            .args(["--quantize", "none"])
            .output()
            .unwrap(),
    );
    let texts = folder.path().join("texts.txt");
    std::fs::write(
        &texts,
        "the quick brown fox\na small model in a small box\none\n",
    )
    .unwrap();
    let report = bevel_json(&["eval", arg(&model), arg(&texts), "--json"]).remove(0);
    assert_eq!(
        (&report["samples"], &report["main"]),
        (&Value::from(3), &Value::from("perplexity"))
    );
    let expected = 3652.7885598519133;
    close(value(&report, "perplexity"), expected, 1e-4 * expected);
}

#[test]
fn what_cannot_be_evaluated_is_told() {
    let (graph, recipe) = needs!(yolox());
    let folder = tempfile::tempdir().unwrap();
    let coco = folder.path().join("instances.json");
    std::fs::write(
        &coco,
        r#"{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}"#,
    )
    .unwrap();
    std::fs::write(folder.path().join("a.jpg"), "not a picture").unwrap();
    let missing = folder.path().join("none");
    for (name, data, says) in [
        ("a broken picture", &coco, "a.jpg"),
        ("no dataset", &missing, "does not exist"),
    ] {
        let arguments = [
            "eval",
            arg(&graph),
            arg(data),
            "--recipe",
            arg(&recipe),
            "--json",
        ];
        let output = bevel().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains(says) && error.lines().count() == 1,
            "{name}: {error}"
        );
    }
}

/// What transformers answers for `tests/golden/heads/bert` is taken for the truth, except where a row
/// says otherwise.
#[test]
fn heads_of_texts_are_held_to_labels_entities_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = root().join("tests/golden/heads/bert");
    let text = std::fs::read_to_string(checkpoint.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let report = |task: &str, rows: &[Value]| {
        let model = folder.path().join(format!("{task}.bevel"));
        let arguments = [
            "convert",
            arg(&checkpoint),
            "-o",
            arg(&model),
            "--task",
            task,
        ];
        success(
            &bevel()
                .args(arguments)
                .args(["--quantize", "none"])
                .output()
                .unwrap(),
        );
        let table = folder.path().join(format!("{task}.jsonl"));
        let lines: Vec<_> = rows.iter().map(Value::to_string).collect();
        std::fs::write(&table, lines.join("\n")).unwrap();
        bevel_json(&["eval", arg(&model), arg(&table), "--json"]).remove(0)
    };

    let rows = expected["classify"].as_array().unwrap().iter().enumerate();
    let rows: Vec<_> = rows
        .map(|(at, row)| {
            let label = &row["labels"][usize::from(at == 0)]["label"];
            json!({"text": row["text"], "label": label})
        })
        .collect();
    let found = report("classify", &rows);
    let share = (rows.len() - 1) as f64 / rows.len() as f64;
    close(value(&found, "top1"), share, 1e-9);
    close(value(&found, "top5"), 1.0, 1e-9);

    let rows = expected["answer"].as_array().unwrap().iter().enumerate();
    let rows: Vec<_> = rows
        .map(|(at, row)| {
            let answers = if at == 0 {
                json!(["something else"])
            } else {
                row["answer"].clone()
            };
            json!({"question": row["question"], "context": row["context"], "answers": answers})
        })
        .collect();
    let found = report("answer", &rows);
    let share = (rows.len() - 1) as f64 / rows.len() as f64;
    close(value(&found, "exact_match"), share, 1e-9);

    // The pipeline of transformers finds "Ada" and "Rome" (LOC), "and Paris" (PER), and "is" (PER).
    let rows = [
        json!({"tokens": ["Ada", "went", "to", "Rome", "and", "Paris"],
               "tags": ["B-LOC", "O", "O", "B-LOC", "O", "B-PER"]}),
        json!({"tokens": ["Zoë", "is", "here"], "tags": ["O", "B-PER", "O"]}),
        json!({"tokens": ["The", "kettle", "is", "on", "the", "table"], "tags": [0, 0, 0, 0, 0, 0]}),
    ];
    let found = report("tag", &rows);
    close(value(&found, "f1"), 0.75, 1e-9);
    let classes = found["classes"].as_array().unwrap();
    let f1 = |at: usize| {
        (
            classes[at]["label"].as_str(),
            classes[at]["values"]["f1"].as_f64(),
        )
    };
    assert_eq!(
        (f1(0), f1(1)),
        ((Some("LOC"), Some(1.0)), (Some("PER"), Some(0.5)))
    );
}

/// `jaccard_score(…, average="macro")` and `accuracy_score` of scikit-learn 1.9.1 over the classes that
/// PyTorch answers (`tests/golden/segment/regions.json`) and a chessboard, of which 5 columns do not count.
#[test]
fn classes_of_pixels_are_held_to_masks() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("unet.bevel");
    let golden = root().join("tests/golden/segment");
    let mut convert = bevel();
    convert.args(["convert", arg(&golden.join("unet")), "-o", arg(&model)]);
    success(&convert.output().unwrap());
    let data = folder.path().join("data");
    for inside in ["images", "masks"] {
        std::fs::create_dir_all(data.join(inside)).unwrap();
    }
    std::fs::copy(golden.join("picture.png"), data.join("images/a.png")).unwrap();
    let mask = image::GrayImage::from_fn(120, 90, |x, y| match x {
        0..5 => image::Luma([255]),
        _ => image::Luma([((x / 40 + y / 30) % 2) as u8]),
    });
    mask.save(data.join("masks/a.png")).unwrap();
    let report = bevel_json(&["eval", arg(&model), arg(&data), "--json"]).remove(0);
    close(value(&report, "mIoU"), 0.28596303623056957, 1e-4);
    close(value(&report, "pixel accuracy"), 0.4678260869565217, 1e-4);
    assert_eq!(report["classes"][0]["truths"], 5700);
}
