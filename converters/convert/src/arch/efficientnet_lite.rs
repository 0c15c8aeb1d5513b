//! EfficientNet-Lite 0 … 4 (tensorflow/tpu, `efficientnet/lite`, 2020) from state dicts of the PyTorch
//! package `efficientnet_lite_pytorch` 0.1.0: EfficientNet (Tan and Le 2019, arXiv:1905.11946) without
//! squeeze-and-excitation, with ReLU6, stem and head of fixed width.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `pixels` | N×3×S×S | f32 | RGB, (pixel − 127) / 128; S of the variant |
//! | out `logits` | N×C | f32 | one per class |
//!
//! S is fixed: the padding of a stride-2 convolution depends on whether its input is odd or even.

mod network;
mod scale;

use bevel_manifest::{
    Activation, ChannelOrder, ClassifySpec, Decode, ImageInput, Input, Interpolation, Resize, Task,
};

use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options, labels};
use scale::{Block, VARIANTS, blocks};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["_conv_stem", "_blocks.", "_depthwise_conv", "_project_conv"],
    recognises,
    build,
};

const NAME: &str = "efficientnet-lite";

/// The picture is scaled to this much more than S, then the middle is cut out (`CROP_PADDING`).
const CROP_PADDING: u32 = 32;

/// How many labels are answered.
const TOP_K: usize = 5;

fn recognises(source: &Source) -> bool {
    let has = |name: &str| source.checkpoint.contains(name);
    has("_conv_stem.weight")
        && has("_blocks.0._depthwise_conv.weight")
        && has("_fc.weight")
        && !has("_blocks.0._se_reduce.weight")
}

