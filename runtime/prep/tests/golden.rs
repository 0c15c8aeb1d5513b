//! Resizing against OpenCV and Pillow, NMS and masks against torchvision, run lengths against
//! pycocotools; the files say how they were made.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use bevel_manifest::{ChannelOrder, ImageInput, Interpolation, Resize};
use bevel_prep::image::{ImageView, Preprocess};
use bevel_prep::score::{Box2d, Nms, Paste, Rle};
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
        (
            "resize/pillow.safetensors",
            "nearest",
            Interpolation::Nearest,
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

fn f32s(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let chunks = tensors.tensor(name).unwrap().data().chunks_exact(4);
    chunks
        .map(|c| f32::from_le_bytes(c.try_into().unwrap()))
        .collect()
}

fn i64s(tensors: &SafeTensors<'_>, name: &str) -> Vec<usize> {
    let chunks = tensors.tensor(name).unwrap().data().chunks_exact(8);
    chunks
        .map(|c| i64::from_le_bytes(c.try_into().unwrap()) as usize)
        .collect()
}

#[test]
fn kept_boxes_are_torchvisions() {
    let bytes = read("nms/nms.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (f32s, i64s) = (|name| f32s(&tensors, name), |name| i64s(&tensors, name));
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

#[test]
fn pasted_masks_are_torchvisions_and_their_runs_pycocotools() {
    let bytes = read("masks/masks.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (masks, boxes) = (f32s(&tensors, "masks"), f32s(&tensors, "boxes"));
    let (sides, sizes) = (i64s(&tensors, "sides"), i64s(&tensors, "sizes"));
    let (pasted, lengths) = (f32s(&tensors, "pasted"), i64s(&tensors, "rle_lengths"));
    let texts = tensors.tensor("rle").unwrap().data();
    let [mut mask_at, mut pasted_at, mut text_at] = [0; 3];
    for (case, (&side, &length)) in sides.iter().zip(&lengths).enumerate() {
        let [height, width] = [0, 1].map(|k| sizes[case * 2 + k]);
        let mask = &masks[mask_at..mask_at + side * side];
        let expected = &pasted[pasted_at..pasted_at + height * width];
        let text = std::str::from_utf8(&texts[text_at..text_at + length]).unwrap();
        mask_at += side * side;
        pasted_at += height * width;
        text_at += length;

        let xyxy = [0, 1, 2, 3].map(|k| boxes[case * 4 + k]);
        let paste = Paste::new(mask, xyxy, [height as u32, width as u32]).unwrap();
        let [left, top, right, bottom] = paste.covered();
        let mut found = vec![0.0; height * width];
        let mut rle = Rle::new(height as u32, width as u32);
        rle.run(false, (left * height) as u64);
        paste.columns(|x, column| {
            assert_eq!(column.len(), bottom - top);
            for (y, value) in column.iter().enumerate() {
                found[(top + y) * width + x] = *value;
            }
            rle.column(top as u64, column.iter().map(|value| *value > 0.5));
        });
        assert!(right <= width);
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= 1e-5, "case {case} pixel {i}");
        }
        rle.finish();
        assert_eq!(rle.text(), text, "case {case}");
    }
    assert_eq!(text_at, texts.len());
}

#[test]
fn boxes_that_no_picture_holds_are_pasted_as_far_as_it_goes() {
    let mask = [0.9; 4];
    for xyxy in [
        [-1e30, -1e30, 1e30, 1e30],
        [50.0, 50.0, 60.0, 60.0],
        [f32::NAN; 4],
        [8.0, 8.0, 2.0, 2.0],
        [f32::NEG_INFINITY, 0.0, f32::INFINITY, 4.0],
    ] {
        let paste = Paste::new(&mask, xyxy, [10, 20]).unwrap();
        let mut pixels = 0;
        paste.columns(|x, column| {
            assert!(x < 20 && column.len() <= 10);
            pixels += column.len();
        });
        assert!(pixels <= 200, "{xyxy:?}");
    }
    assert!(Paste::new(&[0.5; 3], [0.0; 4], [10, 20]).is_none());
}
