//! What Whisper keeps beside its weights: the front end, and the ids that steer the decoder.

use std::collections::BTreeMap;

use bevel_manifest::{AudioInput, MelSpec, TranscribeSpec};
use serde_json::Value;

use super::{Config, NAME};
use crate::Error;
use crate::arch::BundleFile;
use crate::arch::settings::Settings;
use crate::arch::text::TOKENIZER;
use crate::source::Source;

/// Vocabularies below this size know one language; transformers and faster-whisper tell them apart so.
const MULTILINGUAL_VOCAB: usize = 51_865;

/// Samples of the window and from frame to frame at 16 kHz (section 2.2 of the paper).
const SAMPLE_RATE_HZ: u32 = 16_000;
const WINDOW_SAMPLES: u32 = 400;
const HOP_SAMPLES: u32 = 160;

/// Silence beyond the window says nothing.
const MAX_MARGIN_S: f32 = 30.0;

/// The sizes that front end and decoding follow.
pub(in crate::arch) struct Sizes {
    /// V.
    pub vocab: usize,
    /// M.
    pub mel_bins: usize,
    /// Most positions of the encoder, two frames each.
    pub source_positions: usize,
    /// Most tokens.
    pub target_positions: usize,
}

impl Sizes {
    /// Those of `config.json`; `WhisperConfig` of transformers gives defaults.
    ///
    /// # Errors
    /// Those of [`Settings::size`].
    pub fn read(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self {
            vocab: settings.size("vocab_size", MULTILINGUAL_VOCAB)?,
            mel_bins: settings.size("num_mel_bins", 80)?,
            source_positions: settings.size("max_source_positions", 1500)?,
            target_positions: settings.size("max_target_positions", 448)?,
        })
    }
}

/// `preprocessor_config.json`, and the paper's numbers where it says nothing.
pub(super) fn input(source: &Source, sizes: &Sizes) -> Result<AudioInput, Error> {
    const FILE: &str = "preprocessor_config.json";
    let config = source.json(FILE)?.unwrap_or_default();
    let fixed = [
        ("sampling_rate", SAMPLE_RATE_HZ as usize),
        ("n_fft", WINDOW_SAMPLES as usize),
        ("hop_length", HOP_SAMPLES as usize),
        ("feature_size", sizes.mel_bins),
    ];
    for (key, expected) in fixed {
        let value = config.get(key).and_then(Value::as_u64);
        if let Some(value) = value.filter(|value| *value != expected as u64) {
            return Err(Error::SideFile {
                path: source.path(FILE),
                what: format!("`{key}` is {value}, but this Whisper hears {expected}"),
            });
        }
    }
    let frames = 2 * sizes.source_positions as u32;
    Ok(AudioInput {
        sample_rate_hz: SAMPLE_RATE_HZ,
        max_piece_s: (frames * HOP_SAMPLES) as f32 / SAMPLE_RATE_HZ as f32,
        normalize: false,
        mel: Some(MelSpec {
            window_samples: WINDOW_SAMPLES,
            hop_samples: HOP_SAMPLES,
            bins: sizes.mel_bins as u32,
            frames: Some(frames),
        }),
        vad: None,
    })
}

