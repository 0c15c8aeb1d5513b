//! YOLO models as ultralytics saves them: a pickled module, whose layers are written one by one
//! (ultralytics 8.4, `nn/tasks.py`). What a model is made of stands in the checkpoint: every version
//! and scale whose blocks are known is converted.
//!
//! | | tensor | shape | dtype | meaning |
//! |---|---|---|---|---|
//! | in | `pixels` | N×3×H×W | f32 | RGB, 0 ..= 1 |
//! | out | `predictions` | N×(4+C+E)×A | f32 | `[cx, cy, w, h]` in pixels, C probabilities, E numbers of the task |
//! | out | `prototypes` | N×P×h×w | f32 | of masks, which E = P coefficients add up |
//! | out | `logits` | N×C | f32 | instead of both, of a classifier |
//!
//! E of keypoints: x, y in pixels and, where there are three numbers, the probability that it is seen; of
//! an oriented box: its angle in radians. H and W are fixed, as the A anchors are constants: those of the
//! training, or `--set image_size=480x640`.

mod attention;
mod blocks;
mod builder;
mod head;
mod module;
mod settings;

use bevel_manifest::{
    Activation, BoxHead, ClassifySpec, Decode, DetectSpec, Input, InstanceSpec, MaskHead, PoseSpec,
    Task,
};
use bevel_onnx::Graph;

use self::builder::{Builder, Plane};
pub(super) use self::head::{Extra, Found};
use self::module::Module;
pub(super) use self::settings::{cropped, letterboxed};
use super::layers::Net;
use super::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options, labels};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["model.0.conv.", ".cv1.conv.", ".cv2.bn.", "dfl.conv."],
    recognises: |source| whole(source).is_some(),
    build,
};

const NAME: &str = "ultralytics";

/// The pickled module, where it is one of ultralytics.
fn whole(source: &Source) -> Option<Module<'_>> {
    let module = Module::of(source.checkpoint.model()?)?;
    let [package, _] = module.class();
    package.starts_with("ultralytics.").then_some(module)
}

/// What the last layer answers.
enum Answer {
    Boxes(Found),
    Classes(usize),
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let Some(whole) = whole(source) else {
        return Err(Error::Unsupported {
            family: NAME,
            what: "a checkpoint without its module".into(),
            next: "give the .pt that ultralytics saved, not its weights alone".into(),
        });
    };
    let layers = whole.part("model")?.list()?;
    let Some(last) = layers.last() else {
        return Err(whole.wrong("without layers"));
    };
    let size = settings::image_size(source, &whole, last.kind() == "Classify")?;
    let channels = settings::channels(&whole);
    let weights = Weights::new(&source.checkpoint, NAME);
    let (graph, answer) = network(&weights, &layers, channels, size)?;
    let unused = weights.finish(|name| needless(name, &last.name, &answer))?;

    let natural = match &answer {
        Answer::Classes(_) => Task::Classify,
        Answer::Boxes(found) => found.extra.task(),
    };
    let task = options.task_of(NAME, &[natural, Task::Tensors])?;
    if task == Task::Tensors || channels != 3 {
        let mut built = Built::tensors(model(graph), unused);
        if task != Task::Tensors {
            let note = format!("pictures of {channels} channels are taken as tensors alone");
            built.notes.push(note);
        }
        return Ok(built);
    }
    let (input, labels, decode) = match answer {
        Answer::Classes(classes) => {
            let labels = settings::labels(&whole, classes, options)?;
            let classify = ClassifySpec {
                labels: Some(labels.name.clone()),
                activation: Activation::Softmax,
                top_k: classes.min(labels::TOP_K),
            };
            (cropped(size), labels, Decode::Classify(classify))
        }
        Answer::Boxes(found) => {
            let labels = settings::labels(&whole, found.classes, options)?;
            let decode = boxes(&found, &labels.name);
            (letterboxed(size), labels, decode)
        }
    };
    Ok(Built {
        graphs: model(graph),
        task,
        input: Input::Image(input),
        decode,
        files: vec![labels],
        unused: unused.0,
        notes: Vec::new(),
    })
}

/// The thresholds are those of ultralytics' `predict`.
pub(super) fn boxes(found: &Found, labels: &str) -> Decode {
    let detect = DetectSpec {
        head: BoxHead::Yolo,
        labels: labels.into(),
        min_score: 0.25,
        // Overlap does not matter where a thing gets one box.
        iou: if found.single { 1.0 } else { 0.7 },
        max_boxes: 300,
    };
    match found.extra {
        Extra::None => Decode::Detect(detect),
        Extra::Masks(count) => Decode::Instances(InstanceSpec {
            detect,
            masks: MaskHead::Prototypes { count },
            min_mask: 0.5,
        }),
        Extra::Keypoints(keypoints, dims) => Decode::Pose(PoseSpec {
            detect,
            keypoints,
            dims,
        }),
        Extra::Angle => Decode::Obb(detect),
    }
}

