//! Names of weights as torchvision had them before 0.13, which its published files still have.

use std::collections::BTreeMap;

use crate::source::Source;
use crate::weights::{Part, Renamed, Weights};

/// The weights under today's names, and whether they had others.
pub(super) fn weights<'a>(source: &'a Source, family: &'static str) -> (Weights<'a>, bool) {
    let checkpoint = &source.checkpoint;
    let rows = checkpoint.names().map(|name| (today(name), name));
    let names: BTreeMap<String, &str> = rows.collect();
    if names.iter().all(|(today, name)| today == name) {
        return (Weights::new(checkpoint, family), false);
    }
    let parts = names
        .iter()
        .map(|(today, name)| (today.clone(), Part::whole(name)));
    let parts: Renamed = parts.collect();
    (Weights::renamed(checkpoint, family, parts), true)
}

/// A convolution became the first of a sequence of convolution, normalisation and non-linearity.
fn today(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["rpn", "head", "conv", of @ ("weight" | "bias")] => format!("rpn.head.conv.0.0.{of}"),
        [
            "backbone",
            "fpn",
            blocks @ ("inner_blocks" | "layer_blocks"),
            block,
            of @ ("weight" | "bias"),
        ] => format!("backbone.fpn.{blocks}.{block}.0.{of}"),
        ["roi_heads", "mask_head", layer, of] if layer.starts_with("mask_fcn") => {
            // Counted from 1.
            let number = layer.trim_start_matches("mask_fcn").parse::<usize>();
            let number = number.unwrap_or_default().saturating_sub(1);
            format!("roi_heads.mask_head.{number}.0.{of}")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_known() {
        let cases = [
            ("rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
            ("rpn.head.conv.0.0.weight", "rpn.head.conv.0.0.weight"),
            ("rpn.head.cls_logits.bias", "rpn.head.cls_logits.bias"),
            (
                "backbone.fpn.inner_blocks.3.bias",
                "backbone.fpn.inner_blocks.3.0.bias",
            ),
            (
                "backbone.fpn.layer_blocks.0.0.weight",
                "backbone.fpn.layer_blocks.0.0.weight",
            ),
            (
                "roi_heads.mask_head.mask_fcn4.weight",
                "roi_heads.mask_head.3.0.weight",
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(today(name), expected);
        }
    }
}
