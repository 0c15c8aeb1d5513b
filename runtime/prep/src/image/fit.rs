use bevel_manifest::{Anchor, ChannelOrder, ImageInput, Interpolation, Resize};

use super::resample::{Axis, blend_rows, level, squeeze};
use super::view::ImageView;

/// Where a picture ended up in the tensor: `tensor = picture · scale + offset` per axis, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Factor in x and y.
    pub scale: [f32; 2],
    /// Left and top edge of the picture in the tensor; negative where it was cropped.
    pub offset: [f32; 2],
}

impl Fit {
    /// A box `[x1, y1, x2, y2]` of the tensor in pixels of the picture, unclamped.
    pub fn to_picture(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let x = |v: f32| (v - self.offset[0]) / self.scale[0];
        let y = |v: f32| (v - self.offset[1]) / self.scale[1];
        [x(x1), y(y1), x(x2), y(y2)]
    }

    /// Where the picture sits among `cells`, columns and rows, of a map that is laid over a tensor of
    /// `sides`, width and height in pixels.
    pub fn in_cells(&self, cells: [usize; 2], sides: [u32; 2]) -> Self {
        let factor = [0, 1].map(|i| cells[i] as f32 / sides[i] as f32);
        Self {
            scale: [0, 1].map(|i| self.scale[i] * factor[i]),
            offset: [0, 1].map(|i| self.offset[i] * factor[i]),
        }
    }
}

/// Size of the scaled picture and where its visible part sits in the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    /// The whole picture after scaling.
    scaled: [u32; 2],
    /// First visible pixel of the scaled picture.
    crop: [u32; 2],
    /// Visible pixels.
    visible: [u32; 2],
    /// Where they start in the tensor.
    place: [u32; 2],
    fill: u8,
}

impl Layout {
    /// Fills what the picture leaves free of one plane.
    fn fill_around(&self, plane: &mut [f32], width: usize, value: f32) {
        let [left, top] = self.place.map(|v| v as usize);
        let [right, bottom] = [
            left + self.visible[0] as usize,
            top + self.visible[1] as usize,
        ];
        let (above, rest) = plane.split_at_mut(top * width);
        let (middle, below) = rest.split_at_mut((bottom - top) * width);
        above.fill(value);
        below.fill(value);
        if right - left < width {
            for line in middle.chunks_exact_mut(width) {
                line[..left].fill(value);
                line[right..].fill(value);
            }
        }
    }
}

/// Turns pictures into one f32 tensor 3×H×W (planes in the order the manifest says): resampled rows
/// are normalised on their way into the tensor, and no scaled copy is stored.
///
/// Filter tables and row buffers are kept, so pictures of one size cost no allocation after the
/// first. (Image libraries compute filter tables anew, on the heap, for every picture.)
#[derive(Debug, Default)]
pub struct Preprocess {
    planned: Option<(ImageInput, [u32; 2], Layout)>,
    x: Axis,
    y: Axis,
    /// A blended row of the picture, and the same at its final width.
    row: Vec<f32>,
    line: Vec<f32>,
    /// For antialiased filters: the rows that matter at their final width.
    squeezed: Vec<u8>,
}

