//! What was found in a picture beside what should have been: `boxes` K×4, `labels` K, `scores` K and
//! perhaps `masks`.
//!
//! Things of almost equal scores may change places, and a coordinate says little without its box. So
//! rows are paired first: each recorded one, best first, with the row of its score (within the tolerance
//! for 0) that has its label and overlaps it most. Then there must be as many rows as were recorded, in
//! falling order of score where that is, with the same labels and scores, boxes of an IoU of 0.999 at
//! least, and the same for masks: the sum of the lesser of two values over that of the greater.
//!
//! Recorded masks K×1×H×W may be of the whole picture where the graph answers K×1×M×M over the boxes;
//! those are pasted first.

use std::collections::BTreeMap;

use bevel_prep::score::Paste;

use super::compare::{Compared, Tolerance};
use crate::tensors::Tensor;

/// Least overlap of boxes and of masks.
pub const LEAST_IOU: f64 = 0.999;

const BOXES: &str = "boxes";
const LABELS: &str = "labels";
const SCORES: &str = "scores";
const MASKS: &str = "masks";

/// Rows of one side.
struct Rows {
    boxes: Vec<[f64; 4]>,
    labels: Vec<f64>,
    scores: Vec<f64>,
}

impl Rows {
    /// `None` where tensors are missing or have other shapes.
    fn of(tensors: &BTreeMap<String, Tensor>) -> Option<Self> {
        let [boxes, labels, scores] = [BOXES, LABELS, SCORES].map(|name| tensors.get(name));
        let (boxes, labels, scores) = (boxes?, labels?, scores?);
        let &[count, 4] = boxes.shape.as_slice() else {
            return None;
        };
        let corners = boxes.data.to_f64();
        let (corners, _) = corners.as_chunks();
        let whole = labels.shape == [count] && scores.shape == [count];
        whole.then(|| Self {
            boxes: corners.to_vec(),
            labels: labels.data.to_f64(),
            scores: scores.data.to_f64(),
        })
    }

    fn fall(&self) -> bool {
        self.scores.is_sorted_by(|a, b| a >= b)
    }
}

/// Rows for `boxes`, `labels`, `scores` and `masks` of a recording that has the first three; `None` for
/// other models.
pub(super) fn compare(
    expected: &BTreeMap<String, Tensor>,
    found: &BTreeMap<String, Tensor>,
    tolerance: Tolerance,
) -> Option<Vec<Compared>> {
    let (a, b) = (Rows::of(found)?, Rows::of(expected)?);
    let pairs = pairs(&a, &b, tolerance.atol);
    let mut rows = Vec::new();
    let mut add = |name: &str, measured: Measured| {
        let (Some(a), Some(b)) = (found.get(name), expected.get(name)) else {
            return;
        };
        rows.push(measured.row(name, a, b));
    };
    let Some(pairs) = pairs else {
        for name in [BOXES, LABELS, SCORES, MASKS] {
            add(name, Measured::NOTHING);
        }
        return Some(rows);
    };

    let gap = |a: f64, b: f64| match a == b {
        true => 0.0,
        // What is not a number must not pass as small.
        false if (a - b).is_nan() => f64::INFINITY,
        false => (a - b).abs(),
    };
    let worst = |gaps: &mut dyn Iterator<Item = f64>| gaps.fold(0.0, f64::max);
    let gaps = |(i, j): &(usize, usize)| {
        let both = a.boxes[*i].into_iter().zip(b.boxes[*j]);
        worst(&mut both.map(|(a, b)| gap(a, b)))
    };
    let ious = pairs.iter().map(|(i, j)| iou(a.boxes[*i], b.boxes[*j]));
    add(
        BOXES,
        Measured::overlap(worst(&mut pairs.iter().map(gaps)), least(ious)),
    );
    let labels = pairs.iter().map(|(i, j)| gap(a.labels[*i], b.labels[*j]));
    add(LABELS, Measured::gap(worst(&mut labels.into_iter()), 0.0));
    let scores = pairs.iter().map(|(i, j)| gap(a.scores[*i], b.scores[*j]));
    let scores = match b.fall() && !a.fall() {
        true => f64::INFINITY,
        false => worst(&mut scores.into_iter()),
    };
    add(SCORES, Measured::gap(scores, tolerance.atol));
    if let (Some(own), Some(recorded)) = (found.get(MASKS), expected.get(MASKS)) {
        add(MASKS, masks(own, recorded, &a.boxes, &pairs));
    }
    Some(rows)
}

