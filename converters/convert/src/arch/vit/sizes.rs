use bevel_manifest::{ImageInput, Interpolation, Resize};

use super::NAME;
use crate::Error;
use crate::arch::classifier::Classifier;
use crate::arch::image;
use crate::arch::layers::Activation;
use crate::arch::settings::Settings;
use crate::arch::torchvision::{HALVES, Preset};
use crate::set::MAX_SIDE;
use crate::source::Source;
use crate::weights::Weights;

/// The sizes of a network.
pub(super) struct Vit {
    /// Before the names of weights.
    pub prefix: &'static str,
    /// D.
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    /// Width of the feed-forward layers.
    pub inner: usize,
    /// Whether query, key and value have a bias.
    pub biased: bool,
    pub norm_epsilon: f32,
    pub activation: Activation,
    /// Behind the pooler.
    pub pooler: Activation,
    pub channels: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// H = W of the pictures.
    pub side: usize,
    /// T, the learned tokens and the patches.
    pub tokens: usize,
    /// Whether there is DeiT's second token.
    pub distilled: bool,
}

/// Before the names of weights, where there is a head beside them.
const PREFIXES: [&str; 2] = ["vit.", "deit."];

/// Width of an attention head where nothing says another.
const HEAD_WIDTH: usize = 64;

/// The hidden size of ViT-H and its heads, which are wider.
const HUGE: (usize, usize) = (1280, 16);

impl Vit {
    pub fn read(source: &Source, weights: &Weights<'_>) -> Result<Self, Error> {
        let has = |name: String| weights.contains(&name);
        let prefix = PREFIXES.into_iter();
        let mut prefix = prefix.filter(|prefix| has(format!("{prefix}embeddings.cls_token")));
        let prefix = prefix.next().unwrap_or("");
        let shape = |name: &str| {
            weights
                .shape(&format!("{prefix}{name}"))
                .unwrap_or_default()
        };
        let projection = shape("embeddings.patch_embeddings.projection.weight");
        let [hidden, channels, patch, _] = projection.try_into().unwrap_or([1; 4]);
        let positions = shape("embeddings.position_embeddings");
        let tokens = positions.get(1).copied().unwrap_or_default();
        let distilled = has(format!("{prefix}embeddings.distillation_token"));
        let patches = tokens.saturating_sub(1 + usize::from(distilled));
        let grid = patches.isqrt();
        let sized = (1..=MAX_SIDE).contains(&patch) && grid <= MAX_SIDE / patch;
        if grid * grid != patches || !sized {
            return Err(Error::Unsupported {
                family: NAME,
                what: format!("a table of {tokens} positions for patches of {patch} pixels"),
                next: "positions of a class token and of a square of patches are".into(),
            });
        }
        let layer = "encoder.layer";
        let counted = (0..Settings::MAX_LAYERS)
            .take_while(|i| !shape(&format!("{layer}.{i}.layernorm_before.weight")).is_empty());
        let inner = shape(&format!("{layer}.0.intermediate.dense.weight"));
        let mut vit = Self {
            prefix,
            hidden,
            layers: counted.count(),
            heads: 0,
            inner: inner.first().copied().unwrap_or(1),
            biased: has(format!("{prefix}{layer}.0.attention.attention.query.bias")),
            norm_epsilon: 1e-6,
            activation: Activation::Gelu,
            pooler: Activation::Tanh,
            channels,
            patch,
            side: grid * patch,
            tokens,
            distilled,
        };
        vit.heads = vit.count_heads(source)?;
        if source.model_type().is_some() {
            vit.configure(&Settings::read(source, NAME)?)?;
        }
        vit.side = vit.picture_side(source)?;
        Ok(vit)
    }

    /// What the user says, else `config.json`, else as wide as in most networks.
    fn count_heads(&self, source: &Source) -> Result<usize, Error> {
        let given = source.set.size("heads")?;
        let said = match source.config {
            Some(_) => {
                let settings = Settings::read(source, NAME)?;
                let default = if source.model_type().is_some() { 12 } else { 0 };
                let heads = settings.size("num_heads", default)?;
                Some(settings.size("num_attention_heads", heads)?).filter(|heads| *heads > 0)
            }
            None => None,
        };
        let usual = match self.hidden == HUGE.0 {
            true => HUGE.1,
            false => self.hidden / HEAD_WIDTH,
        };
        let heads = given.or(said).unwrap_or(usual);
        if heads == 0 || !self.hidden.is_multiple_of(heads) {
            return Err(Error::Request(format!(
                "{heads} attention heads do not divide the hidden size {}; give their number with \
                 --set heads",
                self.hidden
            )));
        }
        Ok(heads)
    }

    /// What `config.json` of transformers says beyond the weights.
    fn configure(&mut self, settings: &Settings<'_>) -> Result<(), Error> {
        self.norm_epsilon = settings.number("layer_norm_eps", 1e-12)? as f32;
        self.activation = settings.activation("hidden_act", Activation::Gelu)?;
        self.pooler = settings.activation("pooler_act", Activation::Tanh)?;
        Ok(())
    }

    /// What the user says, else `config.json`, else as the positions have it. It may be longer than its
    /// patches.
    fn picture_side(&self, source: &Source) -> Result<usize, Error> {
        let said = match source.set.size("image_size")? {
            Some(side) => Some(side),
            None => image::configured_side(source)?,
        };
        let side = said.unwrap_or(self.side);
        if side / self.patch != self.side / self.patch {
            return Err(Error::Request(format!(
                "`image_size` is {side}, but the positions are those of {} pixels; correct it in \
                 config.json or with --set",
                self.side
            )));
        }
        Ok(side)
    }

    /// How pictures are prepared: as the image processor says that lies beside the weights, else as
    /// `ViTImageProcessor` does by itself, or as torchvision's weights for pictures of this size.
    pub fn image(&self, source: &Source, classifier: &Classifier<'_>) -> Result<ImageInput, Error> {
        let usual = match (classifier.hugging_face(), classifier.model) {
            (true, _) => ImageInput {
                resize: Resize::Stretch,
                ..Preset {
                    colors: HALVES,
                    ..Preset::new(self.side, self.side, Interpolation::BilinearAntialias)
                }
                .input()
            },
            (false, Some(model)) if model.preset.side == self.side => model.preset.input(),
            (false, _) if self.side == Preset::USUAL.side => Preset::USUAL.input(),
            // What was trained on larger pictures takes them from edge to edge.
            (false, _) => {
                Preset::new(self.side, self.side, Interpolation::BicubicAntialias).input()
            }
        };
        image::input(source, Some(self.side), usual)
    }
}
