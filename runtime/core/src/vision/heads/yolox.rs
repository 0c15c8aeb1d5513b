//! YOLOX (Ge et al. 2021, arXiv:2107.08430): N×A×(5+C), A cells of all strides.

use bevel_manifest::ImageInput;
use bevel_prep::score::Box2d;

use super::corners;
use crate::vision::pixels::shape_fits;

/// A cell for every prediction.
pub(in super::super) struct Grid {
    classes: usize,
    /// Column and row of each cell, and its size in pixels.
    cells: Vec<[f32; 3]>,
}

impl Grid {
    /// The cells of all strides in the order of the predictions: row by row, finest first as listed.
    pub fn new(input: &ImageInput, strides: &[u32], classes: usize) -> Self {
        let mut cells = Vec::new();
        for &stride in strides {
            for y in 0..input.height / stride {
                cells.extend((0..input.width / stride).map(|x| [x, y, stride].map(|v| v as f32)));
            }
        }
        Self { classes, cells }
    }

    fn shape(&self) -> [usize; 3] {
        [1, self.cells.len(), 5 + self.classes]
    }

    /// Whether an output has this layout, and what it should be.
    pub fn fits(&self, shape: &[Option<usize>]) -> (bool, String) {
        let [_, cells, row] = self.shape();
        (shape_fits(shape, &self.shape()), format!("N×{cells}×{row}"))
    }

    /// One box for every class at or above `min_score`, as the makers' evaluation has it (the best
    /// class alone costs 0.009 mAP on coco-mini). `false` where `shape` is another.
    pub fn candidates(
        &self,
        picture: &[f32],
        shape: &[usize],
        min_score: f32,
        out: &mut Vec<Box2d>,
    ) -> bool {
        let row = 5 + self.classes;
        if shape.get(1..) != Some(&[self.cells.len(), row]) {
            return false;
        }
        let predictions = picture.chunks_exact(row).zip(&self.cells);
        for (index, (prediction, [column, line, stride])) in predictions.enumerate() {
            let [dx, dy, w, h, objectness, ref classes @ ..] = *prediction else {
                continue;
            };
            // No class can lift the score above the objectness.
            if objectness < min_score {
                continue;
            }
            let center = [(dx + column) * stride, (dy + line) * stride];
            let xyxy = corners([center[0], center[1], w.exp() * stride, h.exp() * stride]);
            for (class, probability) in classes.iter().enumerate() {
                let score = objectness * probability;
                if score >= min_score {
                    out.push(Box2d {
                        xyxy,
                        class: class as u32,
                        score,
                        prediction: index as u32,
                    });
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(prediction: &[f32], cell: [f32; 3], min_score: f32) -> Vec<Box2d> {
        let grid = Grid {
            classes: prediction.len() - 5,
            cells: vec![cell],
        };
        let mut out = Vec::new();
        assert!(grid.candidates(prediction, &grid.shape(), min_score, &mut out));
        out
    }

    #[test]
    fn a_prediction_becomes_the_box_it_stands_for() {
        // Cell (2, 1) of stride 8, centre at its middle, 16 wide and 8 high, class 1.
        let prediction = [0.5, 0.5, 2.0f32.ln(), 0.0, 0.8, 0.1, 0.5];
        let cell = [2.0, 1.0, 8.0];
        let boxes = found(&prediction, cell, 0.3);
        let [found_box] = boxes[..] else {
            panic!("{boxes:?}")
        };
        assert_eq!((found_box.class, found_box.score), (1, 0.4));
        for (got, expected) in found_box.xyxy.iter().zip([12.0, 8.0, 28.0, 16.0]) {
            assert!((got - expected).abs() < 1e-4, "{:?}", found_box.xyxy);
        }
        assert!(found(&prediction, cell, 0.41).is_empty());
    }

    #[test]
    fn nan_predictions_are_no_boxes() {
        assert!(found(&[f32::NAN; 7], [0.0, 0.0, 8.0], 0.0).is_empty());
    }
}
