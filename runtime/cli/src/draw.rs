//! Boxes, labels and scores drawn into pictures, legible at any size.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use bevel::vision::{Detection, Detections};
use image::{Rgb, RgbImage};

const FONT: &[u8] = include_bytes!("../assets/Roboto-Medium-subset.ttf");

/// Colours that differ in hue and are all dark enough for white text.
const COLORS: [[u8; 3]; 10] = [
    [214, 39, 40],
    [31, 119, 180],
    [44, 130, 44],
    [148, 80, 190],
    [200, 90, 0],
    [0, 128, 128],
    [190, 30, 120],
    [120, 85, 60],
    [70, 80, 200],
    [95, 110, 20],
];

/// A copy of the picture with a frame, label and score for each detection, the best on top.
pub fn boxes(image: &RgbImage, found: &Detections) -> RgbImage {
    let mut canvas = image.clone();
    let side = image.width().min(image.height()) as f32;
    let line = (side / 250.0).round().clamp(1.0, 12.0) as i64;
    let text = (side / 26.0).clamp(11.0, 90.0);
    for detection in found.boxes.iter().rev() {
        frame(&mut canvas, detection.xyxy, line, color(detection.index));
    }
    // Tags after all frames, so that no frame crosses a text.
    for detection in found.boxes.iter().rev() {
        tag(&mut canvas, detection, text, line);
    }
    canvas
}

fn color(index: usize) -> Rgb<u8> {
    // Neighbours in the list, and classes a list apart, get different colours.
    Rgb(COLORS[(index * 7 + index / COLORS.len()) % COLORS.len()])
}

fn fill(canvas: &mut RgbImage, [x1, y1, x2, y2]: [i64; 4], color: Rgb<u8>) {
    let (width, height) = (i64::from(canvas.width()), i64::from(canvas.height()));
    for y in y1.max(0)..y2.min(height) {
        for x in x1.max(0)..x2.min(width) {
            canvas.put_pixel(x as u32, y as u32, color);
        }
    }
}

fn frame(canvas: &mut RgbImage, xyxy: [f32; 4], line: i64, color: Rgb<u8>) {
    let [x1, y1, x2, y2] = xyxy.map(|v| v.round() as i64);
    fill(canvas, [x1, y1, x2, y1 + line], color);
    fill(canvas, [x1, y2 - line, x2, y2], color);
    fill(canvas, [x1, y1, x1 + line, y2], color);
    fill(canvas, [x2 - line, y1, x2, y2], color);
}

/// White text on the frame's colour: above the box, or inside it at the top of the picture.
fn tag(canvas: &mut RgbImage, detection: &Detection, size: f32, line: i64) {
    let Ok(font) = FontRef::try_from_slice(FONT) else {
        return;
    };
    let text = format!("{} {:.2}", detection.label, detection.score);
    let font = font.as_scaled(PxScale::from(size));
    let pad = (size / 5.0).round() as i64;
    let width = text
        .chars()
        .map(|c| font.h_advance(font.glyph_id(c)))
        .sum::<f32>()
        .ceil() as i64;
    let height = size.ceil() as i64;
    let [x1, y1, ..] = detection.xyxy.map(|v| v.round() as i64);
    let room = i64::from(canvas.width()) - (width + 2 * pad);
    let left = x1.min(room).max(0);
    let top = if y1 >= height { y1 - height } else { y1 + line };
    let color = color(detection.index);
    fill(
        canvas,
        [left, top, left + width + 2 * pad, top + height],
        color,
    );
    let mut x = (left + pad) as f32;
    let baseline = top as f32 + (size + font.ascent() + font.descent()) / 2.0;
    for c in text.chars() {
        let id = font.glyph_id(c);
        let glyph = id.with_scale_and_position(size, point(x, baseline));
        x += font.h_advance(id);
        if let Some(outline) = font.outline_glyph(glyph) {
            let origin = outline.px_bounds().min;
            outline.draw(|dx, dy, cover| {
                let (x, y) = (
                    origin.x as i64 + i64::from(dx),
                    origin.y as i64 + i64::from(dy),
                );
                if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                    && let Some(pixel) = canvas.get_pixel_mut_checked(x, y)
                {
                    let cover = cover.clamp(0.0, 1.0);
                    pixel.0 = pixel
                        .0
                        .map(|p| (f32::from(p) + (255.0 - f32::from(p)) * cover) as u8);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_anywhere_in_pictures_of_any_size_stay_inside() {
        for (width, height) in [(1, 1), (40, 9), (640, 480)] {
            let image = RgbImage::new(width, height);
            let (w, h) = (width as f32, height as f32);
            let detection = |xyxy| Detection {
                label: "ø person".into(),
                index: 11,
                score: 0.5,
                xyxy,
            };
            let boxes_ = vec![
                detection([0.0, 0.0, w, h]),
                detection([w, h, w, h]),
                detection([w / 2.0, h / 2.0, w, h]),
            ];
            let drawn = boxes(
                &image,
                &Detections {
                    width,
                    height,
                    boxes: boxes_,
                },
            );
            assert_eq!(drawn.dimensions(), (width, height));
            assert_ne!(drawn, image, "{width}×{height}: nothing was drawn");
        }
    }
}
