//! Names of `WhisperSpec` in CTranslate2's `model.bin` (revision 3, `specs/whisper_spec.py` 4.x).
//!
//! | CTranslate2 | Hugging Face |
//! |---|---|
//! | `encoder/layer_0/self_attention/linear_0`, 3·D rows | `q_proj`, `k_proj`, `v_proj` |
//! | `decoder/layer_0/attention/linear_0`, `linear_1` (2·D rows) | `encoder_attn`: `q_proj`, then `k_proj`, `v_proj` |
//! | `…/linear_1`, of cross attention `linear_2` | `out_proj` |
//! | `gamma`, `beta` | `weight`, `bias` |

use std::collections::BTreeMap;

use bevel_weights::Checkpoint;

use super::{Config, NAME, Sides};
use crate::Error;
use crate::arch::layers::Activation;
use crate::weights::{Part, Renamed};

/// `spec` of such files.
const SPEC: &str = "WhisperSpec";

pub(super) fn is_whisper(checkpoint: &Checkpoint) -> bool {
    checkpoint.spec().is_some_and(|spec| spec.name == SPEC)
}

/// Variables that the graph does not need: settings, by the ends of their names.
pub(super) fn is_setting(name: &str) -> bool {
    const WEIGHTS: [&str; 5] = ["weight", "bias", "gamma", "beta", "encodings"];
    let variable = name.split_once('/').is_some();
    let last = name.rsplit('/').next().unwrap_or_default();
    variable && !WEIGHTS.contains(&last)
}

/// What the settings say, and Hugging Face's names for the weights.
pub(super) fn read(checkpoint: &Checkpoint) -> Result<(Config, Renamed), Error> {
    let unsupported = |what: String, next: &str| Error::Unsupported {
        family: NAME,
        what,
        next: next.into(),
    };
    let number = |name: &str| -> Result<Option<i64>, Error> {
        if !checkpoint.contains(name) {
            return Ok(None);
        }
        // Settings are scalars of one, two or four bytes, little-endian and signed.
        let bytes = checkpoint.bytes(name)?;
        Ok(match *bytes.as_ref() {
            [a] => Some(i64::from(a as i8)),
            [a, b] => Some(i64::from(i16::from_le_bytes([a, b]))),
            [a, b, c, d] => Some(i64::from(i32::from_le_bytes([a, b, c, d]))),
            _ => None,
        })
    };
    let layers = |side: &str| {
        let exists = |i: &usize| {
            let norm = format!("{side}/layer_{i}/ffn/layer_norm/gamma");
            checkpoint.contains(&norm)
        };
        (0..).take_while(exists).count()
    };
    let heads = |side: &str| -> Result<usize, Error> {
        let heads = number(&format!("{side}/num_heads"))?;
        let heads = heads
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0);
        heads.ok_or_else(|| {
            let what = format!("a model.bin without {side}/num_heads");
            unsupported(what, "convert the original checkpoint again")
        })
    };
    if number("decoder/pre_norm")?.unwrap_or(1) == 0 {
        let what = "norms behind the layers (decoder/pre_norm 0)".into();
        return Err(unsupported(what, "Whisper has them before"));
    }
    // transformers reads `scale_embedding` and does not use it; no Whisper was trained with it.
    if number("decoder/scale_embeddings")?.unwrap_or(0) != 0 {
        let what = "scaled embeddings (decoder/scale_embeddings 1)".into();
        return Err(unsupported(what, "Whisper has them as they are"));
    }
    let config = Config {
        layers: Sides {
            encoder: layers("encoder"),
            decoder: layers("decoder"),
        },
        heads: Sides {
            encoder: heads("encoder")?,
            decoder: heads("decoder")?,
        },
        activation: Activation::Gelu,
    };
    Ok((config.clone(), names(&config)))
}

fn names(config: &Config) -> Renamed {
    let mut names = Names::default();
    for (side, layers) in [
        ("encoder", config.layers.encoder),
        ("decoder", config.layers.decoder),
    ] {
        names.norm(&format!("{side}/layer_norm"), &format!("{side}.layer_norm"));
        let table = format!("{side}/position_encodings/encodings");
        names.whole(&table, &format!("{side}.embed_positions.weight"));
        for i in 0..layers {
            let (from, to) = (format!("{side}/layer_{i}"), format!("{side}.layers.{i}"));
            let own = (format!("{from}/self_attention"), format!("{to}.self_attn"));
            names.norm(
                &format!("{}/layer_norm", own.0),
                &format!("{}_layer_norm", own.1),
            );
            names.fused(
                &format!("{}/linear_0", own.0),
                &own.1,
                &["q_proj", "k_proj", "v_proj"],
            );
            names.linear(
                &format!("{}/linear_1", own.0),
                &format!("{}.out_proj", own.1),
            );
            if side == "decoder" {
                let cross = (format!("{from}/attention"), format!("{to}.encoder_attn"));
                names.norm(
                    &format!("{}/layer_norm", cross.0),
                    &format!("{}_layer_norm", cross.1),
                );
                names.linear(
                    &format!("{}/linear_0", cross.0),
                    &format!("{}.q_proj", cross.1),
                );
                names.fused(
                    &format!("{}/linear_1", cross.0),
                    &cross.1,
                    &["k_proj", "v_proj"],
                );
                names.linear(
                    &format!("{}/linear_2", cross.0),
                    &format!("{}.out_proj", cross.1),
                );
            }
            names.norm(
                &format!("{from}/ffn/layer_norm"),
                &format!("{to}.final_layer_norm"),
            );
            names.linear(&format!("{from}/ffn/linear_0"), &format!("{to}.fc1"));
            names.linear(&format!("{from}/ffn/linear_1"), &format!("{to}.fc2"));
        }
    }
    names.linear("encoder/conv1", "encoder.conv1");
    names.linear("encoder/conv2", "encoder.conv2");
    names.whole("decoder/embeddings/weight", "decoder.embed_tokens.weight");
    names.whole("decoder/projection/weight", "proj_out.weight");
    names.0
}

#[derive(Default)]
struct Names(BTreeMap<String, Part>);

impl Names {
    fn whole(&mut self, from: &str, to: &str) {
        self.0.insert(to.into(), Part::whole(from));
    }

    fn norm(&mut self, from: &str, to: &str) {
        self.whole(&format!("{from}/gamma"), &format!("{to}.weight"));
        self.whole(&format!("{from}/beta"), &format!("{to}.bias"));
    }

    fn linear(&mut self, from: &str, to: &str) {
        self.whole(&format!("{from}/weight"), &format!("{to}.weight"));
        self.whole(&format!("{from}/bias"), &format!("{to}.bias"));
    }

    /// Equal shares of the rows of one matrix. A key's bias is zeros, which nobody asks for.
    fn fused(&mut self, from: &str, to: &str, parts: &[&str]) {
        for (index, part) in parts.iter().enumerate() {
            for of in ["weight", "bias"] {
                let name = format!("{to}.{part}.{of}");
                let share = Part::share(&format!("{from}/{of}"), index, parts.len());
                self.0.insert(name, share);
            }
        }
    }
}
