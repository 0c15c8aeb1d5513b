use super::*;
use bevel_manifest::Interpolation;

fn spec(width: u32, height: u32, resize: Resize) -> ImageInput {
    ImageInput {
        width,
        height,
        resize,
        interpolation: Interpolation::Bilinear,
        channels: ChannelOrder::Rgb,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}

fn run(spec: &ImageInput, pixels: &[u8], width: u32, height: u32) -> (Vec<f32>, Fit) {
    let mut out = vec![f32::NAN; 3 * spec.width as usize * spec.height as usize];
    let view = ImageView::from_rgb(pixels, width, height).unwrap();
    let fit = Preprocess::default().run(spec, view, &mut out);
    (out, fit)
}

#[test]
fn same_size_copies_pixels_to_planes_and_normalises() {
    let pixels = [10, 20, 30, 40, 50, 60];
    let mut spec = spec(2, 1, Resize::Stretch);
    assert_eq!(
        run(&spec, &pixels, 2, 1).0,
        [10.0, 40.0, 20.0, 50.0, 30.0, 60.0]
    );
    spec.channels = ChannelOrder::Bgr;
    spec.mean = [30.0, 20.0, 10.0];
    spec.std = [10.0, 10.0, 5.0];
    assert_eq!(run(&spec, &pixels, 2, 1).0, [0.0, 3.0, 0.0, 3.0, 0.0, 6.0]);
}

#[test]
fn letterbox_fills_the_rest_and_boxes_come_back() {
    let pixels = [200u8; 4 * 2 * 3];
    let fill = Resize::Letterbox {
        anchor: Anchor::TopLeft,
        fill: 114,
    };
    let (out, fit) = run(&spec(8, 8, fill), &pixels, 4, 2);
    assert_eq!(
        (out[0], out[8 * 3], out[8 * 4], out[63]),
        (200.0, 200.0, 114.0, 114.0)
    );
    assert_eq!(
        fit,
        Fit {
            scale: [2.0, 2.0],
            offset: [0.0, 0.0]
        }
    );
    let center = Resize::Letterbox {
        anchor: Anchor::Center,
        fill: 0,
    };
    let (out, fit) = run(&spec(8, 8, center), &pixels, 4, 2);
    assert_eq!(
        (out[8], out[8 * 2], out[8 * 5], out[8 * 6]),
        (0.0, 200.0, 200.0, 0.0)
    );
    assert_eq!(fit.to_picture([0.0, 2.0, 8.0, 6.0]), [0.0, 0.0, 4.0, 2.0]);
}

#[test]
fn center_crop_takes_the_middle() {
    // Columns 0, 1, 2, 3 of one row; the middle two stay.
    let pixels: Vec<u8> = (0..4u8)
        .flat_map(|x| [x * 10; 3])
        .collect::<Vec<_>>()
        .repeat(2);
    let (out, fit) = run(
        &spec(2, 2, Resize::CenterCrop { shorter_side: 2 }),
        &pixels,
        4,
        2,
    );
    assert_eq!(out[..4], [10.0, 20.0, 10.0, 20.0]);
    assert_eq!(fit.offset, [-1.0, 0.0]);
}

#[test]
fn extreme_sizes_stay_inside_their_buffers() {
    let sizes = [(1, 1), (1, 300), (300, 1), (2, 3), (5000, 2), (17, 4001)];
    let filters = [
        Interpolation::Bilinear,
        Interpolation::BilinearAntialias,
        Interpolation::BicubicAntialias,
        Interpolation::Nearest,
    ];
    let fits = [
        Resize::Stretch,
        Resize::CenterCrop { shorter_side: 9 },
        Resize::Letterbox {
            anchor: Anchor::TopLeft,
            fill: 9,
        },
        Resize::Letterbox {
            anchor: Anchor::Center,
            fill: 9,
        },
    ];
    for (width, height) in sizes {
        for filter in filters {
            for fit in &fits {
                let mut spec = spec(7, 5, fit.clone());
                spec.interpolation = filter;
                let pixels = vec![9u8; width as usize * height as usize * 3];
                let (out, _) = run(&spec, &pixels, width, height);
                assert!(
                    out.iter().all(|v| *v == 9.0 || *v == 0.0),
                    "{width}×{height} {spec:?}"
                );
            }
        }
    }
}