/// Which found row stands for each recorded one; `None` where their numbers differ.
fn pairs(a: &Rows, b: &Rows, atol: f64) -> Option<Vec<(usize, usize)>> {
    if a.scores.len() != b.scores.len() {
        return None;
    }
    let mut order: Vec<usize> = (0..b.scores.len()).collect();
    order.sort_by(|i, j| b.scores[*j].total_cmp(&b.scores[*i]));
    let mut free: Vec<usize> = (0..a.scores.len()).collect();
    let pair = |j: usize| {
        let likeness = |i: usize| {
            let gap = (a.scores[i] - b.scores[j]).abs();
            let near = gap <= atol;
            let same = a.labels[i] == b.labels[j];
            let overlap = if near {
                iou(a.boxes[i], b.boxes[j])
            } else {
                0.0
            };
            (near, near && same, overlap, -gap)
        };
        let better = |x: &(bool, bool, f64, f64), y: &(bool, bool, f64, f64)| {
            let flags = (x.0, x.1).cmp(&(y.0, y.1));
            let numbers = x.2.total_cmp(&y.2).then(x.3.total_cmp(&y.3));
            flags.then(numbers)
        };
        let ranked = free.iter().enumerate().map(|(at, i)| (at, likeness(*i)));
        let (at, _) = ranked.max_by(|(_, x), (_, y)| better(x, y))?;
        Some((free.remove(at), j))
    };
    order.into_iter().map(pair).collect()
}

/// Intersection over union of corners; 1 for equal boxes, also those of no area.
fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    if a == b {
        return 1.0;
    }
    let area = |[x1, y1, x2, y2]: [f64; 4]| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let low = [0, 1].map(|k| a[k].max(b[k]));
    let high = [2, 3].map(|k| a[k].min(b[k]));
    let both = area([low[0], low[1], high[0], high[1]]);
    let share = both / (area(a) + area(b) - both);
    match share.is_finite() {
        true => share,
        false => 0.0,
    }
}

/// Masks of pairs: the largest difference of two values, and the worst overlap.
fn masks(
    own: &Tensor,
    recorded: &Tensor,
    boxes: &[[f64; 4]],
    pairs: &[(usize, usize)],
) -> Measured {
    let count = pairs.len();
    let size = |tensor: &Tensor| match *tensor.shape.as_slice() {
        [n, 1, height, width] | [n, height, width] if n == count => Some([height, width]),
        _ => None,
    };
    let (Some(from), Some(to)) = (size(own), size(recorded)) else {
        return Measured::NOTHING;
    };
    // Only squares are pasted, and a mask of 4×9 has as many values as one of 6×6.
    if from != to && from[0] != from[1] {
        return Measured::NOTHING;
    }
    let (found, recorded) = (own.data.to_f64(), recorded.data.to_f64());
    let (one, whole) = (from[0] * from[1], to[0] * to[1]);
    let mut worst = Overlap::default();
    let mut ious = Vec::with_capacity(count);
    for (i, j) in pairs {
        let (Some(found), Some(recorded)) = (
            found.get(i * one..(i + 1) * one),
            recorded.get(j * whole..(j + 1) * whole),
        ) else {
            return Measured::NOTHING;
        };
        let mut overlap = Overlap::default();
        if from == to {
            for (a, b) in found.iter().zip(recorded) {
                overlap.add(*a, *b);
            }
        } else {
            let soft: Vec<f32> = found.iter().map(|v| *v as f32).collect();
            let xyxy = boxes[*i].map(|v| v as f32);
            let picture = to.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
            let Some(paste) = Paste::new(&soft, xyxy, picture) else {
                return Measured::NOTHING;
            };
            let mut pasted = vec![0.0; whole];
            let [_, top, ..] = paste.covered();
            paste.columns(|x, column| {
                for (y, value) in column.iter().enumerate() {
                    pasted[(top + y) * to[1] + x] = f64::from(*value);
                }
            });
            for (a, b) in pasted.iter().zip(recorded) {
                overlap.add(*a, *b);
            }
        }
        worst.gap = worst.gap.max(overlap.gap);
        ious.push(overlap.iou());
    }
    Measured::overlap(worst.gap, least(ious))
}

/// Two masks beside each other.
#[derive(Default)]
struct Overlap {
    lesser: f64,
    greater: f64,
    gap: f64,
}

