//! Compound scaling: the blocks of each variant.

/// Width factor, depth factor, input side in pixels (`efficientnet_lite_builder.py`).
pub(super) const VARIANTS: [(f64, f64, usize); 5] = [
    (1.0, 1.0, 224),
    (1.0, 1.1, 240),
    (1.1, 1.2, 260),
    (1.2, 1.4, 280),
    (1.4, 1.8, 300),
];

/// Repeats, kernel, stride of the first block, expansion, output channels, before scaling.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// Channels of the stem, the same in all variants.
pub(super) const STEM: usize = 32;

/// One inverted residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scaled {
    pub kernel: usize,
    pub stride: usize,
    pub expansion: usize,
    pub inputs: usize,
    pub outputs: usize,
}

/// The blocks of a variant, scaled as `round_filters` and `round_repeats` of the reference do.
pub(super) fn blocks(width: f64, depth: f64) -> Vec<Scaled> {
    let mut blocks = Vec::new();
    let mut inputs = STEM;
    for (i, (repeats, kernel, stride, expansion, outputs)) in STAGES.into_iter().enumerate() {
        let outer = i == 0 || i == STAGES.len() - 1;
        let repeats = match outer {
            true => repeats,
            false => (repeats as f64 * depth).ceil() as usize,
        };
        let outputs = round_channels(outputs as f64 * width);
        for repeat in 0..repeats {
            blocks.push(Scaled {
                kernel,
                stride: if repeat == 0 { stride } else { 1 },
                expansion,
                inputs,
                outputs,
            });
            inputs = outputs;
        }
    }
    blocks
}

/// To the nearest multiple of 8 that is not below 90 %.
fn round_channels(channels: f64) -> usize {
    let rounded = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels {
        rounded + 8
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_scale_as_the_reference() {
        // Blocks, widths of the stages: `EfficientNet.from_name` of efficientnet_lite_pytorch 0.1.0.
        let expected: [(usize, [usize; 7]); 5] = [
            (16, [16, 24, 40, 80, 112, 192, 320]),
            (21, [16, 24, 40, 80, 112, 192, 320]),
            (21, [16, 24, 48, 88, 120, 208, 352]),
            (24, [24, 32, 48, 96, 136, 232, 384]),
            (30, [24, 32, 56, 112, 160, 272, 448]),
        ];
        for ((width, depth, side), (count, widths)) in VARIANTS.into_iter().zip(expected) {
            let blocks = blocks(width, depth);
            assert_eq!(blocks.len(), count, "{side}");
            let mut got: Vec<_> = blocks.iter().map(|block| block.outputs).collect();
            got.dedup();
            assert_eq!(got, widths, "{side}");
        }
    }
}
