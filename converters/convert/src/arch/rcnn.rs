//! Faster R-CNN (Ren et al. 2015, arXiv:1506.01497) and Mask R-CNN (He et al. 2017, arXiv:1703.06870)
//! over a feature pyramid (Lin et al. 2016, arXiv:1612.03144) from state dicts of torchvision 0.29.
//! One graph does all of it: picture to proposals, proposals to boxes, boxes to masks.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `image` | 3×H×W | f32 | RGB, 0 ..= 1, of any size |
//! | out `boxes` | K×4 | f32 | `[x1, y1, x2, y2]` in pixels of the picture |
//! | out `labels` | K | i64 | class, 1 … C; 0 is the background |
//! | out `scores` | K | f32 | 0 ..= 1, best first |
//! | out `masks` | K×1×M×M | f32 | 0 ..= 1 over the box, which the caller pastes; Mask R-CNN alone |
//!
//! K is 0 where nothing is found. A picture is scaled to `min_size` and `max_size` inside the graph.
//!
//! torchvision guesses how much smaller a map is from the first picture it sees, and guesses wrong where
//! that is less than 68 pixels high once scaled; here it is what the strides make it.

mod detections;
mod geometry;
mod masks;
mod picture;
mod plan;
mod proposals;
mod pyramid;
mod regions;
mod renamed;

use bevel_manifest::{
    BoxHead, ChannelOrder, Decode, DetectSpec, ImageInput, Input, InstanceSpec, Interpolation,
    MaskHead, Resize, Task,
};
use bevel_onnx::{DType, Dim, Graph};

use super::layers::Net;
use super::{Built, Family, model};
use crate::set::MAX_SIDE;
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options, labels};
use plan::Plan;

pub(super) const FASTER: Family = Family {
    name: "faster-rcnn",
    marks: &[
        "rpn.head.",
        "roi_heads.box_",
        "backbone.fpn.",
        "backbone.body.",
    ],
    recognises: |source| has_boxes(source) && !has_masks(source),
    build: |source, options| build("faster-rcnn", source, options),
};

pub(super) const MASK: Family = Family {
    name: "mask-rcnn",
    marks: &[
        "roi_heads.mask_",
        "rpn.head.",
        "backbone.fpn.",
        "backbone.body.",
    ],
    recognises: |source| has_boxes(source) && has_masks(source),
    build: |source, options| build("mask-rcnn", source, options),
};

/// A pixel belongs to a mask from here on, as torchvision's documentation has it.
const MIN_MASK: f32 = 0.5;

/// What class 0 is called.
const BACKGROUND: &str = "background";

fn has_boxes(source: &Source) -> bool {
    let has = |name: &str| source.checkpoint.contains(name);
    has("rpn.head.cls_logits.weight") && has("roi_heads.box_predictor.cls_score.weight")
}

fn has_masks(source: &Source) -> bool {
    let name = "roi_heads.mask_predictor.mask_fcn_logits.weight";
    source.checkpoint.contains(name)
}

fn build(family: &'static str, source: &Source, options: &Options) -> Result<Built, Error> {
    let masked = has_masks(source);
    let own = match masked {
        true => Task::Segment,
        false => Task::Detect,
    };
    let task = options.task_of(family, &[own, Task::Tensors])?;
    let (weights, old) = renamed::weights(source, family);
    let plan = Plan::read(source, family, &weights, old)?;
    let (graph, classes) = network(&weights, &plan, masked)?;
    let unused = weights.finish(|name| name.ends_with(".num_batches_tracked"))?;
    if task == Task::Tensors {
        let mut built = Built::tensors(model(graph), unused);
        built.notes = plan.notes;
        return Ok(built);
    }

    let detect = DetectSpec {
        head: BoxHead::Boxes,
        labels: options.labels_name().into(),
        min_score: plan.score as f32,
        // The graph has chosen already.
        iou: 1.0,
        max_boxes: plan.detections,
    };
    let decode = match masked {
        true => Decode::Instances(InstanceSpec {
            detect,
            masks: MaskHead::Soft,
            min_mask: MIN_MASK,
        }),
        false => Decode::Detect(detect),
    };
    // The largest picture that the bundle takes; the graph scales it down anyway.
    let largest = MAX_SIDE as u32;
    let image = ImageInput {
        width: largest,
        height: largest,
        resize: Resize::Keep,
        interpolation: Interpolation::Bilinear,
        channels: ChannelOrder::Rgb,
        scale: 1.0 / 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let name = options.labels_name();
    let names = match options.labels_path()? {
        Some(path) => labels::from_file_behind(&path, name, classes, BACKGROUND)?,
        None => labels::from_names(&class_names(source, classes)?, name)?,
    };
    Ok(Built {
        graphs: model(graph),
        task,
        input: Input::Image(image),
        decode,
        files: vec![names],
        unused: unused.0,
        notes: plan.notes,
    })
}

/// Those of `config.json`, which may leave out the background, or numbers.
fn class_names(source: &Source, classes: usize) -> Result<Vec<String>, Error> {
    let background = || [BACKGROUND.to_owned()].into_iter();
    let things = classes.saturating_sub(1);
    let names = match labels::of_config(source, things) {
        Ok(names) => names.map(|names| background().chain(names).collect()),
        Err(_) => labels::of_config(source, classes)?,
    };
    let numbers = (1..classes).map(|class| class.to_string());
    Ok(names.unwrap_or_else(|| background().chain(numbers).collect()))
}

/// The graph, and how many classes it tells apart, the background among them.
fn network(weights: &Weights<'_>, plan: &Plan, masked: bool) -> Result<(Graph, usize), Error> {
    let mut net = Net::new("rcnn", weights);
    let sides = ["height", "width"].map(Dim::named);
    let dims = [Dim::Fixed(3)].into_iter().chain(sides);
    let image = net.graph.input("image", DType::F32, dims);
    let picture = picture::prepare(&mut net, &image, plan);
    let pyramid = pyramid::build(&mut net, &picture.map, plan)?;
    let limit = picture.limit.as_str();
    let proposals = proposals::choose(&mut net, &picture, &pyramid, plan)?;
    let found = detections::choose(&mut net, &pyramid, &proposals, limit, plan)?;
    let masks = match masked {
        true => Some(masks::paint(&mut net, &pyramid, &found)?),
        false => None,
    };

    net.graph.set_scope("");
    let boxes = net.graph.node("Mul", &[&found.boxes, &picture.back], []);
    let found_dim = || Dim::named("detections");
    let graph = &mut net.graph;
    graph.output(&boxes, "boxes", DType::F32, [found_dim(), Dim::Fixed(4)]);
    graph.output(&found.labels, "labels", DType::I64, [found_dim()]);
    graph.output(&found.scores, "scores", DType::F32, [found_dim()]);
    if let Some((masks, side)) = masks {
        let dims = [
            found_dim(),
            Dim::Fixed(1),
            Dim::Fixed(side),
            Dim::Fixed(side),
        ];
        graph.output(&masks, "masks", DType::F32, dims);
    }
    Ok((net.graph, found.classes))
}

#[cfg(test)]
mod tests;
