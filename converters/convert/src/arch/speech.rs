//! What speech models that hear samples keep in side files: the front end, and the characters of CTC.

use std::collections::BTreeMap;
use std::path::Path;

use bevel_manifest::{AudioInput, Decode, Input, MelSpec, Task, TranscribeSpec};
use serde_json::Value;

use crate::arch::{Built, BundleFile, text};
use crate::labels;
use crate::source::Source;
use crate::{Error, Options};

const FRONT_END: &str = "preprocessor_config.json";
const VOCABULARY: &str = "vocab.json";

/// The vocabulary in the bundle: one token a line, in the order of the logits.
const TOKENS: &str = "tokens.txt";

/// Longest piece in seconds for models without a limit of their own: attention costs the square.
pub(super) const PIECE_S: f32 = 20.0;

/// Makes a model of a `family` that writes tokens write down what it hears, where it has a tokenizer for its
/// `vocab` tokens; `hears` reads front end and special tokens.
///
/// # Errors
/// Those of [`text::tokenizer`], [`text::task`] and `hears`.
pub(super) fn transcribe(
    built: &mut Built,
    (family, vocab): (&'static str, usize),
    source: &Source,
    options: &Options,
    hears: impl FnOnce(&BundleFile) -> Result<(AudioInput, TranscribeSpec), Error>,
) -> Result<(), Error> {
    let tokenizer = text::tokenizer(source, vocab)?;
    let job = Task::Transcribe;
    built.task = text::task(family, source, job, options, tokenizer.is_some())?;
    match tokenizer {
        None => built.notes.push(text::without_tokenizer()),
        Some(tokenizer) if built.task == job => {
            let (input, decode) = hears(&tokenizer)?;
            built.input = Input::Audio(input);
            built.decode = Decode::Transcribe(decode);
            built.files.push(tokenizer);
        }
        Some(_) => {}
    }
    Ok(())
}

/// Whether the feature extractor marks padding.
///
/// # Errors
/// Those of [`Source::json`].
pub(super) fn wants_mask(source: &Source) -> Result<bool, Error> {
    let config = source.json(FRONT_END)?.unwrap_or_default();
    Ok(flag(&config, "return_attention_mask", false))
}

/// Samples as `Wav2Vec2FeatureExtractor` of transformers prepares them, whose defaults hold where
/// `preprocessor_config.json` says nothing; without the file they are not normalised.
///
/// # Errors
/// [`Error::SideFile`] for a front end that makes more than one value a sample.
pub(super) fn input(source: &Source, max_piece_s: f32) -> Result<AudioInput, Error> {
    let file = source.json(FRONT_END)?;
    let config = file.clone().unwrap_or_default();
    let number =
        |key: &str, default: u64| config.get(key).and_then(Value::as_u64).unwrap_or(default);
    let wrong = |key: &str, expected: &str| Error::SideFile {
        path: source.path(FRONT_END),
        what: format!("`{key}` is {}, expected {expected}", config[key]),
    };
    if number("feature_size", 1) != 1 {
        return Err(wrong("feature_size", "1, for a model that hears samples"));
    }
    let rate = u32::try_from(number("sampling_rate", 16_000));
    Ok(AudioInput {
        sample_rate_hz: rate.map_err(|_| wrong("sampling_rate", "hertz"))?,
        max_piece_s,
        normalize: file.is_some() && flag(&config, "do_normalize", true),
        mel: None,
        vad: None,
    })
}

/// `Wav2Vec2CTCTokenizer`: `vocab.json` with `added_tokens.json`, and the names of its special tokens
/// in `tokenizer_config.json`. `None` where there is no `vocab.json`. A frame is `frame_samples` long.
///
/// # Errors
/// [`Error::SideFile`] when the vocabulary is not that of a head of `classes`.
pub(super) fn vocabulary(
    source: &Source,
    classes: usize,
    pad_id: u32,
    frame_samples: u32,
) -> Result<Option<(TranscribeSpec, BundleFile)>, Error> {
    let Some(vocabulary) = source.json(VOCABULARY)? else {
        return Ok(None);
    };
    let wrong = |what: String| Error::SideFile {
        path: source.path(VOCABULARY),
        what,
    };
    let special = Special::read(source)?;
    let added = source.json("added_tokens.json")?.unwrap_or_default();
    let mut ids = BTreeMap::new();
    for (token, id) in [&vocabulary, &added]
        .into_iter()
        .filter_map(Value::as_object)
        .flatten()
    {
        let Some(id) = id.as_u64() else {
            let what = format!("token `{token}` has no id; one vocabulary a model is supported");
            return Err(wrong(what));
        };
        if id >= classes as u64 {
            return Err(wrong(format!(
                "token `{token}` is {id}, but the head has {classes} classes; take the vocabulary that \
                 belongs to the checkpoint"
            )));
        }
        ids.insert(token.as_str(), id as u32);
    }
    let blank_id = ids.get(special.pad.as_str()).copied().unwrap_or(pad_id);
    if blank_id as usize >= classes {
        let what = format!("the blank is {blank_id}, but the head has {classes} classes");
        return Err(wrong(what));
    }
    // An id without a token reads as the unknown token.
    let mut tokens = vec![special.unknown.clone(); classes];
    for (token, id) in &ids {
        tokens[*id as usize] = match special.lower_case {
            true => token.to_lowercase(),
            false => (*token).to_owned(),
        };
    }
    let file = labels::from_names(&tokens, TOKENS)?;
    let spec = TranscribeSpec::Ctc {
        tokens: TOKENS.into(),
        blank_id,
        word_delimiter_id: ids.get(special.word_delimiter.as_str()).copied(),
        frame_samples: Some(frame_samples),
        language: String::new(),
    };
    Ok(Some((spec, file)))
}

/// What makes a model of features write text, where it is said: a log-mel spectrogram of `bins` with
/// `--set hop_samples` and `--set window_samples`, and the characters of a head of `classes` by `--labels`
/// or `vocab.json`.
///
/// # Errors
/// [`Error::Request`] when only a part is said; those of [`vocabulary`].
pub(super) fn of_features(
    source: &Source,
    options: &Options,
    [bins, classes]: [usize; 2],
) -> Result<Option<(AudioInput, TranscribeSpec, BundleFile)>, Error> {
    let [hop, window] = ["hop_samples", "window_samples"].map(|key| source.set.size(key));
    let (hop, window) = (hop?, window?);
    let blank = blank_id(source, classes)?;
    match options.wanted_task() {
        Some(Task::Tensors) => return Ok(None),
        None if hop.is_none() && window.is_none() => return Ok(None),
        _ => {}
    }
    let needs = |what: &str| Error::Request(format!("task `transcribe` needs {what}"));
    let (Some(hop), Some(window)) = (hop, window) else {
        return Err(needs(
            "what the model was trained to hear: --set hop_samples=N and --set window_samples=N of a \
             log-mel spectrogram",
        ));
    };
    let input = AudioInput {
        sample_rate_hz: 16_000,
        max_piece_s: PIECE_S,
        normalize: false,
        mel: Some(MelSpec {
            window_samples: window as u32,
            hop_samples: hop as u32,
            bins: bins as u32,
            frames: None,
        }),
        vad: None,
    };
    let characters = match &options.labels {
        Some(path) => Some(of_labels(path, classes, blank, hop as u32)?),
        None => vocabulary(source, classes, blank.unwrap_or(0), hop as u32)?,
    };
    let (spec, file) = characters.ok_or_else(|| {
        needs("the characters: --labels FILE, one a line, or vocab.json beside it")
    })?;
    Ok(Some((input, spec, file)))
}

/// `--set blank_id`.
fn blank_id(source: &Source, classes: usize) -> Result<Option<u32>, Error> {
    let Some(text) = source.set.text("blank_id") else {
        return Ok(None);
    };
    match text.parse::<u32>() {
        Ok(id) if (id as usize) < classes => Ok(Some(id)),
        _ => Err(Error::Request(format!(
            "--set blank_id={text}: expected one of {classes} classes, 0 the first"
        ))),
    }
}

/// Characters one a line, in the order of the logits; `|` or a space stands between words.
fn of_labels(
    path: &Path,
    classes: usize,
    blank: Option<u32>,
    frame_samples: u32,
) -> Result<(TranscribeSpec, BundleFile), Error> {
    let wrong = |what: String| Error::SideFile {
        path: path.into(),
        what,
    };
    let text = std::fs::read_to_string(path).map_err(|e| Error::read(path, e))?;
    let tokens: Vec<String> = text.lines().map(str::to_owned).collect();
    if tokens.len() != classes {
        let count = tokens.len();
        let what =
            format!("{count} characters, but the head has {classes} classes; write one a line");
        return Err(wrong(what));
    }
    let find = |names: &[&str]| {
        let at = tokens
            .iter()
            .position(|token| names.contains(&token.as_str()));
        at.map(|at| at as u32)
    };
    let blank = blank.or_else(|| find(&["<blank>", "<pad>"]));
    let spec = TranscribeSpec::Ctc {
        tokens: TOKENS.into(),
        blank_id: blank.ok_or_else(|| {
            wrong(
                "no line is `<blank>`; say which class is the CTC blank with --set blank_id=N"
                    .into(),
            )
        })?,
        word_delimiter_id: find(&["|", " "]),
        frame_samples: Some(frame_samples),
        language: String::new(),
    };
    Ok((spec, labels::from_names(&tokens, TOKENS)?))
}

pub(super) fn vocabulary_missing(source: &Source) -> Error {
    Error::SideFile {
        path: source.path(VOCABULARY),
        what: "task `transcribe` needs the vocabulary; put it beside the weights".into(),
    }
}

/// The note on a bundle that has no vocabulary because the checkpoint has none.
pub(super) fn without_vocabulary() -> String {
    format!("no {VOCABULARY} beside the weights: the bundle takes and answers tensors")
}

/// The tokens with a meaning of their own, by name.
struct Special {
    pad: String,
    unknown: String,
    word_delimiter: String,
    lower_case: bool,
}

impl Special {
    fn read(source: &Source) -> Result<Self, Error> {
        let config = source.json("tokenizer_config.json")?.unwrap_or_default();
        // Older tokenizers name them in a file of their own; a name may be an object with flags.
        let map = source.json("special_tokens_map.json")?.unwrap_or_default();
        let name = |key: &str, default: &str| -> String {
            let found = config.get(key).or_else(|| map.get(key));
            let text = found.and_then(|v| v.as_str().or_else(|| v.get("content")?.as_str()));
            text.unwrap_or(default).to_owned()
        };
        Ok(Self {
            pad: name("pad_token", "<pad>"),
            unknown: name("unk_token", "<unk>"),
            word_delimiter: name("word_delimiter_token", "|"),
            lower_case: flag(&config, "do_lower_case", false),
        })
    }
}

fn flag(config: &Value, key: &str, default: bool) -> bool {
    config.get(key).and_then(Value::as_bool).unwrap_or(default)
}
