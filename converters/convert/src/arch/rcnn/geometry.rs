//! Boxes as tensors: corners …×4 are `[x1, y1, x2, y2]`, pairs …×2 are along x and y.

use crate::arch::layers::Net;

/// `bbox_xform_clip`: no box grows by more than this, ln(1000 / 16).
const LARGEST_STRETCH: f64 = 4.135_166_556_742_356;

/// Boxes as their middle and their extent, pairs each.
pub(super) struct Centred {
    pub middle: String,
    pub extent: String,
}

/// The two halves of the last axis.
fn halves(net: &mut Net<'_>, x: &str) -> [String; 2] {
    let attributes = [("axis", (-1).into()), ("num_outputs", 2.into())];
    net.graph.node_of("Split", &[x], attributes)
}

/// Width and height of corners.
pub(super) fn extent(net: &mut Net<'_>, corners: &str) -> String {
    let [low, high] = halves(net, corners);
    net.graph.node("Sub", &[&high, &low], [])
}

/// Corners to middle and extent.
pub(super) fn centred(net: &mut Net<'_>, corners: &str) -> Centred {
    let half = net.scalar(0.5);
    let [low, high] = halves(net, corners);
    let graph = &mut net.graph;
    let extent = graph.node("Sub", &[&high, &low], []);
    let reach = graph.node("Mul", &[&extent, &half], []);
    let middle = graph.node("Add", &[&low, &reach], []);
    Centred { middle, extent }
}

/// Corners of boxes that are moved and stretched (`BoxCoder.decode`), cut to the picture: `deltas` …×4
/// are `[dx, dy, ln w, ln h]` in extents of the box.
pub(super) fn decode(net: &mut Net<'_>, deltas: &str, boxes: &Centred, limit: &str) -> String {
    let (half, zero) = (net.scalar(0.5), net.scalar(0.0));
    let most = net.scalar(LARGEST_STRETCH as f32);
    let [shift, stretch] = halves(net, deltas);
    let graph = &mut net.graph;
    let shift = graph.node("Mul", &[&shift, &boxes.extent], []);
    let middle = graph.node("Add", &[&shift, &boxes.middle], []);
    let stretch = graph.node("Min", &[&stretch, &most], []);
    let stretch = graph.node("Exp", &[&stretch], []);
    let extent = graph.node("Mul", &[&stretch, &boxes.extent], []);
    let reach = graph.node("Mul", &[&extent, &half], []);
    let low = graph.node("Sub", &[&middle, &reach], []);
    let high = graph.node("Add", &[&middle, &reach], []);
    let corners = graph.node("Concat", &[&low, &high], [("axis", (-1).into())]);
    let corners = graph.node("Max", &[&corners, &zero], []);
    graph.node("Min", &[&corners, limit], [])
}

/// `scores`, or −1 for boxes narrower or lower than `least`, which non-maximum suppression leaves out.
/// `axes` is put between the classes and the boxes of corners, where scores have one.
pub(super) fn without_small(
    net: &mut Net<'_>,
    corners: &str,
    scores: &str,
    least: f32,
    axis: Option<i64>,
) -> String {
    let (least, last, none) = (net.scalar(least), net.i64s(&[-1]), net.scalar(-1.0));
    let extent = extent(net, corners);
    let flat = [("keepdims", 0.into())];
    let shorter = net.graph.node("ReduceMin", &[&extent, &last], flat);
    let mut small = net.graph.node("Less", &[&shorter, &least], []);
    if let Some(axis) = axis {
        let axis = net.i64s(&[axis]);
        small = net.graph.node("Unsqueeze", &[&small, &axis], []);
    }
    net.graph.node("Where", &[&small, &none, scores], [])
}

/// What non-maximum suppression is told.
pub(super) struct Suppression {
    /// Of two boxes that overlap by more than this the weaker one goes.
    pub iou: f64,
    /// Boxes at or below this score are left out.
    pub above: f32,
    /// The most boxes of a class.
    pub most: usize,
}

/// Rows of batch, class and box, in the order of batches, classes and falling scores.
pub(super) fn suppress(
    net: &mut Net<'_>,
    corners: &str,
    scores: &str,
    suppression: &Suppression,
) -> String {
    let most = net.i64s(&[suppression.most as i64]);
    let iou = net.f32s(&[below(suppression.iou)]);
    let above = net.f32s(&[suppression.above]);
    let inputs = [corners, scores, &most, &iou, &above];
    net.graph.node("NonMaxSuppression", &inputs, [])
}

/// The largest f32 up to a limit that PyTorch compares in f64: no other lies between them.
fn below(limit: f64) -> f32 {
    let near = limit as f32;
    match f64::from(near) > limit {
        true => near.next_down(),
        false => near,
    }
}

/// The best `most` of a list of scores: they and their places.
pub(super) fn best(net: &mut Net<'_>, scores: &str, most: usize) -> [String; 2] {
    let most = net.i64s(&[most as i64]);
    let count = net.graph.node("Shape", &[scores], []);
    let count = net.graph.node("Min", &[&count, &most], []);
    net.graph.node_of("TopK", &[scores, &count], [])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_split_floats_as_their_doubles_do() {
        for limit in [0.0, 0.05, 0.3, 0.5, 0.55, 0.6, 0.7, 0.9, 1.0] {
            let cut = below(limit);
            for float in [cut.next_down(), cut, cut.next_up()] {
                assert_eq!(float > cut, f64::from(float) > limit, "{limit} {float}");
            }
        }
    }
}
