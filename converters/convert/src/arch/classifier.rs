//! What networks that tell what a picture shows have in common: the task, the preparation of
//! pictures, the end of the graph and the labels.
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `pixels`, or `pixel_values` of Hugging Face's | N×3×H×W | f32 | normalised pixels |
//! | out `logits` | N×C | f32 | one per class |
//! | out `pooler_output` without a head | N×D | f32 | the mean of each channel |
//! | out `last_hidden_state` without a head | N×D×h×w | f32 | the last feature map |
//!
//! H and W are free, unless `image_size` is given or the layers of a family fix them. ONNX Runtime
//! plans its memory better where they are not free: ResNet-50 is two in a hundred faster.

use bevel_manifest::{
    Activation as Score, ClassifySpec, Decode, EmbedSpec, ImageInput, Input, Pooling, Task,
};
use bevel_onnx::{DType, Dim, Graph};

use super::image;
use super::layers::{Activation, Net};
use super::map::Map;
use super::torchvision::{self, Model, Preset};
use crate::arch::{Built, model};
use crate::source::Source;
use crate::weights::Unused;
use crate::{Error, Options, labels};

/// How many classes ImageNet has. Others may have as many, so its names are not taken for granted.
const IMAGENET_CLASSES: usize = 1000;

/// A checkpoint of a classifier, and what is wanted of it.
pub(super) struct Classifier<'a> {
    pub family: &'static str,
    source: &'a Source,
    options: &'a Options,
    task: Task,
    /// Whether the graph ends in logits.
    head: bool,
    /// How the outputs without a head become one vector.
    pub pooling: Pooling,
    /// Whether the user or `config.json` beside a state dict says the size of pictures. What Hugging
    /// Face writes there does not bind its convolutional networks.
    sized: bool,
    /// What the checkpoint or the user calls it, where torchvision knows the name.
    pub model: Option<&'static Model>,
}

impl<'a> Classifier<'a> {
    /// Decides the task of a checkpoint, which has the linear layers of `head` or none of them.
    ///
    /// # Errors
    /// [`Error::Task`] for one that it cannot do.
    pub fn new(
        family: &'static str,
        source: &'a Source,
        options: &'a Options,
        head: &[&str],
    ) -> Result<Self, Error> {
        let has = |layer: &&str| source.checkpoint.contains(&format!("{layer}.weight"));
        Self::with(family, source, options, head.iter().any(has))
    }

    /// As above, for one that `has_head` or not.
    pub fn with(
        family: &'static str,
        source: &'a Source,
        options: &'a Options,
        has_head: bool,
    ) -> Result<Self, Error> {
        let known = match has_head {
            true => &[Task::Classify, Task::Embed, Task::Tensors][..],
            false => &[Task::Embed, Task::Tensors],
        };
        let task = options.task_of(family, known)?;
        let given = source.set.size("image_size")?.is_some();
        let said = source.model_type().is_none() && image::configured_side(source)?.is_some();
        let config = source.config.as_ref();
        let named = config.and_then(|config| config.get("architecture")?.as_str());
        let models = [options.arch.as_deref(), named].into_iter().flatten();
        Ok(Self {
            family,
            source,
            options,
            task,
            head: has_head && task != Task::Embed,
            pooling: Pooling::Graph,
            sized: given || said,
            model: models.filter_map(torchvision::model).next(),
        })
    }

    /// Whether Hugging Face saved it, so that names are those of its models.
    pub fn hugging_face(&self) -> bool {
        self.source.model_type().is_some()
    }

