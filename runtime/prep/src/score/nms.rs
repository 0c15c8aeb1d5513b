/// A box `[x1, y1, x2, y2]` with a class and a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Box2d {
    /// Left, top, right, bottom.
    pub xyxy: [f32; 4],
    /// Class index.
    pub class: u32,
    /// In 0 ..= 1.
    pub score: f32,
    /// Index of the prediction it was read from, where more is said about it.
    pub prediction: u32,
}

impl Box2d {
    fn area(&self) -> f32 {
        let [x1, y1, x2, y2] = self.xyxy;
        (x2 - x1).max(0.0) * (y2 - y1).max(0.0)
    }

    /// Intersection over union, 0 for boxes without area.
    pub fn iou(&self, other: &Self) -> f32 {
        let [ax1, ay1, ax2, ay2] = self.xyxy;
        let [bx1, by1, bx2, by2] = other.xyxy;
        let width = (ax2.min(bx2) - ax1.max(bx1)).max(0.0);
        let height = (ay2.min(by2) - ay1.max(by1)).max(0.0);
        let shared = width * height;
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

/// Greedy class-wise non-maximum suppression with buffers kept from call to call.
///
/// Same result as `torchvision.ops.batched_nms`: boxes by falling score, a box is dropped when it
/// overlaps a kept one of its class by more than the threshold. Equal scores keep their order.
#[derive(Debug, Default)]
pub struct Nms {
    order: Vec<u32>,
    /// Per class the last kept box, as index into `kept` plus one; with `previous` a list a class.
    last: Vec<u32>,
    previous: Vec<u32>,
    kept: Vec<Box2d>,
}

impl Nms {
    /// The boxes that stay, best first, at most `max_boxes`. Boxes whose score is NaN are dropped.
    pub fn run(&mut self, boxes: &[Box2d], iou: f32, max_boxes: usize) -> &[Box2d] {
        self.order.clear();
        self.order
            .extend((0..boxes.len() as u32).filter(|&i| !boxes[i as usize].score.is_nan()));
        // Index as second key instead of a stable sort, which would allocate.
        self.order.sort_unstable_by(|&a, &b| {
            boxes[b as usize]
                .score
                .total_cmp(&boxes[a as usize].score)
                .then(a.cmp(&b))
        });
        let classes = boxes
            .iter()
            .map(|b| b.class as usize + 1)
            .max()
            .unwrap_or(0);
        self.last.clear();
        self.last.resize(classes, 0);
        self.previous.clear();
        self.kept.clear();
        for &index in &self.order {
            if self.kept.len() == max_boxes {
                break;
            }
            let candidate = boxes[index as usize];
            let mut at = self.last[candidate.class as usize];
            while at != 0 && self.kept[at as usize - 1].iou(&candidate) <= iou {
                at = self.previous[at as usize - 1];
            }
            if at == 0 {
                self.previous.push(self.last[candidate.class as usize]);
                self.kept.push(candidate);
                self.last[candidate.class as usize] = self.kept.len() as u32;
            }
        }
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(xyxy: [f32; 4], class: u32, score: f32) -> Box2d {
        let prediction = 0;
        Box2d {
            xyxy,
            class,
            score,
            prediction,
        }
    }

    #[test]
    fn iou_of_known_pairs() {
        let a = boxed([0.0, 0.0, 10.0, 10.0], 0, 1.0);
        let cases = [
            ("same", [0.0, 0.0, 10.0, 10.0], 1.0),
            ("half", [5.0, 0.0, 15.0, 10.0], 50.0 / 150.0),
            ("apart", [20.0, 20.0, 30.0, 30.0], 0.0),
            ("no area", [5.0, 5.0, 5.0, 5.0], 0.0),
            ("inside out", [9.0, 9.0, 1.0, 1.0], 0.0),
        ];
        for (name, xyxy, iou) in cases {
            assert!((a.iou(&boxed(xyxy, 0, 1.0)) - iou).abs() < 1e-6, "{name}");
        }
    }

    #[test]
    fn suppresses_within_a_class_only() {
        let boxes = [
            boxed([0.0, 0.0, 10.0, 10.0], 0, 0.8),
            boxed([1.0, 0.0, 11.0, 10.0], 0, 0.9),
            boxed([1.0, 0.0, 11.0, 10.0], 1, 0.7),
            boxed([0.0, 0.0, 10.0, 10.0], 0, f32::NAN),
        ];
        let kept = Nms::default().run(&boxes, 0.5, 10).to_vec();
        assert_eq!(kept, [boxes[1], boxes[2]]);
        assert_eq!(Nms::default().run(&boxes, 0.5, 1), [boxes[1]]);
        assert!(Nms::default().run(&[], 0.5, 10).is_empty());
    }
}
