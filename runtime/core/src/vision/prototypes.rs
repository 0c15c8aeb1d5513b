//! Masks as sums of prototypes (YOLACT, Bolya et al. 2019, arXiv:1904.02689), in the order of
//! ultralytics' `process_mask_native`: the sum is brought to the size of the picture, cut to the box and
//! only then decided, so that edges do not follow the coarse cells of the prototypes.

use bevel_prep::image::{Fit, ImageView};
use bevel_prep::score::{Rle, logit};
use ndarray::{Array2, ArrayView3, s};

use crate::vision::regions::{Taps, taps};

/// Prototypes of one picture, P×h×w over the whole tensor.
pub(super) struct Prototypes<'a> {
    maps: ArrayView3<'a, f32>,
    /// Where the picture sits among the cells.
    fit: Fit,
    /// A pixel is in the mask above this sum.
    least: f32,
}

impl<'a> Prototypes<'a> {
    /// `sides` are width and height of the tensor in pixels; a pixel is in the mask above the
    /// probability `min_mask`.
    pub fn new(maps: ArrayView3<'a, f32>, sides: [u32; 2], fit: &Fit, min_mask: f32) -> Self {
        let (_, height, width) = maps.dim();
        Self {
            maps,
            fit: fit.in_cells([width, height], sides),
            least: logit(min_mask),
        }
    }

    /// The mask of a box in pixels of the picture.
    pub fn mask(
        &self,
        coefficients: impl Iterator<Item = f32>,
        xyxy: [f32; 4],
        image: &ImageView<'_>,
    ) -> Rle {
        let [width, height] = [image.width(), image.height()];
        let mut rle = Rle::new(height, width);
        // Pixels whose top left corner is inside.
        let edge = |at: f32, length: u32| (at.ceil().max(0.0) as u32).min(length);
        let [left, right] = [edge(xyxy[0], width), edge(xyxy[2], width)];
        let [top, bottom] = [edge(xyxy[1], height), edge(xyxy[3], height)];
        let (_, rows, columns) = self.maps.dim();
        if left >= right || top >= bottom || rows == 0 || columns == 0 {
            return rle;
        }
        // Cells beside the picture are of the border and tell nothing about it.
        let bounds = |axis: usize, length: u32, cells: usize| {
            let begin = self.fit.offset[axis].max(0.0);
            let end = self.fit.offset[axis] + self.fit.scale[axis] * length as f32;
            let last = (cells - 1) as f32;
            [begin.min(last), (end - 1.0).min(last).max(begin.min(last))]
        };
        let [scale, offset] = [self.fit.scale, self.fit.offset];
        let (x, y) = (bounds(0, width, columns), bounds(1, height, rows));
        let across = taps(left..right, x, scale[0], offset[0]);
        let down = taps(top..bottom, y, scale[1], offset[1]);
        // The cells that the box needs, of all prototypes added up.
        let needed = |taps: &[Taps]| {
            let first = taps.first().map_or(0, |tap| tap.0);
            let behind = taps.last().map_or(0, |tap| tap.1 + 1);
            first..behind
        };
        let (lines, cells) = (needed(&down), needed(&across));
        let mut sums = Array2::<f32>::zeros([lines.len(), cells.len()]);
        for (coefficient, map) in coefficients.zip(self.maps.outer_iter()) {
            let map = map.slice(s![lines.clone(), cells.clone()]);
            sums.scaled_add(coefficient, &map);
        }

        let mut blended = vec![0.0; lines.len()];
        rle.run(false, u64::from(left) * u64::from(height));
        for (before, behind, share) in across {
            let [before, behind] = [before, behind].map(|cell| sums.column(cell - cells.start));
            for ((out, a), b) in blended.iter_mut().zip(before).zip(behind) {
                *out = a * (1.0 - share) + b * share;
            }
            let pixels = down.iter().map(|(above, below, share)| {
                let [above, below] = [above, below].map(|line| blended[line - lines.start]);
                above * (1.0 - share) + below * share > self.least
            });
            rle.column(u64::from(top), pixels);
        }
        rle
    }
}
