//! What changed between operator sets 7 and 21, and what is done about it.

use super::Change::{Adapt, Refuse};
use super::{Room, Step};
use crate::Tensor;
use crate::proto::{AttributeProto, NodeProto};

type Adapted = Result<Vec<NodeProto>, String>;

/// The reductions that got their axes as an input in version 18; `ReduceSum` had them in 13.
const REDUCTIONS: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
];

pub(super) static STEPS: &[Step] = &[
    (&["BatchNormalization"], 9, Adapt(batch_norm_9)),
    (&["BatchNormalization"], 14, Adapt(batch_norm_14)),
    (&["Clip"], 11, Adapt(clip_11)),
    (&["DFT"], 20, Adapt(dft_20)),
    (&["Dropout"], 10, Adapt(dropout)),
    (&["Dropout"], 12, Adapt(dropout)),
    (&["GridSample"], 20, Adapt(grid_sample_20)),
    (&["GroupNormalization"], 21, Adapt(group_norm_21)),
    (&["Hardmax", "LogSoftmax", "Softmax"], 13, Adapt(softmax_13)),
    (&["Pad"], 11, Adapt(pad_11)),
    (REDUCTIONS, 18, Adapt(axes_to_input)),
    (
        &["ReduceSum", "Squeeze", "Unsqueeze"],
        13,
        Adapt(axes_to_input),
    ),
    (&["Resize"], 11, Adapt(resize_11)),
    (&["Resize"], 13, Adapt(resize_13)),
    (&["RoiAlign"], 16, Adapt(roi_align_16)),
    (
        &["Scan"],
        9,
        Refuse("it has a batch axis and sequence lengths, which later versions have not"),
    ),
    (&["Scatter"], 11, Adapt(scatter_11)),
    (&["Slice"], 10, Adapt(slice_10)),
    (&["Split"], 13, Adapt(split_13)),
    (&["Split"], 18, Adapt(split_18)),
    (&["TopK"], 10, Adapt(top_k_10)),
    (&["Upsample"], 9, Adapt(upsample_9)),
    (&["Upsample"], 10, Adapt(upsample_10)),
];

/// Puts a value at an input's place; those between are left out.
fn set_input(node: &mut NodeProto, place: usize, value: String) {
    if node.input.len() <= place {
        node.input.resize(place + 1, String::new());
    }
    node.input[place] = value;
}

/// Moves a list of whole numbers from an attribute to an input.
fn to_input(node: &mut NodeProto, name: &str, place: usize, room: &mut Room<'_>) {
    if let Some(attribute) = node.unset(name) {
        let value = room.ints(&attribute.ints);
        set_input(node, place, value);
    }
}

fn axes_to_input(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    to_input(&mut node, "axes", 1, room);
    Ok(vec![node])
}

fn batch_norm_9(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    match node.unset("spatial").as_ref().map_or(1, AttributeProto::i) {
        0 => Err("`spatial` 0 normalises each element on its own".into()),
        _ => Ok(vec![node]),
    }
}

/// The results behind the first are those of training.
fn batch_norm_14(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    if !node.has_one_result() {
        return Err("it answers the statistics of training; export it for inference".into());
    }
    node.output.truncate(1);
    Ok(vec![node])
}

/// Limits become inputs, of the type of what they limit.
fn clip_11(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let mut nodes = Vec::new();
    for (place, name, open) in [(1, "min", f32::MIN), (2, "max", f32::MAX)] {
        let Some(limit) = node
            .unset(name)
            .map(|a| a.f())
            .filter(|limit| *limit != open)
        else {
            continue;
        };
        let limit = room.constant(Tensor::scalar("limit", limit));
        // Nothing where the type is f32, which shows once types are inferred.
        let like = room.value("limit.like");
        let x = node.input_at(0).unwrap_or_default().to_owned();
        nodes.push(NodeProto::new("CastLike", &[&limit, &x], &[&like], []));
        set_input(&mut node, place, like);
    }
    nodes.push(node);
    Ok(nodes)
}

fn dft_20(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let axis = node.unset("axis").map_or(1, |a| a.i());
    let axis = room.constant(Tensor::index("axis", axis));
    set_input(&mut node, 2, axis);
    Ok(vec![node])
}

/// In inference it does nothing; its mask is all ones, of a type that changed.
fn dropout(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    if !node.has_one_result() {
        return Err("its mask is read, which is for training; export it for inference".into());
    }
    node.unset("ratio");
    node.output.truncate(1);
    Ok(vec![node])
}

fn grid_sample_20(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    let mode = match node.text("mode") {
        Some("bilinear") => Some("linear"),
        Some("bicubic") => Some("cubic"),
        _ => None,
    };
    if let Some(mode) = mode {
        node.set("mode", mode);
    }
    Ok(vec![node])
}

