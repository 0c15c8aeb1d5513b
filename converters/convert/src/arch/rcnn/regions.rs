//! Regions cut out of the pyramid (`MultiScaleRoIAlign`), each from the map that suits its size.

use bevel_onnx::{Attribute, Tensor};

use super::geometry;
use super::pyramid::Pyramid;
use crate::arch::layers::Net;

/// Maps beyond these are not cut from (`featmap_names`).
const MOST_MAPS: usize = 4;

/// A box with the area of this square, in pixels …
const USUAL_SIDE: f64 = 224.0;
/// … is cut from the map that is 2 to this power smaller than the picture.
const USUAL_LEVEL: i32 = 4;
/// In levels: a box this little below the next level belongs to it.
const SLACK: f64 = 1e-6;

/// Samples of a cell, along each axis.
const SAMPLES: i64 = 2;

/// What was cut out.
pub(super) struct Regions {
    /// K×C×S×S, in an order of its own.
    pub maps: String,
    pub order: Option<Order>,
}

/// Lists K.
pub(super) struct Order {
    /// Which box each region is of.
    pub there: String,
    /// Which region each box has.
    pub back: String,
}

impl Regions {
    /// What was made of regions, in the order of the boxes.
    pub fn restored(&self, net: &mut Net<'_>, made: &str) -> String {
        match &self.order {
            Some(order) => net.graph.node("Gather", &[made, &order.back], []),
            None => made.to_owned(),
        }
    }

    /// A list over boxes, in the order of regions.
    pub fn sorted(&self, net: &mut Net<'_>, list: &str) -> String {
        match &self.order {
            Some(order) => net.graph.node("Gather", &[list, &order.there], []),
            None => list.to_owned(),
        }
    }
}

/// Regions of `side`×`side` cells under corners K×4 in the scaled picture.
pub(super) fn cut(net: &mut Net<'_>, pyramid: &Pyramid, corners: &str, side: usize) -> Regions {
    // Of two maps of one size the first stands for it.
    let finest = pyramid.maps.first().map_or(1, |(_, smaller)| *smaller);
    let maps = pyramid.maps.iter().take(MOST_MAPS).enumerate();
    let maps = maps.take_while(|(i, (_, smaller))| *smaller == finest << i);
    let maps: Vec<_> = maps.map(|(_, map)| map).collect();
    // All boxes are of the one picture.
    let graph = &mut net.graph;
    let count = graph.node("Shape", &[corners], [("end", 1.into())]);
    let zero = Attribute::Tensor(Tensor::i64s("value", &[0]));
    let pictures = graph.node("ConstantOfShape", &[&count], [("value", zero)]);
    if let [(map, smaller)] = maps.as_slice() {
        let inputs = [map.value.as_str(), corners, &pictures];
        return Regions {
            maps: align(net, inputs, *smaller, side),
            order: None,
        };
    }

    // Sorted by area, boxes lie level by level, and each level takes its share off.
    let bounds: Vec<f32> = maps[1..]
        .iter()
        .map(|(_, smaller)| least_area(*smaller))
        .collect();
    let ends = [f32::NEG_INFINITY, f32::INFINITY];
    let column = |name: &str, list: Vec<f32>| Tensor::f32(name, &[list.len(), 1], list);
    let from = [&ends[..1], &bounds].concat();
    let to = [&bounds[..], &ends[1..]].concat();
    let from = net.constant(column("least area", from));
    let to = net.constant(column("area below", to));
    let (second, axis) = (net.i64s(&[1]), || [("axis", 0.into())]);
    let extent = geometry::extent(net, corners);
    let graph = &mut net.graph;
    let flat = || [("keepdims", 0.into())];
    let areas = graph.node("ReduceProd", &[&extent, &second], flat());
    let large = graph.node("GreaterOrEqual", &[&areas, &from], []);
    let small = graph.node("Less", &[&areas, &to], []);
    let own = graph.node("And", &[&large, &small], []);
    let to = i64::from(bevel_onnx::DType::I64.code());
    let own = graph.node("Cast", &[&own], [("to", to.into())]);
    let shares = graph.node("ReduceSum", &[&own, &second], flat());
    let least_first = || [("largest", 0.into())];
    let [_, there] = graph.node_of("TopK", &[&areas, &count], least_first());
    let [_, back] = graph.node_of("TopK", &[&there, &count], least_first());
    let sorted = graph.node("Gather", &[corners, &there], []);
    let corners = graph.node_many("", "Split", &[&sorted, &shares], axis(), maps.len());
    let pictures = graph.node_many("", "Split", &[&pictures, &shares], axis(), maps.len());
    let mut regions = Vec::new();
    for ((map, smaller), (corners, pictures)) in maps.iter().zip(corners.iter().zip(&pictures)) {
        let inputs = [map.value.as_str(), corners, pictures];
        regions.push(align(net, inputs, *smaller, side));
    }
    let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
    Regions {
        maps: net.graph.node("Concat", &regions, axis()),
        order: Some(Order { there, back }),
    }
}

fn align(net: &mut Net<'_>, inputs: [&str; 3], smaller: usize, side: usize) -> String {
    let attributes = [
        ("coordinate_transformation_mode", "output_half_pixel".into()),
        ("output_height", (side as i64).into()),
        ("output_width", (side as i64).into()),
        ("sampling_ratio", SAMPLES.into()),
        ("spatial_scale", (1.0 / smaller as f32).into()),
    ];
    net.graph.node("RoiAlign", &inputs, attributes)
}

/// The least area of a box for which `⌊4 + log2(√area / 224) + 1e-6⌋` is the level of a map that is
/// this much smaller than the picture.
fn least_area(smaller: usize) -> f32 {
    let level = (smaller as f64).log2() - f64::from(USUAL_LEVEL) - SLACK;
    (USUAL_SIDE * level.exp2()).powi(2) as f32
}
