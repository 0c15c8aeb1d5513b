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

    /// Numbers are a bundle's word: more than there can be fit no output.
    fn rows(&self) -> usize {
        4usize
            .saturating_add(self.classes)
            .saturating_add(self.extra)
    }

    /// Whether an output has this layout, and what it should be.
    pub fn fits(&self, shape: &[Option<usize>]) -> (bool, String) {
        let fits = matches!(shape, [_, rows, _] if rows.is_none_or(|rows| rows == self.rows()));
        (fits, format!("N×{}×A", self.rows()))
    }

    /// What the predictions of a picture have for the task.
    pub fn extras<'a>(&self, picture: &'a [f32]) -> Extras<'a> {
        let columns = picture.len() / self.rows();
        let behind = (4 * columns).saturating_add(self.classes.saturating_mul(columns));
        match columns {
            0 => Extras::default(),
            _ => Extras {
                values: picture.get(behind..).unwrap_or_default(),
                columns,
            },
        }
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

/// Rows of numbers for the task, one column a prediction.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Extras<'a> {
    values: &'a [f32],
    columns: usize,
}

impl<'a> Extras<'a> {
    /// Those of the prediction that a box was read from.
    pub fn of(self, found: &Box2d) -> impl Iterator<Item = f32> + use<'a> {
        let rows = self.values.chunks_exact(self.columns.max(1));
        let column = found.prediction as usize;
        rows.filter_map(move |row| row.get(column).copied())
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

    #[test]
    fn numbers_for_the_task_are_behind_the_scores() {
        let columns = Columns::new(1, 2);
        let picture: Vec<f32> = (0..14).map(|i| i as f32).collect();
        let found = |prediction| Box2d {
            xyxy: [0.0; 4],
            class: 0,
            score: 1.0,
            prediction,
        };
        let of = |prediction| {
            columns
                .extras(&picture)
                .of(&found(prediction))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0), [10.0, 12.0]);
        assert_eq!(of(1), [11.0, 13.0]);
        assert!(of(2).is_empty());
    }

    #[test]
    fn more_numbers_than_there_can_be_fit_nothing() {
        for columns in [Columns::new(2, usize::MAX), Columns::new(usize::MAX, 3)] {
            assert!(!columns.fits(&[Some(1), Some(7), Some(1)]).0);
            assert!(!columns.candidates(&[0.5; 7], &[1, 7, 1], 0.0, &mut Vec::new()));
            let found = Box2d {
                xyxy: [0.0; 4],
                class: 0,
                score: 1.0,
                prediction: 0,
            };
            assert!(columns.extras(&[0.5; 7]).of(&found).next().is_none());
        }
    }
}
