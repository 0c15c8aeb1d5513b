use serde::{Deserialize, Serialize};

use crate::Error;

/// How a causal decoder goes on with a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateSpec {
    /// Longest sequence in tokens, prompt included.
    pub max_tokens: usize,
    /// Tokens that end the text; without any it ends at its limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub end_ids: Vec<u32>,
    /// Token that stands for an empty prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_id: Option<u32>,
    /// Token that fills rows which have ended, or begin later, than others of their batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_id: Option<u32>,
    /// Most tokens behind the prompt when the caller names no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_tokens: Option<usize>,
    /// Logits of tokens that were there before are divided by this where they are above zero and
    /// multiplied where they are below (Keskar et al. 2019, arXiv:1909.05858); above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// How the model's makers draw tokens; without it they take the likeliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingSpec>,
    /// Jinja template that makes a prompt of a conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
}

/// Numbers of `generation_config.json` by which tokens are drawn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingSpec {
    /// Logits are divided by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Only the likeliest of this number are drawn from; 0 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Only the likeliest whose probabilities reach this sum are drawn from, in 0 ..= 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Only those with this share of the likeliest one's probability are drawn from, in 0 ..= 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
}

impl GenerateSpec {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("[decode] {what}")));
        if self.max_tokens < 2 {
            return invalid("max_tokens must be at least 2");
        }
        match self.repetition_penalty {
            Some(penalty) if !(penalty.is_finite() && penalty > 0.0) => {
                invalid("repetition_penalty must be above zero")
            }
            _ => Ok(()),
        }
    }
}
