/// A box of any direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrientedBox {
    /// Its middle.
    pub center: [f32; 2],
    /// Width and height, along and across its direction.
    pub size: [f32; 2],
    /// From the x axis towards the y axis, in radians.
    pub angle: f32,
}

impl OrientedBox {
    /// The four corners in turn.
    pub fn corners(&self) -> [[f32; 2]; 4] {
        let (sin, cos) = self.angle.sin_cos();
        let [w, h] = self.size.map(|side| side / 2.0);
        let along = [w * cos, w * sin];
        let across = [-h * sin, h * cos];
        [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]
            .map(|[a, b]| [0, 1].map(|i| self.center[i] + a * along[i] + b * across[i]))
    }

    /// The same rectangle with an angle of at least 0 and less than π/2.
    pub fn upright(self) -> Self {
        use std::f32::consts::{FRAC_PI_2, PI};
        let [w, h] = self.size;
        let swapped = self.angle.rem_euclid(PI) >= FRAC_PI_2;
        Self {
            size: if swapped { [h, w] } else { [w, h] },
            angle: self.angle.rem_euclid(FRAC_PI_2),
            ..self
        }
    }

    /// Covariance `[xx, yy, xy]` of a uniform box of this size.
    fn covariance(&self) -> [f32; 3] {
        let [a, b] = self.size.map(|side| side * side / 12.0);
        let (sin, cos) = self.angle.sin_cos();
        let (cos2, sin2) = (cos * cos, sin * sin);
        [
            a * cos2 + b * sin2,
            a * sin2 + b * cos2,
            (a - b) * cos * sin,
        ]
    }

    /// How alike two boxes are, 0 ..= 1: one less the Hellinger distance of the normal distributions of
    /// their means and covariances (ProbIoU, Llerena et al. 2021, arXiv:2106.06072, with the ε of
    /// ultralytics 8.4).
    pub fn similarity(&self, other: &Self) -> f32 {
        Normal::from(self).similarity(&Normal::from(other))
    }
}

/// The normal distribution that a box stands for.
struct Normal {
    mean: [f32; 2],
    /// `[xx, yy, xy]`.
    covariance: [f32; 3],
}

impl From<&OrientedBox> for Normal {
    fn from(of: &OrientedBox) -> Self {
        Self {
            mean: of.center,
            covariance: of.covariance(),
        }
    }
}

impl Normal {
    fn similarity(&self, other: &Self) -> f32 {
        const EPSILON: f32 = 1e-7;
        let [a1, b1, c1] = self.covariance;
        let [a2, b2, c2] = other.covariance;
        let [dx, dy] = [0, 1].map(|i| self.mean[i] - other.mean[i]);
        let (a, b, c) = (a1 + a2, b1 + b2, c1 + c2);
        let spread = a * b - c * c;
        let means = (a * dy * dy + b * dx * dx) / (spread + EPSILON) * 0.25
            - (c * dx * dy) / (spread + EPSILON) * 0.5;
        let own = |a: f32, b: f32, c: f32| (a * b - c * c).max(0.0);
        let both = (own(a1, b1, c1) * own(a2, b2, c2)).sqrt();
        let shapes = (spread / (4.0 * both + EPSILON) + EPSILON).ln() * 0.5;
        let distance = (means + shapes).clamp(EPSILON, 100.0);
        1.0 - (1.0 - (-distance).exp() + EPSILON).sqrt()
    }
}

/// Indices of the boxes that stay, best first, at most `max_boxes`: a box goes where one of its class with
/// a higher score, whether that stays or not, is more similar than `limit` ("Fast NMS", Bolya et al. 2019,
/// arXiv:1904.02689, as ultralytics has it for oriented boxes). Boxes are given with class and score;
/// those whose score is NaN go.
pub fn suppress_oriented(
    boxes: &[(OrientedBox, u32, f32)],
    limit: f32,
    max_boxes: usize,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.retain(|&i| !boxes[i].2.is_nan());
    order.sort_by(|&a, &b| boxes[b].2.total_cmp(&boxes[a].2));
    let normals: Vec<Normal> = boxes.iter().map(|(own, ..)| own.into()).collect();
    let stays = |&(rank, index): &(usize, usize)| {
        // Not true of NaN: a broken box takes no other with it.
        let beaten = |better: &usize| {
            boxes[*better].1 == boxes[index].1
                && normals[*better].similarity(&normals[index]) > limit
        };
        !order[..rank].iter().any(beaten)
    };
    let ranked = order.iter().copied().enumerate().filter(stays);
    ranked.map(|(_, index)| index).take(max_boxes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(x: f32, angle: f32) -> OrientedBox {
        OrientedBox {
            center: [x, 5.0],
            size: [8.0, 2.0],
            angle,
        }
    }

    #[test]
    fn similarity_is_ultralytics() {
        // batch_probiou of ultralytics 8.4.190, f32.
        let cases = [
            ("same", boxed(4.0, 0.3), 0.9995),
            ("moved", boxed(5.0, 0.3), 0.7704),
            ("turned", boxed(4.0, 0.8), 0.4937),
            ("far", boxed(400.0, 0.3), 0.0),
        ];
        for (name, other, expected) in cases {
            let found = boxed(4.0, 0.3).similarity(&other);
            assert!((found - expected).abs() < 1e-4, "{name}: {found}");
        }
    }

    #[test]
    fn corners_lie_around_the_middle() {
        let quarter = boxed(4.0, std::f32::consts::FRAC_PI_2);
        let expected = [[3.0, 9.0], [5.0, 9.0], [5.0, 1.0], [3.0, 1.0]];
        for (found, expected) in quarter.corners().iter().zip(expected) {
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-5, "{:?}", quarter.corners());
            }
        }
        let upright = quarter.upright();
        assert_eq!((upright.size, upright.angle), ([2.0, 8.0], 0.0));
    }

    #[test]
    fn a_box_goes_for_any_better_one_of_its_class() {
        let boxes = [
            (boxed(4.0, 0.3), 0, 0.9),
            (boxed(4.3, 0.3), 0, 0.8),
            // Like the second, which goes, and not like the first.
            (boxed(4.9, 0.3), 0, 0.7),
            (boxed(4.0, 0.3), 1, 0.6),
            (boxed(4.0, 0.3), 2, f32::NAN),
        ];
        assert_eq!(suppress_oriented(&boxes, 0.8, 9), [0, 3]);
        assert_eq!(suppress_oriented(&boxes, 1.0, 9), [0, 1, 2, 3]);
        assert_eq!(suppress_oriented(&boxes, 1.0, 2), [0, 1]);
    }

    #[test]
    fn a_box_that_is_no_number_suppresses_none() {
        let boxes = [
            (boxed(4.0, f32::NAN), 0, 0.95),
            (boxed(f32::NAN, 0.3), 0, 0.94),
            (boxed(4.0, 0.3), 0, 0.9),
            (boxed(4.3, 0.3), 0, 0.8),
            (boxed(4.0, 0.3), 1, 0.6),
        ];
        assert_eq!(suppress_oriented(&boxes, 0.8, 9), [0, 1, 2, 4]);
    }
}