/// Special tokens by the tokenizer; suppressed ones by `generation_config.json`, or by `config.json`
/// of CTranslate2.
pub(super) fn decode(
    source: &Source,
    tokenizer: &BundleFile,
    sizes: &Sizes,
) -> Result<TranscribeSpec, Error> {
    let special = special_tokens(tokenizer)?;
    let id = |token: &str| special.get(token).copied();
    let needed = |token: &str| {
        id(token).ok_or_else(|| Error::SideFile {
            path: source.path(TOKENIZER),
            what: format!("has no token `{token}`; is it the tokenizer of a {NAME} model?"),
        })
    };
    let generation = source.json("generation_config.json")?.unwrap_or_default();
    let config = source.config.clone().unwrap_or_default();
    let list = |keys: [(&Value, &str); 2]| -> Vec<u32> {
        let found = keys
            .iter()
            .find_map(|(value, key)| value.get(key)?.as_array());
        let ids = found.into_iter().flatten().filter_map(Value::as_u64);
        // −1 and ids beyond the vocabulary suppress nothing.
        let ids = ids.filter(|id| *id < sizes.vocab as u64);
        ids.map(|id| id as u32).collect()
    };
    let multilingual = generation.get("is_multilingual").and_then(Value::as_bool);
    let multilingual = multilingual.unwrap_or(sizes.vocab >= MULTILINGUAL_VOCAB);
    let languages: BTreeMap<String, u32> = match multilingual {
        true => special.iter().filter_map(language).collect(),
        false => BTreeMap::new(),
    };
    let (transcribe_id, translate_id) = match multilingual {
        true => (Some(needed("<|transcribe|>")?), id("<|translate|>")),
        false => (None, None),
    };
    let margin_s = source.set.number("margin_s", MAX_MARGIN_S)?;
    Ok(TranscribeSpec::Whisper {
        tokenizer: TOKENIZER.into(),
        start_id: needed("<|startoftranscript|>")?,
        end_id: needed("<|endoftext|>")?,
        transcribe_id,
        translate_id,
        no_timestamps_id: id("<|notimestamps|>"),
        previous_id: id("<|startofprev|>"),
        // Called otherwise in the first release.
        no_speech_id: id("<|nospeech|>").or_else(|| id("<|nocaptions|>")),
        margin_s,
        language: default_language(&generation, &languages),
        max_tokens: sizes.target_positions,
        suppress_ids: list([(&generation, "suppress_tokens"), (&config, "suppress_ids")]),
        begin_suppress_ids: list([
            (&generation, "begin_suppress_tokens"),
            (&config, "suppress_ids_begin"),
        ]),
        languages,
    })
}

/// The heads of cross attention that follow the sound, `[layer, head]`, in order: those that the checkpoint
/// names, in `generation_config.json` or CTranslate2's `config.json`, else all of the upper half of the
/// layers, as openai-whisper takes them.
///
/// # Errors
/// [`Error::SideFile`] for one that the decoder does not have.
pub(super) fn alignment_heads(source: &Source, config: &Config) -> Result<Vec<[usize; 2]>, Error> {
    const KEY: &str = "alignment_heads";
    let (layers, heads) = (config.layers.decoder, config.heads.decoder);
    let generation = source.json("generation_config.json")?.unwrap_or_default();
    let own = source.config.as_ref().and_then(|config| config.get(KEY));
    let named = generation.get(KEY).or(own).and_then(Value::as_array);
    let Some(named) = named.filter(|named| !named.is_empty()) else {
        let upper = layers / 2..layers;
        return Ok(upper
            .flat_map(|layer| (0..heads).map(move |head| [layer, head]))
            .collect());
    };
    let pair = |value: &Value| {
        let number = |i: usize| usize::try_from(value.get(i)?.as_u64()?).ok();
        let [layer, head] = [number(0)?, number(1)?];
        (layer < layers && head < heads).then_some([layer, head])
    };
    let pairs: Option<Vec<_>> = named.iter().map(pair).collect();
    let mut pairs = pairs.ok_or_else(|| Error::SideFile {
        path: source.path("generation_config.json"),
        what: format!(
            "`{KEY}` names a head beyond the decoder's {layers} layers of {heads} heads; take the file \
             that belongs to the checkpoint"
        ),
    })?;
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

/// The language a fine-tuned checkpoint was made for, else the one that is heard; English for a model of
/// one language.
fn default_language(generation: &Value, languages: &BTreeMap<String, u32>) -> String {
    let named = generation.get("language").and_then(Value::as_str);
    let code = named.map(|name| name.trim_matches(['<', '|', '>']));
    let known = code.filter(|code| languages.contains_key(*code));
    let other = match languages.is_empty() {
        true => "en",
        false => TranscribeSpec::AUTO,
    };
    known.unwrap_or(other).into()
}

/// `<|en|>` and its like: two or three lower-case letters.
fn language((token, id): (&String, &u32)) -> Option<(String, u32)> {
    let code = token.strip_prefix("<|")?.strip_suffix("|>")?;
    let letters = code.bytes().all(|b| b.is_ascii_lowercase());
    ((2..=3).contains(&code.len()) && letters).then(|| (code.to_owned(), *id))
}

/// The added tokens of `tokenizer.json` and their ids.
fn special_tokens(tokenizer: &BundleFile) -> Result<BTreeMap<String, u32>, Error> {
    let tokenizer = tokenizer.json()?;
    let added = tokenizer.get("added_tokens").and_then(Value::as_array);
    let entry = |token: &Value| {
        let id = u32::try_from(token.get("id")?.as_u64()?).ok()?;
        Some((token.get("content")?.as_str()?.to_owned(), id))
    };
    Ok(added.into_iter().flatten().filter_map(entry).collect())
}
