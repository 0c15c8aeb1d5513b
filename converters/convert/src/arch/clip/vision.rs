use bevel_manifest::{ChannelOrder, ImageInput, Interpolation, Resize};
use bevel_onnx::{Dim, Graph};

use super::Tower;
use crate::Error;
use crate::arch::layers::Net;
use crate::arch::patches::Patches;
use crate::arch::settings::Settings;
use crate::weights::Weights;

/// The tower of pictures (ViT): patches and a class token, which stands for the picture.
pub(super) struct Vision {
    tower: Tower,
    /// H = W in pixels.
    pub side: usize,
    /// Side of a patch in pixels.
    patch: usize,
    pub channels: usize,
}

impl Vision {
    pub fn read(settings: &Settings<'_>, projected: Option<usize>) -> Result<Self, Error> {
        let names = ["vision_model.", "visual_projection", "image_embeds"];
        let side = settings.size("image_size", 224)?;
        let patch = settings.size("patch_size", 32)?;
        if patch > side {
            return Err(settings.wrong(format!(
                "`patch_size` {patch} is larger than `image_size` {side}"
            )));
        }
        Ok(Self {
            tower: Tower::read(settings, names, [768, 12, 3072], projected)?,
            side,
            patch,
            channels: settings.size("num_channels", 3)?,
        })
    }

    pub fn build(&self, weights: &Weights<'_>, joint: bool) -> Result<Graph, Error> {
        let mut net = Net::new("clip vision", weights);
        self.write(&mut net, joint)?;
        Ok(net.graph)
    }

    fn write(&self, net: &mut Net<'_>, joint: bool) -> Result<(), Error> {
        let hidden = self.tower.hidden;
        let prefix = self.tower.prefix(net.weights);
        let size = Some([self.side; 2]);
        let pixels = net.picture("pixel_values", self.channels, size);
        let scope = format!("{prefix}embeddings");
        net.graph.set_scope(&scope);
        let tokens = (self.side / self.patch).pow(2) + 1;
        let named = |name: &str| format!("{scope}.{name}");
        let patches = Patches {
            projection: &named("patch_embedding"),
            patch: self.patch,
            learned: &[(&named("class_embedding"), &[hidden])],
            positions: (&named("position_embedding.weight"), &[tokens, hidden]),
        };
        let x = patches.embed(net, &pixels, hidden)?;
        // The name is misspelt in every checkpoint.
        let (norm, epsilon) = (format!("{prefix}pre_layrnorm"), self.tower.norm_epsilon);
        let x = net.layer_norm(&x, &norm, hidden, epsilon)?;
        let x = self.tower.encode(net, x, None, prefix)?;

        let first = net.index(0);
        let pooled = net
            .graph
            .node("Gather", &[&x, &first], [("axis", 1.into())]);
        let norm = format!("{prefix}post_layernorm");
        let pooled = net.layer_norm(&pooled, &norm, hidden, epsilon)?;
        self.tower
            .finish(net, &pooled, (&x, Dim::Fixed(tokens)), joint)
    }

    /// Preparation as `CLIPImageProcessor` does it when nothing else is said.
    pub fn usual_input(&self) -> ImageInput {
        let side = self.side as u32;
        ImageInput {
            width: side,
            height: side,
            resize: Resize::CenterCrop { shorter_side: side },
            interpolation: Interpolation::BicubicAntialias,
            channels: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_55, 0.261_302_6, 0.275_777_1],
        }
    }
}
