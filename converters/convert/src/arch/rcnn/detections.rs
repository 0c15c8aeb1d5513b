//! Boxes with a class each (`RoIHeads`), from proposals.

use bevel_onnx::{DType, Tensor};

use super::geometry::{self, Suppression};
use super::plan::Plan;
use super::pyramid::{self, Pyramid};
use super::regions;
use crate::Error;
use crate::arch::layers::{Activation, Net};
use crate::arch::map::Map;

/// Boxes narrower or lower than this are dropped.
const LEAST: f32 = 1e-2;

/// Cells of a region along each axis (`box_roi_pool`).
const SIDE: usize = 7;

/// What was found, best first.
pub(super) struct Found {
    /// K×4 in the scaled picture.
    pub boxes: String,
    pub labels: String,
    pub scores: String,
    /// With the background.
    pub classes: usize,
}

pub(super) fn choose(
    net: &mut Net<'_>,
    pyramid: &Pyramid,
    proposals: &str,
    limit: &str,
    plan: &Plan,
) -> Result<Found, Error> {
    net.graph.set_scope("roi_heads.box");
    let regions = regions::cut(net, pyramid, proposals, SIDE);
    let channels = pyramid.top.channels;
    let (x, width) = head(net, &regions.maps, channels)?;
    let x = regions.restored(net, &x);
    let (logits, classes) = net.dense(&x, "roi_heads.box_predictor.cls_score", width)?;
    let deltas = deltas(net, &x, [width, classes])?;

    // A batch for each class, so that each is suppressed on its own.
    let things = classes.saturating_sub(1);
    let weights = Tensor::f32("bbox_reg_weights", &[4], plan.weights.to_vec());
    let weights = net.constant(weights);
    let (one, end) = (net.i64s(&[1]), net.i64s(&[classes as i64]));
    let graph = &mut net.graph;
    let deltas = graph.node("Div", &[&deltas, &weights], []);
    let boxes = geometry::centred(net, proposals);
    let corners = geometry::decode(net, &deltas, &boxes, limit);
    let graph = &mut net.graph;
    let scores = graph.node("Softmax", &[&logits], [("axis", 1.into())]);
    let scores = graph.node("Slice", &[&scores, &one, &end, &one], []);
    let scores = graph.node("Transpose", &[&scores], [("perm", [1, 0].into())]);
    let scores = graph.node("Unsqueeze", &[&scores, &one], []);
    let scores = geometry::without_small(net, &corners, &scores, LEAST, Some(1));
    let suppression = Suppression {
        iou: plan.iou,
        above: plan.score as f32,
        most: plan.detections,
    };
    let kept = geometry::suppress(net, &corners, &scores, &suppression);
    let kept = by_proposal(net, &kept, things);
    let kept_scores = net.graph.node("GatherND", &[&scores, &kept], []);
    let [scores, order] = geometry::best(net, &kept_scores, plan.detections);
    let (first, one, places) = (net.index(0), net.index(1), net.i64s(&[0, 2]));
    let graph = &mut net.graph;
    let columns = || [("axis", 1.into())];
    let kept = graph.node("Gather", &[&kept, &order], []);
    let labels = graph.node("Gather", &[&kept, &first], columns());
    let labels = graph.node("Add", &[&labels, &one], []);
    let places = graph.node("Gather", &[&kept, &places], columns());
    Ok(Found {
        boxes: graph.node("GatherND", &[&corners, &places], []),
        labels,
        scores,
        classes,
    })
}

/// Rows of class, 0 and proposal by proposals and then classes, the order of equal scores.
fn by_proposal(net: &mut Net<'_>, kept: &str, things: usize) -> String {
    let (strides, second) = (net.i64s(&[1, 0, things as i64]), net.i64s(&[1]));
    let graph = &mut net.graph;
    let places = graph.node("Mul", &[kept, &strides], []);
    let flat = [("keepdims", 0.into())];
    let places = graph.node("ReduceSum", &[&places, &second], flat);
    let count = graph.node("Shape", &[&places], []);
    let least_first = [("largest", 0.into())];
    let [_, order]: [String; 2] = graph.node_of("TopK", &[&places, &count], least_first);
    graph.node("Gather", &[kept, &order], [])
}

/// Regions to vectors, and their width: two layers (`TwoMLPHead`), or convolutions and a layer
/// (`FastRCNNConvFCHead`).
fn head(net: &mut Net<'_>, regions: &str, channels: usize) -> Result<(String, usize), Error> {
    let name = "roi_heads.box_head";
    let regions = Map {
        value: regions.to_owned(),
        channels,
    };
    let x = pyramid::convs(net, &regions, name)?;
    let mut width = x.channels * SIDE * SIDE;
    let mut x = net.graph.node("Flatten", &[&x.value], []);
    let mut layers = vec![format!("{name}.fc6"), format!("{name}.fc7")];
    if !net.weights.contains(&format!("{name}.fc6.weight")) {
        // In the sequence there are a flattening before them and a ReLU behind each.
        let convs = (0..).take_while(|i| net.weights.contains(&format!("{name}.{i}.0.weight")));
        let first = convs.count() + 1;
        let all = (first..).step_by(2).map(|i| format!("{name}.{i}"));
        let has = |layer: &String| net.weights.contains(&format!("{layer}.weight"));
        let found: Vec<_> = all.take_while(has).collect();
        if !found.is_empty() {
            layers = found;
        }
    }
    for layer in layers {
        (x, width) = net.dense(&x, &layer, width)?;
        x = net.activation(&x, Activation::Relu);
    }
    Ok((x, width))
}

/// C×K×4 for the classes without the background, whose deltas nobody reads.
fn deltas(net: &mut Net<'_>, x: &str, [width, classes]: [usize; 2]) -> Result<String, Error> {
    let name = "roi_heads.box_predictor.bbox_pred";
    let things = classes.saturating_sub(1);
    let weight = net
        .weights
        .take(&format!("{name}.weight"), &[classes * 4, width])?;
    let bias = net.weights.take(&format!("{name}.bias"), &[classes * 4])?;
    let behind = |tensor: Tensor, dims: &[usize]| {
        let skipped = tensor.data.len() / classes.max(1);
        Tensor::new(
            tensor.name.clone(),
            DType::F32,
            dims,
            tensor.data.slice(skipped..),
        )
    };
    let weight = net.constant(behind(weight, &[things * 4, width]));
    let bias = net.constant(behind(bias, &[things * 4]));
    let shape = net.i64s(&[0, things as i64, 4]);
    let graph = &mut net.graph;
    let x = graph.node("Gemm", &[x, &weight, &bias], [("transB", 1.into())]);
    let x = graph.node("Reshape", &[&x, &shape], []);
    Ok(graph.node("Transpose", &[&x], [("perm", [1, 0, 2].into())]))
}