/// Parts of heads of boxes of which there is one for each branch.
const BRANCH: [&str; 4] = ["cv2", "cv3", "cv4", "cv4_kpts"];

/// Parts that losses need, and the bins of distances, which are counted already.
const TRAINING: [&str; 5] = [
    "cv4_sigma",
    "dfl",
    "flow_model",
    "one2one_cv4_sigma",
    "semseg",
];

/// Tensors that matter in training alone: of the branch of `head` that is not asked, and of losses.
fn needless(name: &str, head: &str, answer: &Answer) -> bool {
    let single = matches!(answer, Answer::Boxes(Found { single: true, .. }));
    let inside = name
        .strip_prefix(head)
        .and_then(|rest| rest.strip_prefix('.'));
    let parts = || inside.into_iter().flat_map(|inside| inside.split('.'));
    let first = parts().next().unwrap_or_default();
    let other = match (single, first.strip_prefix("one2one_")) {
        (true, None) => Some(first),
        (false, one) => one,
        (true, Some(_)) => None,
    };
    name.ends_with(".num_batches_tracked")
        || other.is_some_and(|part| BRANCH.contains(&part))
        || parts().any(|part| TRAINING.contains(&part))
}

/// The graph for pictures of a height and width.
fn network(
    weights: &Weights<'_>,
    layers: &[Module<'_>],
    channels: usize,
    size: [usize; 2],
) -> Result<(Graph, Answer), Error> {
    let mut b = Builder::new(Net::new(NAME, weights));
    let map = b.net.picture("pixels", channels, Some(size));
    let mut x = Plane { map, size };
    let mut planes: Vec<Plane> = Vec::with_capacity(layers.len());
    for (i, layer) in layers.iter().enumerate() {
        // Where its inputs come from: an index, or how many layers back.
        let from = layer.sources()?;
        let mut inputs = Vec::with_capacity(from.len());
        for from in from {
            let at = if from < 0 { i as i64 + from } else { from };
            let plane = match usize::try_from(at) {
                _ if from == -1 => Some(&x),
                Ok(at) => planes.get(at),
                Err(_) => None,
            };
            let plane = plane.ok_or_else(|| layer.wrong(&format!("that reads layer {from}")))?;
            inputs.push(plane.clone());
        }
        if i + 1 == layers.len() {
            let answer = match layer.kind() {
                "Classify" => Answer::Classes(head::classify(&mut b, layer, &inputs)?),
                kind if head::finds_boxes(kind) => {
                    Answer::Boxes(head::boxes(&mut b, layer, size, &inputs)?)
                }
                _ => {
                    return Err(Error::Unsupported {
                        family: NAME,
                        what: format!("the head {}", layer.class().join(".")),
                        next: format!("known: Classify, {}", head::KINDS.join(", ")),
                    });
                }
            };
            return Ok((b.net.graph, answer));
        }
        x = b.layer(layer, &inputs)?;
        planes.push(x.clone());
    }
    // There is a last layer, as the caller has seen.
    Ok((b.net.graph, Answer::Classes(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_of_the_head_may_be_left() {
        let boxes = |single| {
            Answer::Boxes(Found {
                classes: 2,
                extra: Extra::None,
                single,
            })
        };
        struct Case {
            name: &'static str,
            /// Where a thing gets one box, and where it gets many.
            needless: [bool; 2],
        }
        let cases = [
            ("model.22.cv2.0.0.conv.weight", [true, false]),
            ("model.22.cv4_kpts.0.weight", [true, false]),
            ("model.22.one2one_cv2.0.0.conv.weight", [false, true]),
            ("model.22.one2one_cv4_kpts.0.weight", [false, true]),
            ("model.22.one2one_cv4_sigma.0.weight", [true, true]),
            ("model.22.flow_model.net.0.weight", [true, true]),
            ("model.22.proto.semseg.0.conv.weight", [true, true]),
            ("model.22.dfl.conv.weight", [true, true]),
            ("model.2.bn.num_batches_tracked", [true, true]),
            // Of a block, and of a head with a longer number.
            ("model.2.cv2.conv.weight", [false, false]),
            ("model.2.dfl.conv.weight", [false, false]),
            ("model.222.cv2.0.0.conv.weight", [false, false]),
            ("model.22.proto.cv2.conv.weight", [false, false]),
        ]
        .map(|(name, needless)| Case { name, needless });
        for case in cases {
            let found = [true, false].map(|single| needless(case.name, "model.22", &boxes(single)));
            assert_eq!(found, case.needless, "{}", case.name);
        }
    }
}