impl Preprocess {
    /// Writes `image` as `spec` asks to `out` (3·H·W values) and says where it sits.
    ///
    /// The pixels are rounded to whole levels after resampling, as every image library does, and
    /// then become `(level · scale − mean) / std`.
    pub fn run(&mut self, spec: &ImageInput, image: ImageView<'_>, out: &mut [f32]) -> Fit {
        let layout = self.plan(spec, image);
        let source = [image.width(), image.height()];
        let (width, plane) = (
            spec.width as usize,
            spec.width as usize * spec.height as usize,
        );
        let planes = match spec.channels {
            ChannelOrder::Rgb => [0, 1, 2],
            ChannelOrder::Bgr => [2, 1, 0],
        };
        // Per colour of the picture: factor and shift of the plane it goes to.
        let gain = planes.map(|p| spec.scale / spec.std[p]);
        let shift = planes.map(|p| -spec.mean[p] / spec.std[p]);
        let color = |c: usize| f32::from(layout.fill) * gain[c] + shift[c];
        let scale = Scale {
            gain: [gain[0], gain[1], gain[2], 0.0],
            shift: [shift[0], shift[1], shift[2], 0.0],
        };
        for (c, p) in planes.into_iter().enumerate() {
            layout.fill_around(&mut out[p * plane..(p + 1) * plane], width, color(c));
        }
        let visible = layout.visible[0] as usize;
        // Two taps: whole rows are blended first, which runs over neighbouring bytes. Many taps:
        // width first, rounded in between, which is fewer taps and what Pillow does.
        let narrow_first = spec.interpolation != Interpolation::Bilinear;
        let (pixels, row_len) = if narrow_first {
            squeeze(
                image.pixels(),
                image.width(),
                &self.x,
                &self.y,
                &mut self.squeezed,
            );
            (self.squeezed.as_slice(), visible * 3)
        } else {
            (image.pixels(), image.width() as usize * 3)
        };
        let skipped = if narrow_first { self.y.first() } else { 0 };
        self.row.resize(row_len + 1, 0.0);
        self.line.resize(visible * 3 + 1, 0.0);
        for line in 0..layout.visible[1] as usize {
            let (start, weights) = self.y.at(line);
            blend_rows(pixels, row_len, start - skipped, weights, &mut self.row);
            let at = (layout.place[1] as usize + line) * width + layout.place[0] as usize;
            let starts = planes.map(|p| p * plane + at);
            let Some(lines) = disjoint(out, starts, visible) else {
                continue;
            };
            if narrow_first {
                scale_row(&self.row, &mut self.line, scale);
            } else {
                resample_row(&self.x, &self.row, &mut self.line, scale);
            }
            split_colors(&self.line, lines);
        }
        let scale = [0, 1].map(|i| layout.scaled[i] as f32 / source[i] as f32);
        let offset = [0, 1].map(|i| layout.place[i] as f32 - layout.crop[i] as f32);
        // A letterbox scales both axes by one factor, which the rounded sizes only approximate.
        let scale = match spec.resize {
            Resize::Letterbox { .. } => [letterbox_factor(spec, source) as f32; 2],
            _ => scale,
        };
        Fit { scale, offset }
    }

    fn plan(&mut self, spec: &ImageInput, image: ImageView<'_>) -> Layout {
        let source = [image.width(), image.height()];
        if let Some((planned, size, layout)) = &self.planned
            && *size == source
            && planned == spec
        {
            return *layout;
        }
        let layout = layout(spec, source);
        let plan = |axis: &mut Axis, i: usize| {
            axis.plan(
                spec.interpolation,
                source[i],
                layout.scaled[i],
                layout.crop[i],
                layout.visible[i],
            );
        };
        plan(&mut self.x, 0);
        plan(&mut self.y, 1);
        self.planned = Some((spec.clone(), source, layout));
        layout
    }
}

fn letterbox_factor(spec: &ImageInput, [width, height]: [u32; 2]) -> f64 {
    let x = f64::from(spec.width) / f64::from(width);
    let y = f64::from(spec.height) / f64::from(height);
    x.min(y)
}

