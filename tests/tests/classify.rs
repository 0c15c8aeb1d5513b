//! EfficientNet-Lite0, converted from its `.pth`, against fp32 PyTorch.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel::vision::{ImageView, load_image};
use bevel::{Classify, Options, Pipeline};
use bevel_tests::{bundle, needs, root, shared};
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