/// Scale and bias were one a group, as those of an `InstanceNormalization` over groups are.
fn group_norm_21(node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let groups = node.int("num_groups").ok_or("it lacks `num_groups`")?;
    let [x, scale, bias] = node.input.as_slice() else {
        return Err("it has not three inputs".into());
    };
    let [flat, normal, shape] = ["flat", "normal", "shape"].map(|part| room.value(part));
    let to = room.ints(&[0, groups, -1]);
    let epsilon = node.float("epsilon").unwrap_or(1e-5);
    Ok(vec![
        NodeProto::new("Shape", &[x], &[&shape], []),
        NodeProto::new("Reshape", &[x, &to], &[&flat], []),
        NodeProto::new(
            "InstanceNormalization",
            &[&flat, scale, bias],
            &[&normal],
            [("epsilon", epsilon.into())],
        ),
        NodeProto::new("Reshape", &[&normal, &shape], &[node.result()], []),
    ])
}

/// Everything from `axis` on was one axis. A pass takes the detour out again where `axis` is the last.
fn softmax_13(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let axis = node.unset("axis").map_or(1, |a| a.i());
    if axis == -1 {
        node.set("axis", -1);
        return Ok(vec![node]);
    }
    let [flat, even, shape] = ["flat", "even", "shape"].map(|part| room.value(part));
    let x = node.input_at(0).unwrap_or_default();
    let op = node.op_type();
    Ok(vec![
        NodeProto::new("Shape", &[x], &[&shape], []),
        NodeProto::new("Flatten", &[x], &[&flat], [("axis", axis.into())]),
        NodeProto::new(op, &[&flat], &[&even], [("axis", (-1).into())]),
        NodeProto::new("Reshape", &[&even, &shape], &[node.result()], []),
    ])
}

fn pad_11(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    to_input(&mut node, "pads", 1, room);
    let value = node.unset("value").map_or(0.0, |a| a.f());
    if value == 0.0 {
        return Ok(vec![node]);
    }
    let fill = room.constant(Tensor::scalar("fill", value));
    let like = room.value("fill.like");
    let x = node.input_at(0).unwrap_or_default().to_owned();
    let cast = NodeProto::new("CastLike", &[&fill, &x], &[&like], []);
    set_input(&mut node, 2, like);
    Ok(vec![cast, node])
}

/// Pixels lay in their corners, and the nearest one was found as ONNX Runtime does it: the one before
/// when growing, the one behind when shrinking. Scales that are calculated are taken to grow, as those
/// of exporters are.
fn resize_11(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let scales = node.input_at(1).ok_or("it lacks scales")?.to_owned();
    let known = room.find(&scales).and_then(Tensor::as_f32);
    let known = known.map_or(vec![], |scales| scales.into_owned());
    let (shrinks, grows) = (
        known.iter().any(|s| *s < 1.0),
        known.iter().any(|s| *s > 1.0),
    );
    let nearest = node.text("mode").is_none_or(|mode| mode == "nearest");
    if nearest && shrinks && grows {
        return Err(
            "it grows along one axis and shrinks along another, by the nearest pixel".into(),
        );
    }
    set_input(&mut node, 1, String::new());
    set_input(&mut node, 2, scales);
    node.set("coordinate_transformation_mode", "asymmetric");
    node.set("nearest_mode", if shrinks { "ceil" } else { "floor" });
    Ok(vec![node])
}

/// What is not given may not be an empty tensor any more.
fn resize_13(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let mode = node.text("coordinate_transformation_mode");
    if mode == Some("tf_half_pixel_for_nn") {
        return Err("pixels by `tf_half_pixel_for_nn` are not known any more".into());
    }
    for place in 1..node.input.len() {
        if room.find(&node.input[place]).is_some_and(Tensor::is_empty) {
            node.input[place].clear();
        }
    }
    Ok(vec![node])
}

fn roi_align_16(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    node.set("coordinate_transformation_mode", "output_half_pixel");
    Ok(vec![node])
}

fn scatter_11(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    node.op_type = Some("ScatterElements".into());
    Ok(vec![node])
}

fn slice_10(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    for (place, name) in [(1, "starts"), (2, "ends"), (3, "axes")] {
        to_input(&mut node, name, place, room);
    }
    Ok(vec![node])
}

fn split_13(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    to_input(&mut node, "split", 1, room);
    Ok(vec![node])
}

fn split_18(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    if node.input_at(1).is_none() {
        node.set("num_outputs", node.output.len() as i64);
    }
    Ok(vec![node])
}

fn top_k_10(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let count = node.unset("k").ok_or("it lacks `k`")?.i();
    let count = room.ints(&[count]);
    set_input(&mut node, 1, count);
    Ok(vec![node])
}

fn upsample_9(mut node: NodeProto, room: &mut Room<'_>) -> Adapted {
    let scales = node.unset("scales").ok_or("it lacks `scales`")?.floats;
    let scales = room.constant(Tensor::f32("scales", &[scales.len()], scales));
    set_input(&mut node, 1, scales);
    Ok(vec![node])
}

fn upsample_10(mut node: NodeProto, _: &mut Room<'_>) -> Adapted {
    node.op_type = Some("Resize".into());
    if node.text("mode") == Some("bilinear") {
        node.set("mode", "linear");
    }
    Ok(vec![node])
}
