//! Exports of Ultralytics 8 (YOLOv8, YOLO11 and the networks around them), which say in their metadata
//! what they do.
//!
//! | task | in | out |
//! |---|---|---|
//! | `detect`, `pose`, `obb` | `pixels` N×3×H×W, 0 ..= 1, RGB | `predictions` N×(4+C+E)×A |
//! | `segment` | the same | `predictions`, `prototypes` N×P×H/4×W/4 |
//! | `classify` | the same | `logits` N×C, probabilities already |
//!
//! Preparation and thresholds are those of `ultralytics` 8.4: letterbox in the middle on grey 114, a
//! score of 0.25, IoU 0.7, 300 boxes; classifiers take the middle of the picture.
//!
//! Limit: exports that choose their boxes themselves (`nms=True`, end-to-end heads) answer tensors.

use bevel_manifest::{
    Activation, Anchor, BoxHead, ChannelOrder, ClassifySpec, Decode, DetectSpec, ImageInput, Input,
    InstanceSpec, Interpolation, MaskHead, PoseSpec, Resize, Task,
};
use bevel_onnx::Graph;
use serde_json::Value;

use super::{Job, fixed, literal};
use crate::arch::BundleFile;
use crate::source::Source;
use crate::{Error, Options, labels};

const MIN_SCORE: f32 = 0.25;
const IOU: f32 = 0.7;
const MAX_BOXES: usize = 300;

/// A pixel belongs to a mask from here on.
const MIN_MASK: f32 = 0.5;

/// Grey around a letterboxed picture.
const FILL: u8 = 114;

/// How many labels a classifier answers.
const TOP_K: usize = 5;

/// The numbers of a box before its classes.
const BOX: usize = 4;

/// What the metadata says that the graph is for; `None` where Ultralytics did not write it.
pub(super) fn job(
    graph: &mut Graph,
    source: &Source,
    options: &Options,
) -> Result<Option<Job>, Error> {
    let said = |key: &str| graph.metadata.get(key).map(String::as_str);
    let (Some(task), Some(names), Some(size)) = (said("task"), said("names"), said("imgsz")) else {
        return Ok(None);
    };
    let wrong = |what: &str| Error::SideFile {
        path: source.checkpoint.path().into(),
        what: format!("its metadata {what}; export it again with a current Ultralytics"),
    };
    let size = literal::parse(size).and_then(|size| match size.as_array()?.as_slice() {
        [height, width] => Some((height.as_u64()?, width.as_u64()?)),
        _ => None,
    });
    let Some((height, width)) = size else {
        return Err(wrong("gives no `imgsz` of two numbers"));
    };
    let Some(names) = class_names(names) else {
        return Err(wrong("gives no `names` of all classes"));
    };
    let (height, width) = match (u32::try_from(height), u32::try_from(width)) {
        (Ok(height), Ok(width)) => (height, width),
        _ => return Err(wrong("gives an `imgsz` that no picture has")),
    };
    let chosen = said("end2end") == Some("True") || chooses(said("args"));
    let keypoints = said("kpt_shape").and_then(keypoints);
    let task = task.to_owned();

    let classes = names.len();
    let wide = |extra: usize| fixed(graph, 0, 1).is_none_or(|rows| rows == BOX + classes + extra);
    if chosen && task != "classify" {
        return Ok(Some(Job::tensors(Some(format!(
            "the export chooses its boxes itself ({task}), which is run as tensors; export with nms=False \
             to have them decoded here"
        )))));
    }
    let masks = fixed(graph, 1, 1);
    let file = options.labels_name();
    let detect = DetectSpec {
        head: BoxHead::Yolo,
        labels: file.into(),
        min_score: MIN_SCORE,
        iou: IOU,
        max_boxes: MAX_BOXES,
    };
    let (task, decode, outputs) = match (task.as_str(), masks, keypoints) {
        ("detect", ..) if wide(0) => (Task::Detect, Decode::Detect(detect), &["predictions"][..]),
        // The angle is behind the classes.
        ("obb", ..) if wide(1) => (Task::Obb, Decode::Obb(detect), &["predictions"][..]),
        ("segment", Some(count), _) if wide(count) => {
            let spec = InstanceSpec {
                detect,
                masks: MaskHead::Prototypes { count },
                min_mask: MIN_MASK,
            };
            let outputs = &["predictions", "prototypes"][..];
            (Task::Segment, Decode::Instances(spec), outputs)
        }
        ("pose", _, Some((keypoints, dims))) if wide(keypoints * dims) => {
            let spec = PoseSpec {
                detect,
                keypoints,
                dims,
            };
            (Task::Pose, Decode::Pose(spec), &["predictions"][..])
        }
        ("classify", ..) if fixed(graph, 0, 1).is_none_or(|columns| columns == classes) => {
            let spec = ClassifySpec {
                labels: Some(file.into()),
                activation: Activation::None,
                top_k: classes.min(TOP_K),
            };
            (Task::Classify, Decode::Classify(spec), &["logits"][..])
        }
        (other, ..) => {
            return Ok(Some(Job::tensors(Some(format!(
                "its outputs are not those of Ultralytics' `{other}` with {classes} classes, so it is run as \
                 tensors"
            )))));
        }
    };
    let labels = labels_file(&names, options)?;
    rename(graph, outputs);
    let (resize, interpolation) = match task {
        Task::Classify => (
            Resize::CenterCrop {
                shorter_side: width.min(height),
            },
            Interpolation::BilinearAntialias,
        ),
        _ => (
            Resize::Letterbox {
                anchor: Anchor::Center,
                fill: FILL,
            },
            Interpolation::Bilinear,
        ),
    };
    Ok(Some(Job {
        task,
        input: Input::Image(ImageInput {
            width,
            height,
            resize,
            interpolation,
            channels: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        }),
        decode,
        files: vec![labels],
        notes: Vec::new(),
    }))
}

/// Class names in the order of their numbers.
fn class_names(text: &str) -> Option<Vec<String>> {
    let map = literal::parse(text)?;
    let map = map.as_object().filter(|map| !map.is_empty())?;
    (0..map.len())
        .map(|i| Some(map.get(&i.to_string())?.as_str()?.to_owned()))
        .collect()
}

/// Keypoints of a box, and numbers of each.
fn keypoints(text: &str) -> Option<(usize, usize)> {
    let shape = literal::parse(text)?;
    let number = |i: usize| usize::try_from(shape.get(i)?.as_u64()?).ok();
    let (count, dims) = (number(0)?, number(1)?);
    (count <= 1024 && (2..=3).contains(&dims)).then_some((count, dims))
}

/// Whether the arguments of the export asked for suppression inside the graph.
fn chooses(args: Option<&str>) -> bool {
    let args = args.and_then(literal::parse);
    args.and_then(|args| args.get("nms").and_then(Value::as_bool)) == Some(true)
}

fn labels_file(names: &[String], options: &Options) -> Result<BundleFile, Error> {
    match options.labels_path()? {
        Some(path) => labels::from_file(&path, options.labels_name(), names.len()),
        None => labels::from_names(names, options.labels_name()),
    }
}

/// Gives the tensors the names that our own graphs of these tasks have.
fn rename(graph: &mut Graph, outputs: &[&str]) {
    let inputs = graph
        .inputs
        .iter()
        .map(|value| (value.name.clone(), "pixels"));
    let named = graph.outputs.iter().zip(outputs);
    let named = named.map(|(value, name)| (value.name.clone(), *name));
    let pairs: Vec<_> = inputs.take(1).chain(named).collect();
    for (from, to) in pairs {
        graph.rename(&from, to);
    }
}
