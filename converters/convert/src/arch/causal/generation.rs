//! How a decoder is driven: `generation_config.json`, and the chat template.

use bevel_manifest::{GenerateSpec, SamplingSpec};
use serde_json::Value;

use crate::Error;
use crate::arch::{BundleFile, Content};
use crate::source::Source;

const SETTINGS: &str = "generation_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const TOKENIZER_SETTINGS: &str = "tokenizer_config.json";

/// The settings of generation, out of `config.json` where there is no file of their own.
///
/// # Errors
/// [`Error::SideFile`] when a token is beyond the vocabulary, or a value makes no sense.
pub(super) fn read(source: &Source, vocab: usize, positions: usize) -> Result<GenerateSpec, Error> {
    let own = source.json(SETTINGS)?;
    let (file, settings) = match (&own, &source.config) {
        (Some(settings), _) => (SETTINGS, settings),
        (None, Some(config)) => ("config.json", config),
        (None, None) => ("config.json", &Value::Null),
    };
    let wrong = |key: &str, value: &Value, expected: &str| Error::SideFile {
        path: source.path(file),
        what: format!("`{key}` is {value}, expected {expected}"),
    };
    let get = |key: &str| settings.get(key).filter(|value| !value.is_null());
    // −1 stands for no token in old files.
    let ids = |key: &str| -> Result<Vec<u32>, Error> {
        let Some(value) = get(key).filter(|value| value.as_i64() != Some(-1)) else {
            return Ok(Vec::new());
        };
        let list = value.as_array().map_or(std::slice::from_ref(value), |l| l);
        let id = |id: &Value| id.as_u64().filter(|id| *id < vocab as u64);
        let ids: Option<Vec<u64>> = list.iter().map(id).collect();
        let ids = ids.ok_or_else(|| wrong(key, value, &format!("tokens below {vocab}")))?;
        Ok(ids.into_iter().map(|id| id as u32).collect())
    };
    let number = |key: &str| -> Result<Option<f32>, Error> {
        let Some(value) = get(key) else {
            return Ok(None);
        };
        let number = value.as_f64().filter(|n| n.is_finite() && *n >= 0.0);
        let number = number.ok_or_else(|| wrong(key, value, "a number from 0"))?;
        Ok(Some(number as f32))
    };
    let samples = get("do_sample").and_then(Value::as_bool).unwrap_or(false);
    let sampling = match samples {
        false => None,
        true => Some(SamplingSpec {
            temperature: number("temperature")?,
            top_k: number("top_k")?.map(|k| k as u32),
            top_p: number("top_p")?,
            min_p: number("min_p")?,
        }),
    };
    Ok(GenerateSpec {
        start_id: ids("bos_token_id")?.first().copied(),
        end_ids: ids("eos_token_id")?,
        pad_id: ids("pad_token_id")?.first().copied(),
        max_tokens: positions,
        new_tokens: get("max_new_tokens")
            .and_then(Value::as_u64)
            .map(|n| n as usize),
        // 1 changes nothing.
        repetition_penalty: number("repetition_penalty")?.filter(|p| *p != 1.0 && *p > 0.0),
        sampling,
        chat_template: None,
    })
}

/// The chat template: its own file, else the one in `tokenizer_config.json`, of several the one
/// called `default`.
///
/// # Errors
/// Those of reading the files.
pub(super) fn chat_template(source: &Source) -> Result<Option<BundleFile>, Error> {
    let file = |content| BundleFile {
        name: TEMPLATE.into(),
        content,
    };
    let path = source.path(TEMPLATE);
    if path.is_file() {
        return Ok(Some(file(Content::Copy(path))));
    }
    let settings = source.json(TOKENIZER_SETTINGS)?.unwrap_or_default();
    let text = match settings.get("chat_template") {
        Some(Value::Array(named)) => {
            let default = |t: &&Value| t.get("name").is_some_and(|name| name == "default");
            let template = named.iter().find(default).or(named.first());
            template.and_then(|t| t.get("template"))
        }
        other => other,
    };
    let text = text.and_then(Value::as_str);
    Ok(text.map(|text| file(Content::Text(text.into()))))
}