fn layout(spec: &ImageInput, source: [u32; 2]) -> Layout {
    let target = [spec.width, spec.height];
    match spec.resize {
        Resize::Letterbox { anchor, fill } => {
            let factor = letterbox_factor(spec, source);
            let exact = source.map(|s| f64::from(s) * factor);
            // YOLOX cuts the scaled size off, Ultralytics rounds it.
            let scaled = match anchor {
                Anchor::TopLeft => exact.map(f64::floor),
                Anchor::Center => exact.map(f64::round),
            };
            let scaled = [0, 1].map(|i| (scaled[i] as u32).clamp(1, target[i]));
            let place = match anchor {
                Anchor::TopLeft => [0, 0],
                Anchor::Center => [0, 1].map(|i| (target[i] - scaled[i]) / 2),
            };
            Layout {
                scaled,
                crop: [0, 0],
                visible: scaled,
                place,
                fill,
            }
        }
        Resize::CenterCrop { shorter_side } => {
            let shorter = u64::from(source[0].min(source[1]));
            let scaled = source.map(|s| {
                let side = u64::from(s) * u64::from(shorter_side) / shorter;
                u32::try_from(side).unwrap_or(u32::MAX).max(1)
            });
            let visible = [0, 1].map(|i| scaled[i].min(target[i]));
            // torchvision's CenterCrop rounds half a pixel to the even side.
            let crop = [0, 1].map(|i| {
                let spare = scaled[i] - visible[i];
                spare / 2 + (spare & (spare / 2) & 1)
            });
            let place = [0, 1].map(|i| (target[i] - visible[i]) / 2);
            Layout {
                scaled,
                crop,
                visible,
                place,
                fill: 0,
            }
        }
        _ => Layout {
            scaled: target,
            crop: [0, 0],
            visible: target,
            place: [0, 0],
            fill: 0,
        },
    }
}

/// Three mutable runs of `len` that start at `starts`, which must not overlap.
fn disjoint(out: &mut [f32], starts: [usize; 3], len: usize) -> Option<[&mut [f32]; 3]> {
    out.get_disjoint_mut(starts.map(|s| s..s + len)).ok()
}

/// What becomes of a level on its way into the planes, for red, green and blue; the fourth lane lets
/// the compiler keep a pixel in one register.
#[derive(Debug, Clone, Copy)]
struct Scale {
    gain: [f32; 4],
    shift: [f32; 4],
}

impl Scale {
    fn apply(self, sum: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| level(sum[i]) * self.gain[i] + self.shift[i])
    }
}

/// The four values of `row` from `at` on: a pixel and the first colour of the next.
fn lanes(row: &[f32], at: usize) -> [f32; 4] {
    std::array::from_fn(|i| row[at..at + 4][i])
}

/// The horizontal half: one blended row to one line of finished values, colours still together.
/// Both are one value longer than their pixels, because four are read and written at once.
fn resample_row(axis: &Axis, row: &[f32], line: &mut [f32], scale: Scale) {
    let positions = axis.start.iter().zip(axis.weights.chunks_exact(axis.taps));
    for (position, (start, weights)) in positions.enumerate() {
        let at = *start as usize * 3;
        let mut sum = [0.0f32; 4];
        if let [w0, w1] = *weights {
            let (left, right) = (lanes(row, at), lanes(row, at + 3));
            sum = std::array::from_fn(|i| w0 * left[i] + w1 * right[i]);
        } else {
            for (tap, weight) in weights.iter().enumerate() {
                let pixel = lanes(row, at + tap * 3);
                sum = std::array::from_fn(|i| sum[i] + weight * pixel[i]);
            }
        }
        line[position * 3..position * 3 + 4].copy_from_slice(&scale.apply(sum));
    }
}

/// The same for a row that has its final width already.
fn scale_row(row: &[f32], line: &mut [f32], scale: Scale) {
    for at in (0..row.len() - 1).step_by(3) {
        line[at..at + 4].copy_from_slice(&scale.apply(lanes(row, at)));
    }
}

/// A line of pixels to one line of each plane.
fn split_colors(line: &[f32], [r, g, b]: [&mut [f32]; 3]) {
    for (((pixel, r), g), b) in line.chunks_exact(3).zip(r).zip(g).zip(b) {
        (*r, *g, *b) = (pixel[0], pixel[1], pixel[2]);
    }
}

#[cfg(test)]
mod tests;