impl Overlap {
    fn add(&mut self, a: f64, b: f64) {
        self.lesser += a.min(b);
        self.greater += a.max(b);
        let gap = (a - b).abs();
        self.gap = self.gap.max(if gap.is_nan() { f64::INFINITY } else { gap });
    }

    /// 1 for two masks of nothing.
    fn iou(&self) -> f64 {
        match (self.greater == 0.0, self.gap.is_finite()) {
            (_, false) => 0.0,
            (true, _) => 1.0,
            _ => self.lesser / self.greater,
        }
    }
}

/// The least of overlaps; 1 where nothing is to overlap.
fn least(ious: impl IntoIterator<Item = f64>) -> f64 {
    ious.into_iter().fold(1.0, f64::min)
}

/// What a row says.
struct Measured {
    max_abs: f64,
    max_excess: f64,
    iou: Option<f64>,
}

impl Measured {
    /// Nothing can be set side by side.
    const NOTHING: Self = Self {
        max_abs: f64::INFINITY,
        max_excess: f64::INFINITY,
        iou: None,
    };

    fn gap(max_abs: f64, allowed: f64) -> Self {
        Self {
            max_abs,
            max_excess: max_abs - allowed,
            iou: None,
        }
    }

    fn overlap(max_abs: f64, iou: f64) -> Self {
        Self {
            max_abs,
            max_excess: LEAST_IOU - iou,
            iou: Some(iou),
        }
    }

