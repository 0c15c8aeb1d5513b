use crate::Error;
use crate::arch::layers::Activation;
use crate::arch::settings::Settings;
use crate::source::Source;

/// One convolution of the feature extractor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
}

/// Where the feature extractor normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Norm {
    /// Each channel over time, behind the first convolution.
    Group,
    /// The channels of each frame, behind every convolution.
    Layer,
}

/// The numbers of `config.json` that decide the graph; `Wav2Vec2Config` of transformers gives
/// defaults.
pub(super) struct Config<'a> {
    pub settings: Settings<'a>,
    /// `wav2vec2.` or `hubert.` below a head.
    pub prefix: String,
    pub has_ctc_head: bool,
    pub convs: Vec<Layer>,
    pub conv_norm: Norm,
    pub conv_bias: bool,
    pub conv_activation: Activation,
    /// HuBERT may leave it out.
    pub projection_norm: bool,
    /// D.
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    pub activation: Activation,
    pub norm_epsilon: f32,
    /// Norms before the sublayers instead of behind.
    pub stable: bool,
    /// Kernel and groups of the positional convolution.
    pub position_kernel: usize,
    pub position_groups: usize,
    /// HuBERT only: in place of a weight norm.
    pub position_batch_norm: bool,
    /// The CTC blank.
    pub pad_id: u32,
}

impl<'a> Config<'a> {
    pub fn read(family: &'static str, source: &'a Source) -> Result<Self, Error> {
        let settings = Settings::read(source, family)?;
        for (key, on) in [
            ("add_adapter", settings.flag("add_adapter", false)),
            (
                "adapter_attn_dim",
                settings.get("adapter_attn_dim").is_some(),
            ),
            (
                "use_weighted_layer_sum",
                settings.flag("use_weighted_layer_sum", false),
            ),
        ] {
            if on {
                return Err(settings.unsupported(key, "models without it are"));
            }
        }
        let conv_norm = match settings.text("feat_extract_norm").unwrap_or("group") {
            "group" => Norm::Group,
            "layer" => Norm::Layer,
            other => {
                let what = format!("feat_extract_norm `{other}`");
                return Err(settings.unsupported(what, "`group` and `layer` are"));
            }
        };
        let hidden = settings.size("hidden_size", 768)?;
        let heads = settings.size("num_attention_heads", 12)?;
        settings.head_width(hidden, heads)?;
        let position_groups = settings.size("num_conv_pos_embedding_groups", 16)?;
        if !hidden.is_multiple_of(position_groups) {
            return Err(settings.wrong(format!(
                "{position_groups} groups of the positional convolution do not divide the hidden \
                 size {hidden}"
            )));
        }
        let head = format!("{family}.");
        let below = source
            .checkpoint
            .contains(&format!("{head}feature_projection.projection.weight"));
        Ok(Self {
            prefix: if below { head } else { String::new() },
            has_ctc_head: source.checkpoint.contains("lm_head.weight"),
            convs: convs(&settings)?,
            conv_norm,
            conv_bias: settings.flag("conv_bias", false),
            conv_activation: settings.activation("feat_extract_activation", Activation::Gelu)?,
            projection_norm: settings.flag("feat_proj_layer_norm", true),
            hidden,
            layers: settings.layers("num_hidden_layers", 12)?,
            heads,
            intermediate: settings.size("intermediate_size", 3072)?,
            activation: settings.activation("hidden_act", Activation::Gelu)?,
            norm_epsilon: settings.number("layer_norm_eps", 1e-5)? as f32,
            stable: settings.flag("do_stable_layer_norm", false),
            position_kernel: settings.size("num_conv_pos_embeddings", 128)?,
            position_groups,
            position_batch_norm: settings.flag("conv_pos_batch_norm", false),
            pad_id: settings.id("pad_token_id").unwrap_or(0),
            settings,
        })
    }
}

impl Config<'_> {
    /// Samples from one frame to the next.
    pub fn frame_samples(&self) -> Result<u32, Error> {
        let strides = self.convs.iter().map(|layer| layer.stride);
        let product = strides.fold(1, usize::saturating_mul);
        u32::try_from(product).map_err(|_| {
            let what = format!("the product of conv_stride is {product}, expected 32 bits");
            self.settings.wrong(what)
        })
    }
}

fn convs(settings: &Settings<'_>) -> Result<Vec<Layer>, Error> {
    let outputs = settings.sizes("conv_dim", &[512; 7])?;
    let kernels = settings.sizes("conv_kernel", &[10, 3, 3, 3, 3, 2, 2])?;
    let strides = settings.sizes("conv_stride", &[5, 2, 2, 2, 2, 2, 2])?;
    if outputs.len() != kernels.len() || outputs.len() != strides.len() {
        return Err(settings.wrong(format!(
            "conv_dim, conv_kernel and conv_stride are {}, {} and {} long, expected as many as there \
             are convolutions",
            outputs.len(),
            kernels.len(),
            strides.len()
        )));
    }
    let sizes = outputs.into_iter().zip(kernels).zip(strides);
    let layer = |((outputs, kernel), stride)| Layer {
        outputs,
        kernel,
        stride,
    };
    Ok(sizes.map(layer).collect())
}
