use super::Kind;
use crate::Error;
use crate::arch::causal::{Sizes, writes_text};
use crate::arch::layers::Activation;
use crate::arch::settings::Settings;

/// Whether projections have biases.
#[derive(Clone, Copy)]
pub(super) enum Biases {
    None,
    Always,
    /// As `attention_bias` says.
    AsTold,
}

/// Whether attention sees only the last tokens.
#[derive(Clone, Copy)]
pub(super) enum Window {
    None,
    /// `sliding_window`, unless it is null; 4096 where the configuration says nothing.
    Always,
    /// `sliding_window`, if `use_sliding_window`.
    AsTold,
}

/// The numbers of one model.
pub(super) struct Config {
    pub sizes: Sizes,
    /// D.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub inner: usize,
    /// V.
    pub vocab: usize,
    pub positions: usize,
    pub epsilon: f32,
    pub activation: Activation,
    /// Of query, key and value; of the output of attention.
    pub biases: [bool; 2],
    pub inner_biases: bool,
    pub head_norms: bool,
    pub tied: bool,
}

impl Config {
    /// # Errors
    /// [`Error::SideFile`] for numbers that do not go together, [`Error::Unsupported`] for a window.
    pub fn read(kind: &Kind, settings: &Settings<'_>) -> Result<Self, Error> {
        writes_text(settings.architecture(), kind.name)?;
        let hidden = settings.needed("hidden_size")?;
        let heads = settings.needed("num_attention_heads")?;
        let groups = settings.size("num_key_value_heads", heads)?;
        if !heads.is_multiple_of(groups) {
            return Err(settings.wrong(format!(
                "{groups} heads of keys and values do not divide {heads} attention heads"
            )));
        }
        let width = match (settings.get("head_dim"), kind.width) {
            (None, None) => settings.head_width(hidden, heads)?,
            (None, Some(width)) => width,
            (Some(_), _) => settings.needed("head_dim")?,
        };
        if !width.is_multiple_of(2) {
            return Err(settings.wrong(format!(
                "heads are {width} wide; rotation turns pairs, so the width must be even"
            )));
        }
        let positions = settings.needed("max_position_embeddings")?;
        see_all(kind, settings, positions)?;
        let told = settings.flag("attention_bias", false);
        let biases = kind.biases.map(|biases| match biases {
            Biases::None => false,
            Biases::Always => true,
            Biases::AsTold => told,
        });
        Ok(Self {
            sizes: Sizes {
                layers: settings.layers("num_hidden_layers", 32)?,
                heads,
                groups,
                width,
            },
            hidden,
            inner: settings.needed("intermediate_size")?,
            vocab: settings.needed("vocab_size")?,
            positions,
            epsilon: settings.number("rms_norm_eps", 1e-6)? as f32,
            activation: settings.activation("hidden_act", Activation::Silu)?,
            biases,
            inner_biases: kind.inner_biases && settings.flag("mlp_bias", false),
            head_norms: kind.head_norms,
            tied: settings.flag("tie_word_embeddings", false),
        })
    }
}

/// Sees that attention reaches all positions.
fn see_all(kind: &Kind, settings: &Settings<'_>, positions: usize) -> Result<(), Error> {
    const KEY: &str = "sliding_window";
    let window = match kind.window {
        Window::None => return Ok(()),
        Window::Always if settings.is_null(KEY) => return Ok(()),
        Window::Always => settings.size(KEY, 4096)?,
        Window::AsTold if !settings.flag("use_sliding_window", false) => return Ok(()),
        Window::AsTold => settings.size(KEY, positions)?,
    };
    if window >= positions {
        return Ok(());
    }
    let next = format!(
        "known: attention over all {positions} positions. Set {KEY} to null in config.json where \
         no text is longer than {window} tokens"
    );
    Err(settings.unsupported(format!("{KEY} {window}"), next))
}
