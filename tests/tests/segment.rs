//! Masks of things and classes of pixels, from the command line.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use bevel_tests::{
    arg, bevel, bevel_json, coco_counts, coco_pixels, mask_iou, needs, root, shared, success,
};
use serde_json::Value;

fn golden(name: &str) -> std::path::PathBuf {
    root().join("tests/golden/segment").join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

fn convert(checkpoint: &Path, bundle: &Path) {
    let arguments = ["convert", arg(checkpoint), "-o", arg(bundle)];
    let output = bevel()
        .args(arguments)
        .args(["--quantize", "none"])
        .output();
    success(&output.unwrap());
}

/// Pixels of a COCO mask of 90×120.
fn pixels(counts: &Value) -> Vec<bool> {
    let pixels = coco_pixels(&coco_counts(counts.as_str().unwrap()));
    assert_eq!(pixels.len(), 90 * 120, "{counts}");
    pixels
}

fn iou(a: &Value, b: &Value) -> f64 {
    mask_iou(&pixels(a), &pixels(b))
}

#[test]
fn things_and_their_masks_are_torchvisions() {
    let checkpoint = needs!(shared("golden/vision/maskrcnn_resnet18_fpn"));
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    convert(&checkpoint, &bundle);
    let (picture, drawn) = (golden("picture.png"), out.path().join("drawn"));
    let arguments = [
        arg(&bundle),
        arg(&picture),
        "--output",
        arg(&drawn),
        "--json",
    ];
    let answers = bevel_json(&[&["run"], &arguments[..]].concat());
    let found = answers[0]["boxes"].as_array().unwrap();
    let expected = read("things.json");
    assert_eq!(
        (&answers[0]["width"], &answers[0]["height"]),
        (&120.into(), &90.into())
    );
    assert_eq!(found.len(), expected["scores"].as_array().unwrap().len());
    for (i, thing) in found.iter().enumerate() {
        assert_eq!(thing["index"], expected["labels"][i]);
        let score = |v: &Value| v.as_f64().unwrap();
        let gap = score(&thing["score"]) - score(&expected["scores"][i]);
        assert!(gap.abs() <= 1e-4, "{i}: {gap}");
        for k in 0..4 {
            let gap = score(&thing["box"][k]) - score(&expected["boxes"][i][k]);
            assert!(gap.abs() <= 1e-2, "{i}: {gap}");
        }
        assert_eq!(thing["mask"]["size"], serde_json::json!([90, 120]));
        let overlap = iou(&thing["mask"]["counts"], &expected["masks"][i]);
        assert!(overlap >= 0.99, "{i}: {overlap}");
    }
    let before = image::open(&picture).unwrap().into_rgb8();
    let after = image::open(drawn.join("picture.png")).unwrap().into_rgb8();
    assert_eq!(before.dimensions(), after.dimensions());
    assert_ne!(before, after);
    // Fewer where more is asked of them.
    let fewer = bevel_json(&[
        "run",
        arg(&bundle),
        arg(&picture),
        "--max-boxes",
        "2",
        "--json",
    ]);
    assert_eq!(fewer[0]["boxes"].as_array().unwrap().len(), 2);
}

#[test]
fn classes_of_pixels_are_pytorchs() {
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("case.bevel");
    convert(&golden("unet"), &bundle);
    let (picture, drawn) = (golden("picture.png"), out.path().join("drawn"));
    let expected = read("regions.json");
    for activation in ["softmax", "sigmoid"] {
        let file = bundle.join("bundle.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("\"softmax\"", &format!("\"{activation}\""));
        std::fs::write(&file, text).unwrap();
        let arguments = [
            arg(&bundle),
            arg(&picture),
            "--output",
            arg(&drawn),
            "--json",
        ];
        let answers = bevel_json(&[&["run"], &arguments[..]].concat());
        let found = answers[0]["classes"].as_array().unwrap();
        assert!(found.len() > 1, "{found:?}");
        let mut share = 0.0;
        for class in found {
            let index = class["index"].as_u64().unwrap() as usize;
            let overlap = iou(&class["mask"]["counts"], &expected[activation][index]);
            assert!(overlap >= 0.99, "{activation} {index}: {overlap}");
            share += class["share"].as_f64().unwrap();
        }
        let map = answers[0]["mask"].as_str().unwrap();
        let map = image::open(map).unwrap().into_luma8();
        assert_eq!(map.dimensions(), (120, 90));
        if activation == "softmax" {
            assert!((share - 1.0).abs() < 1e-5, "{share}");
            let first = pixels(&expected[activation][1]);
            let same = map
                .enumerate_pixels()
                .filter(|(x, y, value)| first[(x * 90 + y) as usize] == (value.0[0] == 1));
            assert!(same.count() >= 90 * 120 * 99 / 100);
        }
    }
}
