//! Classifiers of torchvision 0.29 by name: the family of each, and how its published weights
//! (`IMAGENET1K_V1`) prepare pictures.

use bevel_manifest::{ChannelOrder, ImageInput, Interpolation, Resize};

use Interpolation::{BicubicAntialias, BilinearAntialias};

/// Mean and deviation of ImageNet's pixels in 0 ..= 1.
pub(super) const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// From 0 ..= 1 to −1 ..= 1.
pub(super) const HALVES: [[f32; 3]; 2] = [[0.5; 3]; 2];

/// A classifier that torchvision has a name for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    pub name: &'static str,
    pub family: &'static str,
    pub preset: Preset,
}

/// How a picture becomes what a network was trained on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preset {
    /// Side of the square that is cut out of the middle, in pixels.
    pub side: usize,
    /// What the shorter side is scaled to before.
    pub shorter: usize,
    pub filter: Interpolation,
    /// Mean and deviation.
    pub colors: [[f32; 3]; 2],
}

impl Preset {
    /// What most of torchvision was trained on.
    pub const USUAL: Self = Self::new(224, 256, BilinearAntialias);

    pub const fn new(side: usize, shorter: usize, filter: Interpolation) -> Self {
        Self {
            side,
            shorter,
            filter,
            colors: IMAGENET,
        }
    }

    /// For another side; the shorter side grows and shrinks with it.
    pub fn with_side(self, side: usize) -> Self {
        let shorter = (self.shorter * side + self.side / 2) / self.side.max(1);
        Self {
            side,
            shorter: shorter.max(side),
            ..self
        }
    }

    pub fn input(self) -> ImageInput {
        let [mean, std] = self.colors;
        ImageInput {
            width: self.side as u32,
            height: self.side as u32,
            resize: Resize::CenterCrop {
                shorter_side: self.shorter as u32,
            },
            interpolation: self.filter,
            channels: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean,
            std,
        }
    }
}

const fn row(family: &'static str, name: &'static str, preset: Preset) -> Model {
    Model {
        name,
        family,
        preset,
    }
}

const fn cubic(side: usize, shorter: usize) -> Preset {
    Preset::new(side, shorter, BicubicAntialias)
}

const fn linear(side: usize, shorter: usize) -> Preset {
    Preset::new(side, shorter, BilinearAntialias)
}

const USUAL: Preset = Preset::USUAL;

static MODELS: [Model; 38] = [
    row("resnet", "resnet18", USUAL),
    row("resnet", "resnet34", USUAL),
    row("resnet", "resnet50", USUAL),
    row("resnet", "resnet101", USUAL),
    row("resnet", "resnet152", USUAL),
    row("resnet", "resnext50_32x4d", USUAL),
    row("resnet", "resnext101_32x8d", USUAL),
    row("resnet", "resnext101_64x4d", linear(224, 232)),
    row("resnet", "wide_resnet50_2", USUAL),
    row("resnet", "wide_resnet101_2", USUAL),
    row("vgg", "vgg11", USUAL),
    row("vgg", "vgg11_bn", USUAL),
    row("vgg", "vgg13", USUAL),
    row("vgg", "vgg13_bn", USUAL),
    row("vgg", "vgg16", USUAL),
    row("vgg", "vgg16_bn", USUAL),
    row("vgg", "vgg19", USUAL),
    row("vgg", "vgg19_bn", USUAL),
    row("inception_v3", "inception_v3", linear(299, 342)),
    row("mobilenet_v2", "mobilenet_v2", USUAL),
    row("mobilenet_v3", "mobilenet_v3_large", USUAL),
    row("mobilenet_v3", "mobilenet_v3_small", USUAL),
    row("efficientnet", "efficientnet_b0", cubic(224, 256)),
    row("efficientnet", "efficientnet_b1", cubic(240, 256)),
    row("efficientnet", "efficientnet_b2", cubic(288, 288)),
    row("efficientnet", "efficientnet_b3", cubic(300, 320)),
    row("efficientnet", "efficientnet_b4", cubic(380, 384)),
    row("efficientnet", "efficientnet_b5", cubic(456, 456)),
    row("efficientnet", "efficientnet_b6", cubic(528, 528)),
    row("efficientnet", "efficientnet_b7", cubic(600, 600)),
    row("efficientnet", "efficientnet_v2_s", linear(384, 384)),
    row("efficientnet", "efficientnet_v2_m", linear(480, 480)),
    row("efficientnet", "efficientnet_v2_l", halves(cubic(480, 480))),
    row("vit", "vit_b_16", USUAL),
    row("vit", "vit_b_32", USUAL),
    row("vit", "vit_l_16", linear(224, 242)),
    row("vit", "vit_l_32", USUAL),
    // Trained with SWAG alone, which takes what it is given from edge to edge.
    row("vit", "vit_h_14", cubic(518, 518)),
];

const fn halves(preset: Preset) -> Preset {
    Preset {
        colors: HALVES,
        ..preset
    }
}

/// The model of a name.
pub(super) fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_side_keeps_the_margin() {
        let cases = [
            (Preset::USUAL, 64, 73),
            (Preset::USUAL, 224, 256),
            (linear(299, 342), 150, 172),
            (cubic(288, 288), 64, 64),
        ];
        for (preset, side, shorter) in cases {
            let found = preset.with_side(side);
            assert_eq!((found.side, found.shorter), (side, shorter));
        }
    }
}
