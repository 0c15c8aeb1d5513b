use bevel_manifest::{ChannelOrder, ImageInput, Interpolation, Resize};
use bevel_onnx::{DType, Dim, Graph};

use super::Tower;
use crate::Error;
use crate::arch::layers::Net;
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
        let side = Dim::Fixed(self.side);
        let dims = [
            Dim::named("batch"),
            Dim::Fixed(self.channels),
            side.clone(),
            side,
        ];
        let pixels = net.graph.input("pixel_values", DType::F32, dims);
        let scope = format!("{prefix}embeddings");
        net.graph.set_scope(&scope);
        let kernel = format!("{scope}.patch_embedding.weight");
        let kernel = net.table(&kernel, &[hidden, self.channels, self.patch, self.patch])?;
        let step = [self.patch as i64; 2];
        let attributes = [("kernel_shape", step.into()), ("strides", step.into())];
        let patches = net.graph.node("Conv", &[&pixels, &kernel], attributes);
        // N×D×h×w to N×(h·w)×D.
        let flat = net.i64s(&[0, hidden as i64, -1]);
        let patches = net.graph.node("Reshape", &[&patches, &flat], []);
        let patches = net
            .graph
            .node("Transpose", &[&patches], [("perm", [0, 2, 1].into())]);

        let class = net.table(&format!("{scope}.class_embedding"), &[hidden])?;
        let batch = net.graph.node("Shape", &[&pixels], [("end", 1.into())]);
        let one = net.i64s(&[1, hidden as i64]);
        let shape = net
            .graph
            .node("Concat", &[&batch, &one], [("axis", 0.into())]);
        let class = net.graph.node("Expand", &[&class, &shape], []);
        let x = net
            .graph
            .node("Concat", &[&class, &patches], [("axis", 1.into())]);
        let tokens = (self.side / self.patch).pow(2) + 1;
        let positions = format!("{scope}.position_embedding.weight");
        let positions = net.table(&positions, &[tokens, hidden])?;
        let x = net.graph.node("Add", &[&x, &positions], []);
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
