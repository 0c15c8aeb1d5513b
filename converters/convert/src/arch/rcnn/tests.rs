use super::*;
use crate::testing::{Shapes, write_safetensors};

/// Faster R-CNN of two channels everywhere over a ResNet of a block a stage.
fn shapes() -> Shapes {
    let mut shapes = Shapes::new();
    let mut add = |name: String, dims: &[usize]| {
        shapes.insert(format!("{name}.weight"), dims.to_vec());
        shapes.insert(format!("{name}.bias"), vec![dims[0]]);
    };
    for level in 0..4 {
        add(
            format!("backbone.fpn.inner_blocks.{level}.0"),
            &[2, 2, 1, 1],
        );
        add(
            format!("backbone.fpn.layer_blocks.{level}.0"),
            &[2, 2, 3, 3],
        );
    }
    add("rpn.head.conv.0.0".into(), &[2, 2, 3, 3]);
    add("rpn.head.cls_logits".into(), &[3, 2, 1, 1]);
    add("rpn.head.bbox_pred".into(), &[12, 2, 1, 1]);
    add("roi_heads.box_head.fc6".into(), &[4, 2 * 7 * 7]);
    add("roi_heads.box_head.fc7".into(), &[4, 4]);
    add("roi_heads.box_predictor.cls_score".into(), &[3, 4]);
    add("roi_heads.box_predictor.bbox_pred".into(), &[12, 4]);
    let mut conv = |conv: String, norm: String, dims: [usize; 4]| {
        shapes.insert(format!("backbone.body.{conv}.weight"), dims.to_vec());
        for part in ["weight", "bias", "running_mean", "running_var"] {
            shapes.insert(format!("backbone.body.{norm}.{part}"), vec![2]);
        }
    };
    conv("conv1".into(), "bn1".into(), [2, 3, 7, 7]);
    for (stage, layer) in (1..=4).flat_map(|stage| [(stage, 1), (stage, 2)]) {
        let part = |part: &str| format!("layer{stage}.0.{part}{layer}");
        conv(part("conv"), part("bn"), [2, 2, 3, 3]);
    }
    for stage in 2..=4 {
        let part = |part: &str| format!("layer{stage}.0.downsample.{part}");
        conv(part("0"), part("1"), [2, 2, 1, 1]);
    }
    shapes
}

#[test]
fn notes_are_there_for_every_task() {
    let dir = tempfile::tempdir().unwrap();
    write_safetensors(&dir.path().join("model.safetensors"), &shapes());
    let source = Source::open(dir.path()).unwrap();
    for task in [Task::Detect, Task::Tensors] {
        let options = Options {
            task: Some(task),
            ..Options::default()
        };
        let built = (FASTER.build)(&source, &options).unwrap();
        assert_eq!(built.task, task);
        let notes = built.notes.join("; ");
        assert!(notes.contains("--set norm_eps=0"), "{task}: {notes}");
        // The graph has chosen its boxes.
        if let Decode::Detect(detect) = &built.decode {
            assert_eq!(detect.iou, 1.0);
        }
    }
}

#[test]
fn errors_name_the_family() {
    let dir = tempfile::tempdir().unwrap();
    let mut shapes = shapes();
    let masks = ["conv5_mask", "mask_fcn_logits"];
    for name in masks {
        let name = format!("roi_heads.mask_predictor.{name}.weight");
        shapes.insert(name, vec![2, 2, 2, 2]);
    }
    let level = "backbone.fpn.inner_blocks.1.0.weight".to_owned();
    shapes.insert(level, vec![2, 5, 1, 1]);
    write_safetensors(&dir.path().join("model.safetensors"), &shapes);
    let source = Source::open(dir.path()).unwrap();
    let error = (MASK.build)(&source, &Options::default());
    let error = error.err().unwrap().to_string();
    assert!(
        error.contains("mask-rcnn: a pyramid whose level 1"),
        "{error}"
    );
}
