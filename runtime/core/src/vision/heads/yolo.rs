//! Ultralytics since YOLOv8: N×(4+C+E)×A, one column a prediction.

use bevel_prep::score::Box2d;

use super::corners;

/// Predictions that are looked at together: their best classes stay in registers.
const TILE: usize = 64;

/// C class scores and E numbers for the task below each box.
pub(in super::super) struct Columns {
    classes: usize,
    extra: usize,
}

impl Columns {
    pub fn new(classes: usize, extra: usize) -> Self {
        Self { classes, extra }
    }

    fn rows(&self) -> usize {
        4 + self.classes + self.extra
    }

    /// Whether an output has this layout, and what it should be.
    pub fn fits(&self, shape: &[Option<usize>]) -> (bool, String) {
        let fits = matches!(shape, [_, rows, _] if rows.is_none_or(|rows| rows == self.rows()));
        (fits, format!("N×{}×A", self.rows()))
    }

    /// What a prediction of a picture has for the task.
    pub fn extra(&self, picture: &[f32], prediction: usize) -> Vec<f32> {
        let columns = picture.len() / self.rows();
        let row = |row: usize| picture.get(row * columns + prediction).copied();
        (4 + self.classes..self.rows()).filter_map(row).collect()
    }

    /// One box a prediction, of its best class, where that scores at least `min_score`: what
    /// `predict` of Ultralytics answers. `false` where `shape` is another.
    pub fn candidates(
        &self,
        picture: &[f32],
        shape: &[usize],
        min_score: f32,
        out: &mut Vec<Box2d>,
    ) -> bool {
        let &[_, rows, columns] = shape else {
            return false;
        };
        if rows != self.rows() || picture.len() != rows * columns {
            return false;
        }
        let row = |row: usize| &picture[row * columns..(row + 1) * columns];
        for start in (0..columns).step_by(TILE) {
            let tile = start..(start + TILE).min(columns);
            let mut best = [(f32::NEG_INFINITY, 0); TILE];
            for class in 0..self.classes {
                for (best, &score) in best.iter_mut().zip(&row(4 + class)[tile.clone()]) {
                    // Not true of NaN.
                    if score > best.0 {
                        *best = (score, class as u32);
                    }
                }
            }
            for (column, (score, class)) in tile.zip(best) {
                if score >= min_score && score.is_finite() {
                    out.push(Box2d {
                        xyxy: corners([0, 1, 2, 3].map(|i| row(i)[column])),
                        class,
                        score,
                        prediction: column as u32,
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

    #[test]
    fn the_best_class_of_each_column_is_a_box() {
        let columns = Columns::new(2, 1);
        // More columns than a tile; only two of them score.
        let count = TILE + 3;
        let mut picture = vec![0.0; 7 * count];
        let mut set = |column: usize, values: [f32; 7]| {
            for (row, value) in values.into_iter().enumerate() {
                picture[row * count + column] = value;
            }
        };
        set(1, [20.0, 12.0, 16.0, 8.0, 0.3, 0.6, 9.0]);
        set(TILE + 2, [5.0, 5.0, 2.0, 4.0, 0.4, 0.4, 9.0]);
        set(3, [f32::NAN; 7]);
        let mut out = Vec::new();
        assert!(columns.candidates(&picture, &[1, 7, count], 0.35, &mut out));
        let got: Vec<_> = out
            .iter()
            .map(|b| (b.prediction as usize, b.class, b.score, b.xyxy))
            .collect();
        let expected = [
            (1, 1, 0.6, [12.0, 8.0, 28.0, 16.0]),
            (TILE + 2, 0, 0.4, [4.0, 3.0, 6.0, 7.0]),
        ];
        assert_eq!(got, expected);
        assert!(!columns.candidates(&picture, &[1, 6, count], 0.35, &mut out));
        assert!(!columns.candidates(&picture, &[1, 7, count + 1], 0.35, &mut out));
    }
}