    fn row(self, name: &str, found: &Tensor, recorded: &Tensor) -> Compared {
        Compared {
            name: name.to_owned(),
            shape: found.shape.clone(),
            values: recorded.data.len(),
            max_abs: self.max_abs,
            max_excess: self.max_excess,
            iou: self.iou,
            cosine: None,
            ok: self.max_excess <= 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::TensorData;

    /// Boxes, labels, scores and masks of 2×2 over the boxes.
    #[derive(Clone)]
    struct Things {
        boxes: Vec<[f32; 4]>,
        labels: Vec<i64>,
        scores: Vec<f32>,
        masks: Vec<[f32; 4]>,
    }

    fn things() -> Things {
        Things {
            boxes: vec![
                [10.0, 10.0, 50.0, 40.0],
                [60.0, 10.0, 90.0, 40.0],
                [12.0, 50.0, 52.0, 90.0],
            ],
            labels: vec![3, 1, 3],
            scores: vec![0.9, 0.6, 0.599_95],
            masks: vec![[0.9, 0.8, 0.7, 0.1], [1.0; 4], [0.0, 0.9, 0.9, 0.0]],
        }
    }

    impl Things {
        /// All of two rows but their scores.
        fn swap(&mut self, i: usize, j: usize) {
            self.boxes.swap(i, j);
            self.labels.swap(i, j);
            self.masks.swap(i, j);
        }

        fn tensors(&self) -> BTreeMap<String, Tensor> {
            let count = self.scores.len();
            let f32s = |shape: &[usize], values: Vec<f32>| {
                Tensor::new(shape.to_vec(), TensorData::F32(values)).unwrap()
            };
            let labels = TensorData::I64(self.labels.clone());
            let labels = Tensor::new(vec![count], labels).unwrap();
            BTreeMap::from([
                (BOXES.into(), f32s(&[count, 4], self.boxes.concat())),
                (LABELS.into(), labels),
                (SCORES.into(), f32s(&[count], self.scores.clone())),
                (MASKS.into(), f32s(&[count, 1, 2, 2], self.masks.concat())),
            ])
        }
    }

    #[test]
    fn things_are_paired_and_held_to_each_other() {
        struct Case {
            name: &'static str,
            change: fn(&mut Things),
            /// Names of the rows that are breached.
            breached: &'static [&'static str],
        }
        let cases = [
            Case {
                name: "the same",
                change: |_| {},
                breached: &[],
            },
            Case {
                name: "two of almost one score in the other order",
                change: |t| t.swap(1, 2),
                breached: &[],
            },
            Case {
                name: "two of different scores in the other order",
                change: |t| t.swap(0, 1),
                breached: &["boxes", "labels", "masks"],
            },
            Case {
                name: "all rows turned round",
                change: |t| {
                    t.boxes.reverse();
                    t.labels.reverse();
                    t.scores.reverse();
                    t.masks.reverse();
                },
                breached: &["scores"],
            },
            Case {
                name: "a box by a hair",
                change: |t| t.boxes[0][2] += 0.01,
                breached: &[],
            },
            Case {
                name: "a box by more",
                change: |t| t.boxes[0][2] += 0.1,
                breached: &["boxes"],
            },
            Case {
                name: "a label",
                change: |t| t.labels[0] = 2,
                breached: &["labels"],
            },
            Case {
                name: "a score",
                change: |t| t.scores[0] += 2e-4,
                breached: &["scores"],
            },
            Case {
                name: "a mask by a hair",
                change: |t| t.masks[0][0] += 1e-4,
                breached: &[],
            },
            Case {
                name: "a mask by more",
                change: |t| t.masks[2][1] -= 0.01,
                breached: &["masks"],
            },
            Case {
                name: "one fewer",
                change: |t| {
                    t.boxes.pop();
                    t.labels.pop();
                    t.scores.pop();
                    t.masks.pop();
                },
                breached: &["boxes", "labels", "scores", "masks"],
            },
            Case {
                name: "one more",
                change: |t| {
                    t.boxes.push([1.0, 1.0, 9.0, 9.0]);
                    t.labels.push(1);
                    t.scores.push(0.1);
                    t.masks.push([0.5; 4]);
                },
                breached: &["boxes", "labels", "scores", "masks"],
            },
            Case {
                name: "no numbers",
                change: |t| {
                    t.boxes[0] = [f32::NAN; 4];
                    t.masks[2] = [f32::NAN; 4];
                },
                breached: &["boxes", "masks"],
            },
            Case {
                name: "a score that is no number, which nothing is paired with",
                change: |t| t.scores[0] = f32::NAN,
                breached: &["boxes", "labels", "scores", "masks"],
            },
        ];
        let expected = things().tensors();
        for case in cases {
            let mut found = things();
            (case.change)(&mut found);
            let rows = compare(&expected, &found.tensors(), Tolerance::default()).unwrap();
            let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(names, [BOXES, LABELS, SCORES, MASKS], "{}", case.name);
            let breached = rows.iter().filter(|row| !row.ok);
            let breached: Vec<_> = breached.map(|row| row.name.as_str()).collect();
            assert_eq!(breached, case.breached, "{}", case.name);
        }
    }

    #[test]
    fn masks_are_pasted_where_the_whole_picture_is_recorded() {
        let found = things();
        let picture = [100, 100];
        let mut whole = Vec::new();
        for (xyxy, mask) in found.boxes.iter().zip(&found.masks) {
            let paste = Paste::new(mask, *xyxy, picture).unwrap();
            let start = whole.len();
            whole.resize(start + 100 * 100, 0.0);
            let [_, top, ..] = paste.covered();
            paste.columns(|x, column| {
                for (y, value) in column.iter().enumerate() {
                    whole[start + (top + y) * 100 + x] = *value;
                }
            });
        }
        let mut expected = found.tensors();
        let mut held = |found: &BTreeMap<String, Tensor>, whole: Vec<f32>| {
            let masks = Tensor::new(vec![3, 1, 100, 100], TensorData::F32(whole)).unwrap();
            expected.insert(MASKS.into(), masks);
            let rows = compare(&expected, found, Tolerance::default()).unwrap();
            rows[3].clone()
        };
        let row = held(&found.tensors(), whole.clone());
        assert!(row.ok && row.iou == Some(1.0), "{row:?}");
        // As many values as a square of 2×2, and none.
        let mut flat = found.tensors();
        let values = TensorData::F32(found.masks.concat());
        let values = Tensor::new(vec![3, 1, 1, 4], values).unwrap();
        flat.insert(MASKS.into(), values);
        let row = held(&flat, whole.clone());
        assert!(!row.ok && row.iou.is_none(), "{row:?}");
        // A piece that nothing is pasted on.
        for pixel in &mut whole[..300] {
            *pixel = 0.5;
        }
        let row = held(&found.tensors(), whole);
        assert!(!row.ok && row.iou < Some(0.9), "{row:?}");
    }

    #[test]
    fn nothing_found_where_nothing_is_recorded_is_right() {
        let none = Things {
            boxes: Vec::new(),
            labels: Vec::new(),
            scores: Vec::new(),
            masks: Vec::new(),
        };
        let rows = compare(&none.tensors(), &none.tensors(), Tolerance::default()).unwrap();
        assert!(rows.iter().all(|row| row.ok), "{rows:?}");
        let rows = compare(&none.tensors(), &things().tensors(), Tolerance::default()).unwrap();
        assert!(rows.iter().all(|row| !row.ok), "{rows:?}");
        assert!(compare(&BTreeMap::new(), &things().tensors(), Tolerance::default()).is_none());
    }
}
