//! Masks of what was found (`maskrcnn_inference`).

use super::detections::Found;
use super::pyramid::{self, Pyramid};
use super::regions;
use crate::Error;
use crate::arch::layers::{Activation, Net};
use crate::arch::map::{Conv2d, Map};

/// Cells of a region along each axis (`mask_roi_pool`).
const SIDE: usize = 14;

/// Pixels of a mask for each cell, along each axis (`MaskRCNNPredictor`).
const FINER: usize = 2;

/// K×1×M×M, 0 ..= 1, and M.
pub(super) fn paint(
    net: &mut Net<'_>,
    pyramid: &Pyramid,
    found: &Found,
) -> Result<(String, usize), Error> {
    net.graph.set_scope("roi_heads.mask");
    let regions = regions::cut(net, pyramid, &found.boxes, SIDE);
    let x = Map {
        value: regions.maps.clone(),
        channels: pyramid.top.channels,
    };
    let x = pyramid::convs(net, &x, "roi_heads.mask_head")?;
    let name = "roi_heads.mask_predictor.conv5_mask";
    let x = net.spread2d(&x, name, FINER)?;
    let x = net.activated(&x, Activation::Relu);
    let x = net.conv2d(
        &x,
        "roi_heads.mask_predictor.mask_fcn_logits",
        Conv2d::PLAIN,
    )?;

    // Of each region the channel of its label.
    let labels = regions.sorted(net, &found.labels);
    let axes = net.i64s(&[1, 2]);
    let graph = &mut net.graph;
    let labels = graph.node("Unsqueeze", &[&labels, &axes], []);
    let own = [("batch_dims", 1.into())];
    let masks = graph.node("GatherND", &[&x.value, &labels], own);
    let masks = graph.node("Sigmoid", &[&masks], []);
    Ok((regions.restored(net, &masks), SIDE * FINER))
}
