//! What the columns of tables are for.

use std::collections::BTreeMap;

use bevel_manifest::ErrorKind;

use crate::failure::fail;

/// What a column can hold, and the names people give it.
const ROLES: [(&str, &[&str]); 12] = [
    (
        "text",
        &[
            "text",
            "sentence",
            "transcript",
            "transcription",
            "review",
            "content",
        ],
    ),
    ("label", &["label", "class", "category", "target", "labels"]),
    (
        "file",
        &[
            "file",
            "path",
            "image",
            "audio",
            "file_name",
            "filename",
            "image_path",
            "audio_path",
        ],
    ),
    ("text_a", &["text_a", "sentence1", "sentence_a", "text1"]),
    ("text_b", &["text_b", "sentence2", "sentence_b", "text2"]),
    (
        "score",
        &["score", "similarity", "similarity_score", "rating"],
    ),
    ("question", &["question"]),
    ("context", &["context"]),
    ("answers", &["answers", "answer"]),
    ("tokens", &["tokens", "words"]),
    ("tags", &["tags", "ner_tags", "labels"]),
    ("group", &[]),
];

/// What the user says about columns.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    named: BTreeMap<String, String>,
    /// The column that parts the samples.
    pub group: Option<String>,
}

impl Columns {
    /// From pairs of a role and a column, by its name or its number from 1.
    ///
    /// # Errors
    /// For a role that there is not, or that is given twice.
    pub fn new(named: &[(String, String)], group: Option<String>) -> anyhow::Result<Self> {
        let mut columns = Self {
            group,
            ..Self::default()
        };
        for (role, column) in named {
            let mut roles = ROLES
                .iter()
                .map(|(role, _)| *role)
                .filter(|role| *role != "group");
            if !roles.clone().any(|known| known == role) {
                let known: Vec<_> = roles.by_ref().collect();
                let what = format!("--column {role}: no such role; known: {}", known.join(", "));
                return Err(fail(ErrorKind::Input, what));
            }
            if columns.named.insert(role.clone(), column.clone()).is_some() {
                return Err(fail(
                    ErrorKind::Input,
                    format!("--column {role} is given twice"),
                ));
            }
        }
        Ok(columns)
    }

    /// The column that the user has named for a role.
    pub fn named(&self, role: &str) -> Option<&str> {
        match role {
            "group" => self.group.as_deref(),
            role => self.named.get(role).map(String::as_str),
        }
    }

    /// The place of a role among the names of columns, as the user or custom has it.
    pub fn place(&self, role: &str, header: &[String]) -> Option<usize> {
        let at = |name: &str| {
            let mut header = header.iter();
            header.position(|column| column.trim().eq_ignore_ascii_case(name))
        };
        match self.named(role) {
            Some(name) => at(name).or_else(|| number(name).filter(|at| *at < header.len())),
            None => custom(role).iter().find_map(|name| at(name)),
        }
    }
}

/// The names that a role is known by.
fn custom(role: &str) -> &'static [&'static str] {
    ROLES
        .iter()
        .find(|(known, _)| *known == role)
        .map_or(&[], |(_, names)| names)
}

/// A column by its number from 1.
pub fn number(name: &str) -> Option<usize> {
    name.parse::<usize>().ok()?.checked_sub(1)
}
