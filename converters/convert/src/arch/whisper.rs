//! Whisper (Radford et al. 2022, arXiv:2212.04356), as `modeling_whisper.py` of transformers 5.23
//! computes it; checkpoints of Hugging Face and of CTranslate2.
//!
//! | graph | tensor | shape | dtype | meaning |
//! |---|---|---|---|---|
//! | `encoder` | in `input_features` | N×M×F | f32 | log-mel, F ≤ 2·S frames of 10 ms, S of the checkpoint (1500) |
//! | | out `last_hidden_state` | N×T×D | f32 | T = ⌈F / 2⌉ |
//! | `decoder` | in `input_ids` | N×L | i64 | the prompt, then one token |
//! | | in `encoder_hidden_states` | N×T×D | f32 | read at the first step only |
//! | | in `past_key_values.{i}.decoder.{key,value}` | N×H×P×K | f32 | P = 0 at the first step |
//! | | in `past_key_values.{i}.encoder.{key,value}` | N×H×S×K | f32 | S = 0 at the first step |
//! | | out `logits` | N×L×V | f32 | the next token |
//! | | out `cross_attentions` | N×A×L×S | f32 | where the A heads that follow the sound look, by layer and head |
//! | | out `present.{i}.decoder.{key,value}` | N×H×(P+L)×K | f32 | the next past |
//! | | out `present.{i}.encoder.{key,value}` | N×H×T×K | f32 | empty after the first step |

mod ctranslate2;
mod network;
mod speech;

use super::layers::Activation;
use super::settings::Settings;
use crate::arch::{Built, Family, Graphs};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) use speech::Sizes;

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "encoder_attn",
        "encoder.conv1",
        "encoder.embed_positions",
        "decoder.embed_tokens",
    ],
    recognises: |source| {
        source.model_type() == Some(NAME) || ctranslate2::is_whisper(&source.checkpoint)
    },
    build,
};

pub(super) const NAME: &str = "whisper";

/// What the shapes of the weights do not tell.
#[derive(Clone)]
struct Config {
    layers: Sides,
    heads: Sides,
    activation: Activation,
}

/// A number of the encoder and the one of the decoder.
#[derive(Clone, Copy)]
struct Sides {
    encoder: usize,
    decoder: usize,
}

impl Config {
    fn read(source: &Source) -> Result<Self, Error> {
        let settings = Settings::read(source, NAME)?;
        let sides = |of: &str| -> Result<Sides, Error> {
            Ok(Sides {
                encoder: settings.needed(&format!("encoder_{of}"))?,
                decoder: settings.needed(&format!("decoder_{of}"))?,
            })
        };
        Ok(Self {
            layers: sides("layers")?,
            heads: sides("attention_heads")?,
            activation: settings.activation("activation_function", Activation::Gelu)?,
        })
    }
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let checkpoint = &source.checkpoint;
    let (config, weights) = match ctranslate2::is_whisper(checkpoint) {
        true => {
            let (config, names) = ctranslate2::read(checkpoint)?;
            (config, Weights::renamed(checkpoint, NAME, names))
        }
        false => (Config::read(source)?, Weights::new(checkpoint, NAME)),
    };
    let sizes = network::Sizes::read(&config, &weights)?;
    let alignment = speech::alignment_heads(source, &config)?;
    let graphs = Graphs::from([
        ("encoder", network::encoder(&config, &sizes, &weights)?),
        (
            "decoder",
            network::decoder(&config, &sizes, &weights, &alignment)?,
        ),
    ]);
    let unused = weights.finish(ctranslate2::is_setting)?;

    let mut built = Built::tensors(graphs, unused);
    transcribe(&mut built, source, options, &sizes.speech())?;
    Ok(built)
}

/// Makes a Whisper write down what it hears, by what lies beside the weights.
///
/// # Errors
/// Those of [`speech::transcribe`](super::speech::transcribe).
pub(super) fn transcribe(
    built: &mut Built,
    source: &Source,
    options: &Options,
    sizes: &Sizes,
) -> Result<(), Error> {
    let family = (NAME, sizes.vocab);
    super::speech::transcribe(built, family, source, options, |tokenizer| {
        Ok((
            speech::input(source, sizes)?,
            speech::decode(source, tokenizer, sizes)?,
        ))
    })
}
