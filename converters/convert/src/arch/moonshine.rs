//! Moonshine (Jeffries et al. 2024, arXiv:2410.15608), as `modeling_moonshine.py` of transformers 5.23
//! computes it.
//!
//! | graph | tensor | shape | dtype | meaning |
//! |---|---|---|---|---|
//! | `encoder` | in `input_values` | N×S | f32 | samples at 16 kHz in −1 ..= 1, at least 895 |
//! | | out `last_hidden_state` | N×T×D | f32 | 41.7 frames a second |
//! | `decoder` | in `input_ids` | N×L | i64 | the start, then one token |
//! | | in `encoder_hidden_states` | N×T×D | f32 | read at the first step only |
//! | | in `past_key_values.{i}.decoder.{key,value}` | N×G×P×K | f32 | P = 0 at the first step; G heads of keys |
//! | | in `past_key_values.{i}.encoder.{key,value}` | N×G×S×K | f32 | S = 0 at the first step |
//! | | out `logits` | N×L×V | f32 | the next token |
//! | | out `present.{i}.decoder.{key,value}` | N×G×(P+L)×K | f32 | the next past |
//! | | out `present.{i}.encoder.{key,value}` | N×G×T×K | f32 | empty after the first step |
//!
//! There is no mask: the sounds of a batch are of one length. The values of a key are in the order of
//! [`rotary`](super::rotary).
//!
//! Where `config.json` gives encoder and decoder other numbers of heads each has its own, as it says;
//! transformers 5.23 then runs both with the encoder's. It cannot run fewer heads of keys than of
//! queries; here they are what the configuration documents.

mod config;
mod network;

use bevel_manifest::TranscribeSpec;

use super::speech;
use crate::arch::{Built, Family, Graphs};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};
use config::Config;

pub(super) use config::Tokens;

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "encoder.groupnorm.",
        "encoder.conv3.",
        "encoder_attn.o_proj",
        "decoder.embed_tokens",
    ],
    recognises: |source| source.model_type() == Some(NAME),
    build,
};

pub(super) const NAME: &str = "moonshine";

/// More tokens a second are a loop, not speech. The makers stop English at 6.5 and other languages at
/// 13; no checkpoint says which language it knows.
const MAX_TOKENS_PER_S: f32 = 13.0;

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    let weights = Weights::new(&source.checkpoint, NAME);
    let config = Config::read(source, &weights)?;
    let graphs = Graphs::from([
        ("encoder", network::encoder(&config, &weights)?),
        ("decoder", network::decoder(&config, &weights)?),
    ]);
    // Older releases saved what follows from the configuration.
    let unused = weights.finish(|name| name.ends_with("rotary_emb.inv_freq"))?;
    let mut built = Built::tensors(graphs, unused);

    transcribe(&mut built, source, options, &config.tokens)?;
    Ok(built)
}

/// Makes a Moonshine write down what it hears, by what lies beside the weights.
///
/// # Errors
/// Those of [`speech::transcribe`].
pub(super) fn transcribe(
    built: &mut Built,
    source: &Source,
    options: &Options,
    tokens: &Tokens,
) -> Result<(), Error> {
    speech::transcribe(built, (NAME, tokens.vocab), source, options, |tokenizer| {
        let spec = TranscribeSpec::Moonshine {
            tokenizer: tokenizer.name.clone(),
            start_id: tokens.start_id,
            end_id: tokens.end_id,
            max_tokens_per_s: MAX_TOKENS_PER_S,
            language: String::new(),
        };
        Ok((speech::input(source, speech::PIECE_S)?, spec))
    })
}
