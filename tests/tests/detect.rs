//! YOLOX-nano, a plain ONNX with its recipe, over labelled pictures.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use bevel::vision::{ImageView, load_image};
use bevel::{Bundle, Detect, Options, Pipeline};
use bevel_tests::{arg, bevel_json, needs, pulled, root, shared};
use hotcoco::params::IouType;
use hotcoco::{COCO, COCOeval};
use serde_json::{Value, json};

fn model() -> Option<(PathBuf, PathBuf)> {
    let graph = pulled("yolox-nano")?.join("yolox_nano.onnx");
    Some((graph, root().join("models/detect/yolox-nano.toml")))
}

/// The reference decode (README of ../shared/data): 0.3217 by pycocotools.
#[test]
fn map_over_coco_mini_is_the_references() {
    let (graph, recipe) = needs!(model());
    let data = needs!(shared("data/vision/coco-mini"));
    let mut options = Options::default();
    (options.min_score, options.iou, options.max_boxes) = (Some(0.001), Some(0.65), Some(100));
    let bundle = Bundle::load_with_recipe(&graph, &recipe).unwrap();
    let mut detect = Pipeline::<Detect>::load(&bundle, &options).unwrap();

    let truth = data.join("instances.json");
    let text = std::fs::read_to_string(&truth).unwrap();
    let annotations: Value = serde_json::from_str(&text).unwrap();
    let mut ids: Vec<_> = annotations["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].as_u64())
        .collect();
    ids.sort_unstable();
    let mut results = Vec::new();
    for image in annotations["images"].as_array().unwrap() {
        let path = data
            .join("images")
            .join(image["file_name"].as_str().unwrap());
        let picture = load_image(&path).unwrap();
        let (width, height) = picture.dimensions();
        let view = ImageView::from_rgb(picture.as_raw(), width, height).unwrap();
        let found = detect.run(&[view]).unwrap().remove(0);
        for one in found.boxes {
            let [x1, y1, x2, y2] = one.xyxy;
            results.push(json!({
                "image_id": image["id"],
                "category_id": ids[one.index],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": one.score,
            }));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let detections = folder.path().join("detections.json");
    std::fs::write(&detections, serde_json::to_string(&results).unwrap()).unwrap();
    let truth = COCO::new(&truth).unwrap();
    let detections = truth.load_res(&detections).unwrap();
    let mut evaluation = COCOeval::new(truth, detections, IouType::Bbox);
    evaluation.run().unwrap();
    let stats = evaluation.stats().unwrap();
    println!("mAP50-95 {:.4}, mAP50 {:.4}", stats[0], stats[1]);
    assert!(stats[0] * 100.0 >= 31.8, "mAP50-95 {}", stats[0]);
}

#[test]
fn json_has_the_documented_keys_and_the_picture_is_written() {
    let (graph, recipe) = needs!(model());
    let picture = root().join("docs/coffee.jpg");
    let out = tempfile::tempdir().unwrap();
    let lines = bevel_json(&[
        "run",
        arg(&graph),
        arg(&picture),
        "--recipe",
        arg(&recipe),
        "--json",
        "--output",
        arg(out.path()),
    ]);
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(
        (line["width"].as_u64(), line["height"].as_u64()),
        (Some(600), Some(400))
    );
    let boxes = line["boxes"].as_array().unwrap();
    assert_eq!(boxes[0]["label"], "cup");
    let scores: Vec<_> = boxes.iter().map(|b| b["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|i| boxes[0]["box"][i].as_f64().unwrap());
    assert!(0.0 <= x1 && x1 < x2 && x2 <= 600.0 && 0.0 <= y1 && y1 < y2 && y2 <= 400.0);
    let drawn = load_image(&out.path().join("coffee.jpg")).unwrap();
    assert_eq!(drawn.dimensions(), (600, 400));
}

#[test]
fn what_is_written_takes_no_place_of_an_input() {
    let (graph, recipe) = needs!(model());
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("coffee.jpg");
    std::fs::copy(root().join("docs/coffee.jpg"), &picture).unwrap();
    let before = std::fs::read(&picture).unwrap();
    let run = ["run", arg(&graph), arg(&picture), "--recipe", arg(&recipe)];
    let output = ["--json", "--output", arg(folder.path())];
    bevel_json(&[&run[..], &output].concat());
    assert_eq!(std::fs::read(&picture).unwrap(), before);
    let drawn = load_image(&folder.path().join("coffee-2.jpg")).unwrap();
    assert_eq!(drawn.dimensions(), (600, 400));
}

#[test]
fn a_directory_is_answered_in_order_of_name_and_a_bad_file_alone_fails() {
    let (graph, recipe) = needs!(model());
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("docs/coffee.jpg"), folder.path().join("c.jpg")).unwrap();
    std::fs::copy(root().join("docs/coffee.jpg"), folder.path().join("a.jpg")).unwrap();
    std::fs::write(folder.path().join("b.jpg"), b"not a picture").unwrap();
    let mut command = bevel_tests::bevel();
    command.args([
        "run",
        arg(&graph),
        arg(folder.path()),
        "--recipe",
        arg(&recipe),
        "--json",
    ]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let names: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|l| {
            serde_json::from_str::<Value>(l).unwrap()["input"]
                .as_str()
                .unwrap()
                .to_string()
        })
        .collect();
    assert_eq!(names.len(), 2);
    assert!(
        names[0].ends_with("a.jpg") && names[1].ends_with("c.jpg"),
        "{names:?}"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("b.jpg"));
}

#[test]
fn preprocessing_allocates_nothing_after_warm_up() {
    let (graph, recipe) = needs!(model());
    let bundle = Bundle::load_with_recipe(&graph, &recipe).unwrap();
    let mut detect = Pipeline::<Detect>::load(&bundle, &Options::default()).unwrap();
    let picture = load_image(&root().join("docs/coffee.jpg")).unwrap();
    let view = ImageView::from_rgb(picture.as_raw(), picture.width(), picture.height()).unwrap();
    detect.prepare(&[view]).unwrap();
    let counted = allocation_counter::measure(|| {
        for _ in 0..10 {
            detect.prepare(&[view]).unwrap();
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
