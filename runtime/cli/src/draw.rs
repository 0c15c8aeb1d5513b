//! What was found drawn into pictures, legible at any size.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use bevel::Answer;
use bevel::vision::{Detection, Mask, Regions};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};

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

/// A copy of the picture with what was found in it; `None` for answers that are nowhere in a picture.
pub fn answer(image: &RgbImage, answer: &Answer) -> Option<RgbImage> {
    let mut canvas = image.clone();
    match answer {
        Answer::Detect(found) => boxes(&mut canvas, &found.boxes.iter().collect::<Vec<_>>()),
        Answer::Instances(found) => {
            for instance in found.boxes.iter().rev() {
                tint(&mut canvas, &instance.mask, color(instance.detection.index));
            }
            let all: Vec<_> = found.boxes.iter().map(|b| &b.detection).collect();
            boxes(&mut canvas, &all);
        }
        Answer::Pose(found) => {
            let all: Vec<_> = found.boxes.iter().map(|b| &b.detection).collect();
            boxes(&mut canvas, &all);
            for posed in &found.boxes {
                let seen = posed.keypoints.iter().filter(|k| k[2] >= 0.5);
                let color = color(posed.detection.index);
                seen.for_each(|&[x, y, _]| dot(&mut canvas, [x, y], color));
            }
        }
        Answer::Obb(found) => {
            for oriented in found.boxes.iter().rev() {
                let color = color(oriented.detection.index);
                let corners = oriented.corners;
                for (i, from) in corners.into_iter().enumerate() {
                    stroke(&mut canvas, [from, corners[(i + 1) % 4]], color);
                }
            }
        }
        Answer::Regions(found) => {
            for region in &found.classes {
                tint(&mut canvas, &region.mask, color(region.index));
            }
        }
        _ => return None,
    }
    Some(canvas)
}

/// The class of each pixel: its index where each pixel has one class, else 1 more than that of the
/// smallest region it is in, and 0 in none. In 16 bits from 255 classes on.
pub fn map(found: &Regions) -> DynamicImage {
    let first = u16::from(!found.one_is_right);
    let mut map: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::new(found.width, found.height);
    let mut most = 0;
    for region in &found.classes {
        let value = u16::try_from(region.index)
            .unwrap_or(u16::MAX)
            .saturating_add(first);
        most = most.max(value);
        pixels(&region.mask, |x, y| {
            if let Some(pixel) = map.get_pixel_mut_checked(x, y) {
                *pixel = Luma([value]);
            }
        });
    }
    if most > u16::from(u8::MAX) {
        return map.into();
    }
    let narrow = map
        .into_raw()
        .into_iter()
        .map(|value| value as u8)
        .collect();
    let narrow = GrayImage::from_raw(found.width, found.height, narrow);
    narrow.unwrap_or_default().into()
}

fn pixels(mask: &Mask, mut at: impl FnMut(u32, u32)) {
    let height = u64::from(mask.size()[0]).max(1);
    for (begin, count) in mask.runs() {
        for pixel in begin..begin + count {
            at((pixel / height) as u32, (pixel % height) as u32);
        }
    }
}

/// Half of the colour over the pixels of a mask.
fn tint(canvas: &mut RgbImage, mask: &Mask, color: Rgb<u8>) {
    pixels(mask, |x, y| {
        if let Some(pixel) = canvas.get_pixel_mut_checked(x, y) {
            pixel.0 = [0, 1, 2].map(|c| pixel.0[c] / 2 + color.0[c] / 2);
        }
    });
}

/// A disc around a point.
fn dot(canvas: &mut RgbImage, [x, y]: [f32; 2], color: Rgb<u8>) {
    let radius = (canvas.width().min(canvas.height()) as f32 / 200.0).clamp(1.5, 8.0);
    let reach = radius.ceil() as i64;
    for (dx, dy) in (-reach..=reach).flat_map(|dx| (-reach..=reach).map(move |dy| (dx, dy))) {
        let inside = (dx * dx + dy * dy) as f32 <= radius * radius;
        let at = [x as i64 + dx, y as i64 + dy].map(u32::try_from);
        if let ([Ok(x), Ok(y)], true) = (at, inside)
            && let Some(pixel) = canvas.get_pixel_mut_checked(x, y)
        {
            *pixel = color;
        }
    }
}

/// A line between two points, of which those far outside are moved nearer.
fn stroke(canvas: &mut RgbImage, ends: [[f32; 2]; 2], color: Rgb<u8>) {
    let far = 2.0 * canvas.width().max(canvas.height()) as f32;
    let [from, to] = ends.map(|end| end.map(|v| v.clamp(-far, far)));
    let steps = (to[0] - from[0])
        .abs()
        .max((to[1] - from[1]).abs())
        .ceil()
        .max(1.0);
    for step in 0..=steps as u32 {
        let share = step as f32 / steps;
        dot(
            canvas,
            [0, 1].map(|i| from[i] + (to[i] - from[i]) * share),
            color,
        );
    }
}

/// A frame, label and score for each detection, the best on top.
fn boxes(canvas: &mut RgbImage, found: &[&Detection]) {
    let side = canvas.width().min(canvas.height()) as f32;
    let line = (side / 250.0).round().clamp(1.0, 12.0) as i64;
    let text = (side / 26.0).clamp(11.0, 90.0);
    for detection in found.iter().rev() {
        frame(canvas, detection.xyxy, line, color(detection.index));
    }
    // Tags after all frames, so that no frame crosses a text.
    for detection in found.iter().rev() {
        tag(canvas, detection, text, line);
    }
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
    use bevel::vision::Detections;

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
            let found = Detections {
                width,
                height,
                boxes: boxes_,
            };
            let drawn = answer(&image, &Answer::Detect(found)).unwrap();
            assert_eq!(drawn.dimensions(), (width, height));
            assert_ne!(drawn, image, "{width}×{height}: nothing was drawn");
        }
    }
}
