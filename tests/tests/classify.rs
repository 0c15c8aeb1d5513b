//! Classifiers converted from their `.pth`, against fp32 PyTorch.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel::vision::{ImageView, load_image};
use bevel::{Classify, Options, Pipeline};
use bevel_tests::{arg, bevel, bundle, needs, root, shared, success};
use serde_json::Value;

#[test]
fn top1_is_within_one_photo_of_pytorch() {
    let bundle = needs!(bundle("efficientnet-lite0"));
    let photos = needs!(shared("data/vision/imagenet-sample"));
    let golden = root().join("tests/golden/efficientnet-lite0/top1.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    let mut classify = Pipeline::<Classify>::open(&bundle, &Options::default()).unwrap();
    let (mut right, mut agreed, mut total) = (0i64, 0, 0);
    for (name, predicted) in golden["predictions"].as_object().unwrap() {
        let photo = load_image(&photos.join(name)).unwrap();
        let view = ImageView::from_rgb(photo.as_raw(), photo.width(), photo.height()).unwrap();
        let best = classify.run(&[view]).unwrap()[0].labels[0].index as u64;
        let truth: u64 = name[..3].parse().unwrap();
        right += i64::from(best == truth);
        agreed += usize::from(Some(best) == predicted.as_u64());
        total += 1;
    }
    println!("{right} of {total} right, {agreed} as PyTorch answers");
    let reference = golden["top1"].as_i64().unwrap();
    assert!(
        (right - reference).abs() <= 1,
        "{right} right, PyTorch {reference}"
    );
    assert!(
        agreed + 1 >= total,
        "{agreed} of {total} as PyTorch answers"
    );
}

/// A state dict of torchvision, its labels and its preparation: `tests/golden/classify`.
#[test]
fn a_picture_shows_what_torchvision_says() {
    let pictures = needs!(shared("data/vision/coco-mini/images"));
    let golden = root().join("tests/golden/classify");
    let out = tempfile::tempdir().unwrap();
    let bundle = out.path().join("small.bevel");
    let checkpoint = golden.join("checkpoint");
    let convert = ["convert", arg(&checkpoint), "-o", arg(&bundle)];
    success(&bevel().args(convert).output().unwrap());
    let expected = std::fs::read_to_string(golden.join("top5.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let picture = pictures.join(name);
        let run = ["run", arg(&bundle), arg(&picture), "--json"];
        let answer = success(&bevel().args(run).output().unwrap());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        println!("{name}: {}", answer["labels"]);
        let found = answer["labels"].as_array().unwrap();
        let expected = expected.as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found["label"], expected["label"], "{name}");
            assert_eq!(found["index"], expected["index"], "{name}");
            let [found, expected] = [found, expected].map(|row| row["score"].as_f64().unwrap());
            assert!(
                (found - expected).abs() <= 1e-3,
                "{name}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn preprocessing_allocates_nothing_after_warm_up() {
    let bundle = needs!(bundle("efficientnet-lite0"));
    let mut classify = Pipeline::<Classify>::open(&bundle, &Options::default()).unwrap();
    let photo = load_image(&root().join("docs/coffee.jpg")).unwrap();
    let view = ImageView::from_rgb(photo.as_raw(), photo.width(), photo.height()).unwrap();
    classify.prepare(&[view]).unwrap();
    let counted = allocation_counter::measure(|| {
        classify.prepare(&[view]).unwrap();
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
