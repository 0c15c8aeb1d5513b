//! Masks as sums of prototypes (YOLACT, Bolya et al. 2019, arXiv:1904.02689), in the order of
//! ultralytics' `process_mask_native`: the sum is brought to the size of the picture, cut to the box and
//! only then decided, so that edges do not follow the coarse cells of the prototypes.

use bevel_prep::image::{Fit, ImageView};
use bevel_prep::score::Rle;
use ndarray::ArrayView3;

use crate::vision::regions::taps;

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
        let cells = [
            width as f32 / sides[0] as f32,
            height as f32 / sides[1] as f32,
        ];
        Self {
            maps,
            fit: Fit {
                scale: [0, 1].map(|i| fit.scale[i] * cells[i]),
                offset: [0, 1].map(|i| fit.offset[i] * cells[i]),
            },
            least: (min_mask / (1.0 - min_mask)).ln(),
        }
    }

    /// The mask of a box in pixels of the picture.
    pub fn mask(&self, coefficients: &[f32], xyxy: [f32; 4], image: &ImageView<'_>) -> Rle {
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
        let [Some(first), Some(last)] = [down.first(), down.last()] else {
            return rle;
        };
        let (first, last) = (first.0, last.1);

        let sum = |row: usize, column: usize| -> f32 {
            let cell = coefficients.iter().enumerate();
            let cell = cell.filter_map(|(p, c)| Some(c * self.maps.get([p, row, column])?));
            cell.sum()
        };
        // Sums of two columns of cells, kept while the next pixels lie between the same.
        let column_of =
            |column: usize| -> Vec<f32> { (first..=last).map(|row| sum(row, column)).collect() };
        let mut kept: [(usize, Vec<f32>); 2] = [(usize::MAX, Vec::new()), (usize::MAX, Vec::new())];
        rle.run(false, u64::from(left) * u64::from(height));
        for (before, behind, share) in across {
            for column in [before, behind] {
                if kept.iter().all(|(at, _)| *at != column) {
                    let free = usize::from(kept[0].0 == before);
                    kept[free] = (column, column_of(column));
                }
            }
            let of = |column: usize| {
                let found = kept.iter().find(|(at, _)| *at == column);
                found.map_or(&[][..], |(_, sums)| sums)
            };
            let (before, behind) = (of(before), of(behind));
            let blended = |row: usize| {
                let at = row - first;
                let pair = before.get(at).zip(behind.get(at));
                pair.map_or(f32::NEG_INFINITY, |(a, b)| a * (1.0 - share) + b * share)
            };
            rle.run(false, u64::from(top));
            for &(above, below, share) in &down {
                let sum = blended(above) * (1.0 - share) + blended(below) * share;
                rle.run(sum > self.least, 1);
            }
            rle.run(false, u64::from(height - bottom));
        }
        rle
    }
}
