//! Proposals (`RegionProposalNetwork`): the best cells of each level, as boxes that do not overlap much
//! within their level.

use bevel_onnx::{DType, Tensor};

use super::geometry::{self, Centred, Suppression};
use super::picture::Picture;
use super::plan::Plan;
use super::pyramid::{self, Pyramid};
use crate::Error;
use crate::arch::layers::Net;
use crate::arch::map::{Conv2d, Map};

/// Boxes narrower or lower than this are dropped (`RegionProposalNetwork.min_size`).
const LEAST: f32 = 1e-3;

/// What the levels say: lists of their best cells, one entry each.
#[derive(Default)]
struct Levels {
    /// Objectness, best first.
    logits: Vec<String>,
    /// Number of the anchor, counted by rows, columns and anchors of a cell.
    indices: Vec<String>,
    /// K×4.
    deltas: Vec<String>,
    /// Number of the level, K times.
    numbers: Vec<String>,
    /// Height and width of the map.
    grids: Vec<String>,
}

/// Corners K×4 in the scaled picture, best first.
pub(super) fn choose(
    net: &mut Net<'_>,
    picture: &Picture,
    pyramid: &Pyramid,
    plan: &Plan,
) -> Result<String, Error> {
    let mut levels = Levels::default();
    let maps = pyramid.maps.iter().map(|(map, _)| map);
    for (number, map) in maps.chain([&pyramid.top]).enumerate() {
        net.graph.set_scope(format!("rpn.{number}"));
        level(net, map, number, plan, &mut levels)?;
    }
    net.graph.set_scope("rpn");
    let [logits, indices, deltas, numbers, grids] = [
        levels.logits,
        levels.indices,
        levels.deltas,
        levels.numbers,
        levels.grids,
    ]
    .map(|lists| {
        let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
        net.graph.node("Concat", &lists, [("axis", 0.into())])
    });
    let anchors = anchors(net, picture, [&indices, &numbers, &grids], plan);
    let corners = geometry::decode(net, &deltas, &anchors, &picture.limit);
    let scores = sigmoid(net, &logits);
    let scores = geometry::without_small(net, &corners, &scores, LEAST, None);

    // A class for each level: −1 keeps the boxes of others out of it.
    let count = plan.anchors.len() as i64;
    let classes: Vec<u8> = (0..count).flat_map(i64::to_le_bytes).collect();
    let dims = [plan.anchors.len(), 1];
    let classes = Tensor::new("levels", DType::I64, &dims, classes.into());
    let classes = net.constant(classes);
    let (none, first) = (net.scalar(-1.0), net.i64s(&[0]));
    let graph = &mut net.graph;
    let own = graph.node("Equal", &[&numbers, &classes], []);
    let own = graph.node("Where", &[&own, &scores, &none], []);
    let own = graph.node("Unsqueeze", &[&own, &first], []);
    let boxes = graph.node("Unsqueeze", &[&corners, &first], []);
    let suppression = Suppression {
        iou: plan.proposal_iou,
        // The limit itself is still good here.
        above: match plan.proposal_score as f32 {
            0.0 => -0.5,
            limit => limit.next_down(),
        },
        most: plan.after,
    };
    let kept = geometry::suppress(net, &boxes, &own, &suppression);
    let third = net.index(2);
    let graph = &mut net.graph;
    let kept = graph.node("Gather", &[&kept, &third], [("axis", 1.into())]);
    let kept_scores = graph.node("Gather", &[&scores, &kept], []);
    let [_, order] = geometry::best(net, &kept_scores, plan.after);
    let kept = net.graph.node("Gather", &[&kept, &order], []);
    Ok(net.graph.node("Gather", &[&corners, &kept], []))
}

/// `1 / (1 + e^-x)` step by step as PyTorch computes it. Near 1 scores are equal that logits tell apart,
/// and equal scores are ordered by their places: a `Sigmoid` of another precision makes other
/// proposals.
fn sigmoid(net: &mut Net<'_>, logits: &str) -> String {
    let one = net.scalar(1.0);
    let graph = &mut net.graph;
    let x = graph.node("Neg", &[logits], []);
    let x = graph.node("Exp", &[&x], []);
    let x = graph.node("Add", &[&x, &one], []);
    graph.node("Reciprocal", &[&x], [])
}