    /// The name of the graph's input.
    pub fn input_name(&self) -> &'static str {
        match self.hugging_face() {
            true => "pixel_values",
            false => "pixels",
        }
    }

    /// How pictures are prepared: as the checkpoint's side files say, else like the model that
    /// torchvision has under its name, else as is `usual` in its family.
    ///
    /// # Errors
    /// [`Error::Request`] and [`Error::SideFile`] for sizes that are none.
    pub fn image(&self, usual: Preset) -> Result<ImageInput, Error> {
        let preset = self.model.map_or(usual, |model| model.preset);
        let preset = self.resized(preset)?;
        image::input(self.source, None, preset.input())
    }

    /// Height and width of the graph's pictures, `None` where they are free.
    pub fn size(&self, image: &ImageInput) -> Option<[usize; 2]> {
        let sides = [image.height, image.width].map(|side| side as usize);
        self.sized.then_some(sides)
    }

    /// A preset with the sizes that the user or `config.json` gives.
    fn resized(&self, preset: Preset) -> Result<Preset, Error> {
        let set = &self.source.set;
        let (side, shorter) = (set.size("image_size")?, set.size("resize_size")?);
        let side = match side {
            Some(side) => Some(side),
            None => image::configured_side(self.source)?,
        };
        let mut preset = side.map_or(preset, |side| preset.with_side(side));
        if let Some(shorter) = shorter {
            if shorter < preset.side {
                let side = preset.side;
                let what =
                    format!("--set resize_size={shorter}: pictures are cut to {side} pixels");
                return Err(Error::Request(what));
            }
            preset.shorter = shorter;
        }
        image::check_side(preset.shorter)?;
        Ok(preset)
    }

    /// The end of a network over its last feature map: the mean of each channel, then `layers` with
    /// the non-linearity between them. Answers the number of classes, 0 without a head.
    pub fn end(
        &self,
        net: &mut Net<'_>,
        map: &Map,
        layers: &[&str],
        between: Activation,
    ) -> Result<usize, Error> {
        net.graph.set_scope("head");
        let pooled = net.global_average(map);
        let pooled = net.graph.node("Flatten", &[&pooled.value], []);
        if self.head {
            return logits(net, &pooled, map.channels, layers, between);
        }
        let [batch, width] = [Dim::named("batch"), Dim::Fixed(map.channels)];
        let dims = [batch.clone(), width.clone()];
        net.graph.output(&pooled, "pooler_output", DType::F32, dims);
        let sides = ["map_height", "map_width"].map(Dim::named);
        let dims = [batch, width].into_iter().chain(sides);
        net.graph
            .output(&map.value, "last_hidden_state", DType::F32, dims);
        Ok(0)
    }

    /// Whether logits are wanted.
    pub fn has_head(&self) -> bool {
        self.head
    }

    /// Whether a tensor may be left over: what only training needs, and a `head` that is not wanted.
    pub fn needless(&self, tensor: &str, head: &[&str]) -> bool {
        let of = |layer: &&str| {
            tensor
                .strip_prefix(layer)
                .is_some_and(|of| of.starts_with('.'))
        };
        tensor.ends_with(".num_batches_tracked") || (!self.head && head.iter().any(of))
    }

    /// The whole model.
    ///
    /// # Errors
    /// Those of label files.
    pub fn built(
        self,
        graph: Graph,
        unused: Unused,
        classes: usize,
        image: ImageInput,
    ) -> Result<Built, Error> {
        let mut built = Built::tensors(model(graph), unused);
        if self.task == Task::Tensors {
            return Ok(built);
        }
        built.task = self.task;
        built.input = Input::Image(image);
        if !self.head {
            built.decode = Decode::Embed(EmbedSpec {
                pooling: self.pooling,
                normalize: true,
            });
            return Ok(built);
        }
        let labels = labels::find(self.source, self.options, classes)?;
        if labels.is_none() {
            let imagenet = match classes {
                IMAGENET_CLASSES => {
                    "; for ImageNet's, with --labels models/classify/imagenet-1k.txt"
                }
                _ => "",
            };
            built.notes.push(format!(
                "the {classes} classes have no names; give them with --labels{imagenet}"
            ));
        }
        built.decode = Decode::Classify(ClassifySpec {
            labels: labels.as_ref().map(|file| file.name.clone()),
            activation: match classes {
                1 => Score::Sigmoid,
                _ => Score::Softmax,
            },
            top_k: classes.min(labels::TOP_K),
        });
        built.files.extend(labels);
        Ok(built)
    }
}

/// Linear `layers` over N×`width` to the output `logits`; answers the number of classes.
pub(super) fn logits(
    net: &mut Net<'_>,
    x: &str,
    mut width: usize,
    layers: &[&str],
    between: Activation,
) -> Result<usize, Error> {
    let mut x = x.to_owned();
    for (i, layer) in layers.iter().enumerate() {
        if i > 0 {
            x = net.activation(&x, between);
        }
        (x, width) = net.dense(&x, layer, width)?;
    }
    let dims = [Dim::named("batch"), Dim::Fixed(width)];
    net.graph.output(&x, "logits", DType::F32, dims);
    Ok(width)
}

#[cfg(test)]
mod tests;
