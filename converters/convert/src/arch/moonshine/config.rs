use super::NAME;
use crate::Error;
use crate::arch::layers::Activation;
use crate::arch::rotary::Turning;
use crate::arch::settings::Settings;
use crate::source::Source;
use crate::weights::Weights;

/// The numbers that decide the graphs; `MoonshineConfig` of transformers gives defaults.
pub(super) struct Config {
    /// `model.`, unless the bare model was saved.
    pub prefix: &'static str,
    /// D.
    pub hidden: usize,
    pub tokens: Tokens,
    pub encoder: Side,
    pub decoder: Side,
    /// Whether queries, keys and values have a bias.
    pub attention_bias: bool,
    /// Whether the output shares the embedding.
    pub tied: bool,
}

/// What the decoder writes.
pub(in crate::arch) struct Tokens {
    /// V.
    pub vocab: usize,
    pub start_id: u32,
    pub end_id: u32,
}

impl Tokens {
    /// # Errors
    /// Those of [`Settings::size`].
    pub fn read(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self {
            vocab: settings.size("vocab_size", 32768)?,
            start_id: settings.id("decoder_start_token_id").unwrap_or(1),
            end_id: settings.id("eos_token_id").unwrap_or(2),
        })
    }
}

/// The numbers of the encoder or of the decoder.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub layers: usize,
    /// H.
    pub heads: usize,
    /// G, heads of keys and values, each for H/G of queries.
    pub key_heads: usize,
    pub turning: Turning,
    pub activation: Activation,
}

impl Config {
    pub fn read(source: &Source, weights: &Weights<'_>) -> Result<Self, Error> {
        let settings = Settings::read(source, NAME)?;
        let bare = weights.contains("encoder.conv1.weight");
        let hidden = settings.size("hidden_size", 288)?;
        Ok(Self {
            prefix: if bare { "" } else { "model." },
            hidden,
            tokens: Tokens::read(&settings)?,
            encoder: Side::read(&settings, "encoder", hidden, Activation::Gelu)?,
            decoder: Side::read(&settings, "decoder", hidden, Activation::Silu)?,
            attention_bias: settings.flag("attention_bias", false),
            tied: settings.flag("tie_word_embeddings", true),
        })
    }
}

impl Side {
    fn read(
        settings: &Settings<'_>,
        side: &str,
        hidden: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        let key = |of: &str| format!("{side}_{of}");
        let heads = settings.size(&key("num_attention_heads"), 8)?;
        let key_heads = settings.size(&key("num_key_value_heads"), heads)?;
        if !heads.is_multiple_of(key_heads) {
            return Err(settings.wrong(format!(
                "{side}: {key_heads} heads of keys do not divide {heads} heads of queries"
            )));
        }
        let width = match settings.get("head_dim") {
            Some(_) => settings.size("head_dim", 0)?,
            None => settings.head_width(hidden, heads)?,
        };
        Ok(Self {
            layers: settings.layers(&key("num_hidden_layers"), 6)?,
            heads,
            key_heads,
            turning: turning(settings, width)?,
            activation: settings.activation(&key("hidden_act"), activation)?,
        })
    }
}

/// `rope_parameters`, or the keys that older configurations have at the top.
fn turning(settings: &Settings<'_>, width: usize) -> Result<Turning, Error> {
    let nested = settings.section("rope_parameters");
    let rope = nested.as_ref().unwrap_or(settings);
    let scaled = rope.text("rope_type").filter(|kind| *kind != "default");
    if let Some(kind) = scaled {
        return Err(settings.unsupported(format!("rope_type `{kind}`"), "`default` is"));
    }
    if settings.get("rope_scaling").is_some() {
        return Err(settings.unsupported("rope_scaling", "models without it are"));
    }
    let share = rope.number("partial_rotary_factor", 0.9)?;
    let turning = Turning {
        width,
        turning: (width as f64 * share) as usize,
        base: rope.number("rope_theta", 10_000.0)?,
    };
    // The first bound keeps the third from overflowing.
    if turning.turning == 0 || turning.turning > width || 2 * turning.pairs() > width {
        return Err(settings.wrong(format!(
            "`partial_rotary_factor` {share} of heads {width} wide leaves no pairs that turn"
        )));
    }
    Ok(turning)
}
