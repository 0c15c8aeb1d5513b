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

mod scale;

use bevel_manifest::Interpolation;

use super::classifier::Classifier;
use super::inverted::{Block, Border, Names, Network};
use super::layers::Activation;
use super::torchvision::Preset;
use crate::arch::{Built, Family};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};
use scale::{Scaled, VARIANTS, blocks};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["_conv_stem", "_blocks.", "_depthwise_conv", "_project_conv"],
    recognises,
    build,
};

const NAME: &str = "efficientnet-lite";

/// The picture is scaled to this much more than S, then the middle is cut out (`CROP_PADDING`).
const CROP_PADDING: usize = 32;

const HEAD: &[&str] = &["_fc"];

const NAMES: Names = Names {
    expand: ["_expand_conv", "_bn0"],
    depthwise: ["_depthwise_conv", "_bn1"],
    gate: None,
    project: ["_project_conv", "_bn2"],
};

fn recognises(source: &Source) -> bool {
    let has = |name: &str| source.checkpoint.contains(name);
    has("_conv_stem.weight")
        && has("_blocks.0._depthwise_conv.weight")
        && has("_fc.weight")
        && !has("_blocks.0._se_reduce.weight")
}

/// The variant whose blocks have the depth, the widths and the filters of the checkpoint.
fn variant(weights: &Weights<'_>) -> Option<(usize, Vec<Scaled>)> {
    let shape = |block: usize, part: &str| weights.shape(&format!("_blocks.{block}.{part}.weight"));
    let outputs = |block: usize| shape(block, "_project_conv")?.first().copied();
    let fits = |i: usize, block: &Scaled| {
        let Scaled { kernel, .. } = *block;
        let filters = [block.inputs * block.expansion, 1, kernel, kernel];
        outputs(i).is_none_or(|outputs| outputs == block.outputs)
            && shape(i, "_depthwise_conv").is_none_or(|shape| shape == filters)
    };
    VARIANTS.into_iter().find_map(|(width, depth, side)| {
        let blocks = blocks(width, depth);
        let same = blocks.iter().enumerate().all(|(i, block)| fits(i, block));
        // A missing block is named later; one too many is another network.
        let last = blocks.len() - 1;
        let as_deep = outputs(last).is_some() && outputs(last + 1).is_none();
        (same && as_deep).then_some((side, blocks))
    })
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let weights = Weights::new(&source.checkpoint, NAME);
    let Some((side, scaled)) = variant(&weights) else {
        return Err(Error::Unsupported {
            family: NAME,
            what: "a network of this depth and width".into(),
            next: "lite0 to lite4 of efficientnet_lite_pytorch are".into(),
        });
    };
    let activation = Activation::Relu6;
    let blocks = scaled.iter().enumerate().map(|(i, scaled)| {
        let name = format!("_blocks.{i}");
        let parts = NAMES.parts(&weights, &name);
        let mut block = Block::plain(parts, scaled.stride, activation);
        block.border = Border::Same;
        (name, block)
    });
    let network = Network {
        first: ["_conv_stem", "_bn0"].map(Into::into),
        blocks: blocks.collect(),
        last: ["_conv_head", "_bn1"].map(Into::into),
        norm_epsilon: 1e-3,
        border: Border::Same,
        activation,
        gate: [activation; 2],
    };
    let classifier = Classifier::new(NAME, source, options, HEAD)?;
    let image = classifier.image(Preset {
        colors: [[127.0 / 255.0; 3], [128.0 / 255.0; 3]],
        ..Preset::new(side, side + CROP_PADDING, Interpolation::BicubicAntialias)
    })?;
    network.classifier(weights, classifier, image, HEAD)
}

#[cfg(test)]
mod tests {
    use bevel_manifest::Task;

    use super::scale::STEM;
    use super::*;
    use crate::testing::{Shapes, write_safetensors};

    /// Channels of the last convolution, the same in all variants.
    const LAST: usize = 1280;

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
        conv("_conv_head".into(), "_bn1".into(), [LAST, last, 1, 1]);
        shapes.insert("_fc.weight".into(), vec![classes, LAST]);
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
            // Convolutions want calibration.
            assert!(
                report.notes[0].starts_with("int8-static is left out"),
                "{variant}"
            );
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
