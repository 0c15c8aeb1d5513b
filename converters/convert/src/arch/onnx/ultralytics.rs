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

use bevel_manifest::{Activation, ClassifySpec, Decode, Input, Task};
use bevel_onnx::Graph;
use serde_json::Value;

use super::{Job, fixed, literal};
use crate::arch::BundleFile;
use crate::arch::ultralytics::{Extra, Found, boxes, cropped, letterboxed};
use crate::set::MAX_SIDE;
use crate::source::Source;
use crate::{Error, Options, labels};

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
        [height, width] => Some([height.as_u64()?, width.as_u64()?]),
        _ => None,
    });
    let Some(size) = size else {
        return Err(wrong("gives no `imgsz` of two numbers"));
    };
    let Some(names) = class_names(names) else {
        return Err(wrong("gives no `names` of all classes"));
    };
    let side = |side: u64| {
        usize::try_from(side)
            .ok()
            .filter(|n| (1..=MAX_SIDE).contains(n))
    };
    let [Some(height), Some(width)] = size.map(side) else {
        return Err(wrong("gives an `imgsz` that no picture has"));
    };
    let size = [height, width];
    let chosen = said("end2end") == Some("True") || chooses(said("args"));
    let keypoints = said("kpt_shape").and_then(keypoints);
    let task = task.to_owned();

    let classes = names.len();
    if chosen && task != "classify" {
        return Ok(Some(Job::tensors(Some(format!(
            "the export chooses its boxes itself ({task}), which is run as tensors; export with nms=False \
             to have them decoded here"
        )))));
    }
    let extra = match (task.as_str(), fixed(graph, 1, 1), keypoints) {
        ("detect", ..) => Some(Extra::None),
        // The angle is behind the classes.
        ("obb", ..) => Some(Extra::Angle),
        ("segment", Some(count), _) => Some(Extra::Masks(count)),
        ("pose", _, Some((keypoints, dims))) => Some(Extra::Keypoints(keypoints, dims)),
        _ => None,
    };
    let channels = fixed(graph, 0, 1);
    let wide = |extra: &Extra| channels.is_none_or(|n| n == BOX + classes + extra.width());
    let file = options.labels_name();
    let (task, input, decode, outputs) = match (task.as_str(), extra.filter(wide)) {
        (_, Some(extra)) => {
            let found = Found {
                classes,
                extra,
                single: false,
            };
            let outputs = match extra {
                Extra::Masks(_) => &["predictions", "prototypes"][..],
                _ => &["predictions"],
            };
            let decode = boxes(&found, file);
            (extra.task(), letterboxed(size), decode, outputs)
        }
        ("classify", _) if channels.is_none_or(|columns| columns == classes) => {
            let spec = ClassifySpec {
                labels: Some(file.into()),
                activation: Activation::None,
                top_k: classes.min(labels::TOP_K),
            };
            let decode = Decode::Classify(spec);
            (Task::Classify, cropped(size), decode, &["logits"][..])
        }
        (other, _) => {
            return Ok(Some(Job::tensors(Some(format!(
                "its outputs are not those of Ultralytics' `{other}` with {classes} classes, so it is run as \
                 tensors"
            )))));
        }
    };
    let labels = labels_file(&names, options)?;
    rename(graph, outputs);
    Ok(Some(Job {
        task,
        input: Input::Image(input),
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