/// The variant whose blocks have the depth and the output widths of the checkpoint.
fn variant(weights: &Weights<'_>) -> Option<(usize, Vec<Block>)> {
    let outputs = |block: usize| {
        let shape = weights.shape(&format!("_blocks.{block}._project_conv.weight"))?;
        shape.first().copied()
    };
    VARIANTS.into_iter().find_map(|(width, depth, side)| {
        let blocks = blocks(width, depth);
        let same = blocks
            .iter()
            .enumerate()
            .all(|(i, block)| outputs(i).is_none_or(|outputs| outputs == block.outputs));
        // A missing block is named later; one too many is another network.
        let last = blocks.len() - 1;
        let as_deep = outputs(last).is_some() && outputs(last + 1).is_none();
        (same && as_deep).then_some((side, blocks))
    })
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let task = options.wanted_task().unwrap_or(Task::Classify);
    if !matches!(task, Task::Classify | Task::Tensors) {
        return Err(Error::Task {
            family: NAME,
            task,
            known: "classify, tensors".into(),
        });
    }
    let weights = Weights::new(&source.checkpoint, NAME);
    let Some((side, blocks)) = variant(&weights) else {
        return Err(Error::Unsupported {
            family: NAME,
            what: "a network of this depth and width".into(),
            next: "lite0 to lite4 of efficientnet_lite_pytorch are".into(),
        });
    };
    let (graph, classes) = network::build(&weights, side, &blocks)?;
    let unused = weights.finish(|name| name.ends_with(".num_batches_tracked"))?;

    let labels = match options.labels_path()? {
        Some(path) => Some(labels::from_file(&path, options.labels_name(), classes)?),
        None => None,
    };
    let image = ImageInput {
        width: side as u32,
        height: side as u32,
        resize: Resize::CenterCrop {
            shorter_side: side as u32 + CROP_PADDING,
        },
        interpolation: Interpolation::BicubicAntialias,
        channels: ChannelOrder::Rgb,
        scale: 1.0 / 255.0,
        mean: [127.0 / 255.0; 3],
        std: [128.0 / 255.0; 3],
    };
    let classify = ClassifySpec {
        labels: labels.as_ref().map(|file| file.name.clone()),
        activation: Activation::Softmax,
        top_k: classes.min(TOP_K),
    };
    let (input, decode) = match task {
        Task::Tensors => (Input::Tensors, Decode::Tensors),
        _ => (Input::Image(image), Decode::Classify(classify)),
    };
    Ok(Built {
        graphs: model(graph),
        task,
        input,
        decode,
        files: labels.into_iter().collect(),
        unused: unused.0,
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::scale::{HEAD, STEM};
    use super::*;
    use crate::testing::{Shapes, write_safetensors};

    /// Tensors of a variant as `state_dict()` names them.
    fn shapes(variant: usize, classes: usize) -> Shapes {
        let (width, depth, _) = VARIANTS[variant];
        let mut shapes = Shapes::new();
        let mut conv = |name: String, norm: String, dims: [usize; 4]| {
            shapes.insert(format!("{name}.weight"), dims.to_vec());
            for of in ["weight", "bias", "running_mean", "running_var"] {
                shapes.insert(format!("{norm}.{of}"), vec![dims[0]]);
            }
            shapes.insert(format!("{norm}.num_batches_tracked"), vec![]);
        };
        conv("_conv_stem".into(), "_bn0".into(), [STEM, 3, 3, 3]);
        let blocks = blocks(width, depth);
        for (i, block) in blocks.iter().enumerate() {
            let part = |part: &str| format!("_blocks.{i}.{part}");
            let wide = block.inputs * block.expansion;
            if block.expansion != 1 {
                let dims = [wide, block.inputs, 1, 1];
                conv(part("_expand_conv"), part("_bn0"), dims);
            }
            let dims = [wide, 1, block.kernel, block.kernel];
            conv(part("_depthwise_conv"), part("_bn1"), dims);
            let dims = [block.outputs, wide, 1, 1];
            conv(part("_project_conv"), part("_bn2"), dims);
        }
        let last = blocks.last().unwrap().outputs;
        conv("_conv_head".into(), "_bn1".into(), [HEAD, last, 1, 1]);
        shapes.insert("_fc.weight".into(), vec![classes, HEAD]);
        shapes.insert("_fc.bias".into(), vec![classes]);
        shapes
    }

    #[test]
    fn a_state_dict_is_recognised_by_its_weights() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("any-name.bin");
        let labels = dir.path().join("names.txt");
        std::fs::write(&labels, "cat\ndog\nowl\n").unwrap();
        let out = dir.path().join("out.bevel");
        let mut options = Options {
            labels: Some(labels.clone()),
            ..Options::default()
        };
        for (variant, (_, _, side)) in VARIANTS.into_iter().enumerate().step_by(2) {
            write_safetensors(&file, &shapes(variant, 3));
            let report = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap();
            assert_eq!(
                (report.family.as_str(), report.task),
                (NAME, Task::Classify)
            );
            assert_eq!(report.chosen, "fp32");
            // int8 without calibration covers the classifier alone.
            assert!(report.notes[0].starts_with("int8 is left out"), "{variant}");
            let text = std::fs::read_to_string(out.join("bundle.toml")).unwrap();
            assert!(text.contains(&format!("width = {side}")), "{text}");
            assert!(out.join("labels.txt").is_file());
        }

        let mut lacking = shapes(0, 3);
        lacking.remove("_blocks.3._bn1.running_var");
        lacking.insert("_blocks.3._extra.weight".into(), vec![1]);
        write_safetensors(&file, &lacking);
        let error = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`_blocks.3._bn1.running_var`"), "{text}");

        write_safetensors(&file, &shapes(0, 4));
        let error = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("3 labels"), "{error}");

        options.quantize = "int8".parse().unwrap();
        options.labels = None;
        let error = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap_err();
        assert_eq!(
            error.kind(),
            bevel_manifest::ErrorKind::Unsupported,
            "{error}"
        );
        // The bundle that was there before is there still.
        assert!(out.join("labels.txt").is_file());
    }
}
