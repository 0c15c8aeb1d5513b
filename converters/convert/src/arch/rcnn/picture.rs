//! The picture made ready (`GeneralizedRCNNTransform`): normalised, scaled so that its shorter side is
//! `min_size` unless the longer one would be above `max_size`, filled with zeros to multiples of 32.

use bevel_onnx::{DType, Tensor};
use bytes::Bytes;

use super::plan::Plan;
use crate::arch::layers::Net;
use crate::arch::map::Map;

/// `size_divisible`.
const MULTIPLE: i64 = 32;

/// The picture, and what boxes need to know of its sizes.
pub(super) struct Picture {
    /// 1×3×h×w.
    pub map: Map,
    /// `[w, h, w, h]` of the scaled picture without the zeros around it.
    pub limit: String,
    /// What takes a box back to the picture that came in, one factor each coordinate.
    pub back: String,
}

pub(super) fn prepare(net: &mut Net<'_>, image: &str, plan: &Plan) -> Picture {
    net.graph.set_scope("picture");
    let colors = |name: &str, values: [f32; 3]| Tensor::f32(name, &[1, 3, 1, 1], values.to_vec());
    let mean = net.constant(colors("mean", plan.mean));
    let std = net.constant(colors("std", plan.std));
    let x = net.graph.node("Sub", &[image, &mean], []);
    let x = net.graph.node("Div", &[&x, &std], []);

    // In f64, as Python computes it: a side is cut off to whole pixels.
    let min_size = net.constant(double("min_size", plan.min_size));
    let max_size = net.constant(double("max_size", plan.max_size));
    let (all, sides, zeros) = (net.i64s(&[0]), net.i64s(&[2, 3]), net.i64s(&[0, 0]));
    let (turned, multiple) = (net.i64s(&[1, 0, 1, 0]), net.index(MULTIPLE));
    let graph = &mut net.graph;
    let to = |dtype: DType| [("to", i64::from(dtype.code()).into())];
    let shape = graph.node("Shape", &[image], [("start", 1.into())]);
    let exact = graph.node("Cast", &[&shape], to(DType::F64));
    let shorter = graph.node("ReduceMin", &[&exact, &all], []);
    let longer = graph.node("ReduceMax", &[&exact, &all], []);
    let wanted = graph.node("Div", &[&min_size, &shorter], []);
    let allowed = graph.node("Div", &[&max_size, &longer], []);
    let scale = graph.node("Min", &[&wanted, &allowed], []);
    let size = graph.node("Mul", &[&exact, &scale], []);
    let size = graph.node("Cast", &[&size], to(DType::I64));
    let attributes = [
        ("axes", [2, 3].into()),
        ("coordinate_transformation_mode", "half_pixel".into()),
        ("mode", "linear".into()),
    ];
    let x = graph.node("Resize", &[&x, "", "", &size], attributes);

    let spare = graph.node("Neg", &[&size], []);
    let spare = graph.node("Mod", &[&spare, &multiple], []);
    let spare = graph.node("Concat", &[&zeros, &spare], [("axis", 0.into())]);
    let x = graph.node("Pad", &[&x, &spare, "", &sides], []);

    let before = graph.node("Cast", &[&shape], to(DType::F32));
    let after = graph.node("Cast", &[&size], to(DType::F32));
    let back = graph.node("Div", &[&before, &after], []);
    Picture {
        map: Map {
            value: x,
            channels: 3,
        },
        limit: graph.node("Gather", &[&after, &turned], []),
        back: graph.node("Gather", &[&back, &turned], []),
    }
}

fn double(name: &str, value: f64) -> Tensor {
    let data = Bytes::copy_from_slice(&value.to_le_bytes());
    Tensor::new(name, DType::F64, &[], data)
}