/// The head over one map, and the best of its cells.
fn level(
    net: &mut Net<'_>,
    map: &Map,
    number: usize,
    plan: &Plan,
    levels: &mut Levels,
) -> Result<(), Error> {
    let x = pyramid::convs(net, map, "rpn.head.conv")?;
    let logits = net.conv2d(&x, "rpn.head.cls_logits", Conv2d::PLAIN)?;
    let deltas = net.conv2d(&x, "rpn.head.bbox_pred", Conv2d::PLAIN)?;
    let (anchors, rows) = (logits.channels, deltas.channels);
    // 0 while a weight is missing.
    if anchors != 0 && rows != 0 && rows != 4 * anchors {
        return Err(Error::Unsupported {
            family: plan.family,
            what: format!("`rpn.head.bbox_pred` with {rows} outputs for {anchors} anchors"),
            next: "four of each anchor are".into(),
        });
    }
    let (flat, rows) = (net.i64s(&[-1]), net.i64s(&[-1, 4]));
    let most = net.i64s(&[plan.before as i64]);
    let graph = &mut net.graph;
    let last = || [("perm", [0, 2, 3, 1].into())];
    let logits = graph.node("Transpose", &[&logits.value], last());
    let logits = graph.node("Reshape", &[&logits, &flat], []);
    let count = graph.node("Shape", &[&logits], []);
    let count = graph.node("Min", &[&count, &most], []);
    let [logits, indices] = graph.node_of("TopK", &[&logits, &count], []);
    let deltas = graph.node("Transpose", &[&deltas.value], last());
    let deltas = graph.node("Reshape", &[&deltas, &rows], []);
    levels
        .deltas
        .push(graph.node("Gather", &[&deltas, &indices], []));
    let value = Tensor::i64s("value", &[number as i64]);
    let value = [("value", bevel_onnx::Attribute::Tensor(value))];
    levels
        .numbers
        .push(graph.node("ConstantOfShape", &[&count], value));
    let start = [("start", 2.into())];
    levels.grids.push(graph.node("Shape", &[&map.value], start));
    levels.logits.push(logits);
    levels.indices.push(indices);
    Ok(())
}

/// The anchors of numbered cells: the middle is the cell's corner, as torchvision has it.
fn anchors(
    net: &mut Net<'_>,
    picture: &Picture,
    [indices, numbers, grids]: [&str; 3],
    plan: &Plan,
) -> Centred {
    let levels = plan.anchors.len();
    let per_cell = plan.anchors.first().map_or(1, Vec::len).max(1);
    let extents = plan.anchors.iter().flatten().flatten().copied().collect();
    let extents = Tensor::f32("anchors", &[levels * per_cell, 2], extents);
    let extents = net.constant(extents);
    let per_cell = net.index(per_cell as i64);
    let rows = net.i64s(&[levels as i64, 2]);
    let (second, turned) = (net.i64s(&[1]), net.i64s(&[1, 0]));
    let graph = &mut net.graph;
    let columns = || [("axis", 1.into())];

    // Cells, in whole steps along x and y. The step is that of the padded picture to its map.
    let grids = graph.node("Reshape", &[grids, &rows], []);
    let sides = graph.node("Shape", &[&picture.map.value], [("start", 2.into())]);
    let steps = graph.node("Div", &[&sides, &grids], []);
    let steps = graph.node("Gather", &[&steps, &turned], columns());
    let widths = graph.node("Gather", &[&grids, &second], columns());
    let steps = graph.node("Gather", &[&steps, numbers], []);
    let widths = graph.node("Gather", &[&widths, numbers], []);
    let cells = graph.node("Div", &[indices, &per_cell], []);
    let cells = graph.node("Unsqueeze", &[&cells, &second], []);
    let x = graph.node("Mod", &[&cells, &widths], []);
    let y = graph.node("Div", &[&cells, &widths], []);
    let cells = graph.node("Concat", &[&x, &y], columns());
    let middle = graph.node("Mul", &[&cells, &steps], []);
    let to = i64::from(DType::F32.code());
    let middle = graph.node("Cast", &[&middle], [("to", to.into())]);

    let kinds = graph.node("Mod", &[indices, &per_cell], []);
    let first = graph.node("Mul", &[numbers, &per_cell], []);
    let kinds = graph.node("Add", &[&first, &kinds], []);
    let extent = graph.node("Gather", &[&extents, &kinds], []);
    Centred { middle, extent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::Set;
    use crate::source::Source;
    use crate::testing::{Shapes, write_safetensors};
    use crate::weights::Weights;

    #[test]
    fn each_anchor_has_four_deltas() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        for (deltas, says) in [
            (12, None),
            (
                13,
                Some("`rpn.head.bbox_pred` with 13 outputs for 3 anchors"),
            ),
        ] {
            let shapes = [("cls_logits", 3), ("bbox_pred", deltas)];
            let shapes = shapes
                .map(|(part, outputs)| (format!("rpn.head.{part}.weight"), vec![outputs, 2, 1, 1]));
            write_safetensors(&path, &Shapes::from(shapes));
            let mut source = Source::open(&path).unwrap();
            let anchors = [
                ("anchor_sizes", "[[32]]"),
                ("aspect_ratios", "[[0.5, 1, 2]]"),
            ];
            let anchors = anchors.map(|(key, value)| (key.into(), value.into()));
            source.set = Set::new(&anchors.into());
            let weights = Weights::new(&source.checkpoint, "toy");
            let plan = Plan::read(&source, "toy", &weights, false).unwrap();
            let mut net = Net::new("toy", &weights);
            let map = net.picture("x", 2, None);
            let found = level(&mut net, &map, 0, &plan, &mut Levels::default());
            match (found, says) {
                (Ok(()), None) => {}
                (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
                (found, _) => panic!("{deltas}: {found:?}"),
            }
        }
    }
}
