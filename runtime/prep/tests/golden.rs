//! Resizing against OpenCV and Pillow, NMS against torchvision; the files say how they were made.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use bevel_manifest::{ChannelOrder, ImageInput, Interpolation, Resize};
use bevel_prep::image::{ImageView, Preprocess};
use bevel_prep::score::{Box2d, Nms};
use safetensors::SafeTensors;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/golden")
            .join(name),
    )
    .unwrap()
}

/// Our resampler computes in f32 and rounds once; OpenCV rounds weights to 11 bits and Pillow the
/// picture between its two passes. So values may differ by one level where the exact result lies
/// near the middle of two.
#[test]
fn resized_pixels_are_within_one_level() {
    let cases = [
        (
            "resize/opencv.safetensors",
            "bilinear",
            Interpolation::Bilinear,
        ),
        (
            "resize/pillow.safetensors",
            "bilinear",
            Interpolation::BilinearAntialias,
        ),
        (
            "resize/pillow.safetensors",
            "bicubic",
            Interpolation::BicubicAntialias,
        ),
    ];
    for (file, prefix, interpolation) in cases {
        let bytes = read(file);
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut seen = 0;
        for (name, expected) in tensors.tensors() {
            let Some(rest) = name.strip_prefix(prefix).and_then(|n| n.strip_prefix('.')) else {
                continue;
            };
            let (source, _) = rest.split_once(".to.").unwrap();
            let source = tensors.tensor(&format!("source.{source}")).unwrap();
            let (found, [h, w]) = resize(
                source.data(),
                source.shape(),
                expected.shape(),
                interpolation,
            );
            for (i, level) in expected.data().iter().enumerate() {
                let (pixel, color) = (i / 3, i % 3);
                let gap = found[color * h * w + pixel] - f32::from(*level);
                assert!(
                    gap.abs() <= 1.0,
                    "{file} {name} pixel {pixel}: off by {gap}"
                );
            }
            seen += 1;
        }
        assert!(seen >= 10, "{file}: {seen} cases");
    }
}

fn resize(
    pixels: &[u8],
    from: &[usize],
    to: &[usize],
    interpolation: Interpolation,
) -> (Vec<f32>, [usize; 2]) {
    let spec = ImageInput {
        width: to[1] as u32,
        height: to[0] as u32,
        resize: Resize::Stretch,
        interpolation,
        channels: ChannelOrder::Rgb,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let mut out = vec![0.0; 3 * to[0] * to[1]];
    let view = ImageView::from_rgb(pixels, from[1] as u32, from[0] as u32).unwrap();
    Preprocess::default().run(&spec, view, &mut out);
    (out, [to[0], to[1]])
}

#[test]
fn kept_boxes_are_torchvisions() {
    let bytes = read("nms/nms.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let f32s = |name: &str| -> Vec<f32> {
        let chunks = tensors.tensor(name).unwrap().data().chunks_exact(4);
        chunks
            .map(|c| f32::from_le_bytes(c.try_into().unwrap()))
            .collect()
    };
    let i64s = |name: &str| -> Vec<usize> {
        let chunks = tensors.tensor(name).unwrap().data().chunks_exact(8);
        chunks
            .map(|c| i64::from_le_bytes(c.try_into().unwrap()) as usize)
            .collect()
    };
    let (boxes, scores, classes) = (f32s("boxes"), f32s("scores"), i64s("classes"));
    let (counts, ious) = (i64s("counts"), f32s("iou"));
    let mut nms = Nms::default();
    for (keeps, lengths, by_class) in [
        ("keep", "keep_counts", false),
        ("classwise", "classwise_counts", true),
    ] {
        let (keeps, lengths) = (i64s(keeps), i64s(lengths));
        let (mut at, mut kept_at) = (0, 0);
        for (case, (&count, &iou)) in counts.iter().zip(&ious).enumerate() {
            let boxed = |i: usize| Box2d {
                xyxy: [0, 1, 2, 3].map(|k| boxes[i * 4 + k]),
                class: if by_class { classes[i] as u32 } else { 0 },
                score: scores[i],
                prediction: i as u32,
            };
            let all: Vec<_> = (at..at + count).map(boxed).collect();
            let expected: Vec<_> = keeps[kept_at..kept_at + lengths[case]]
                .iter()
                .map(|&i| all[i])
                .collect();
            assert_eq!(
                nms.run(&all, iou, usize::MAX),
                expected,
                "case {case}, {by_class}"
            );
            at += count;
            kept_at += lengths[case];
        }
    }
}
