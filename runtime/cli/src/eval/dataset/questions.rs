//! Questions about texts, with the right answers: SQuAD's JSON, or a table.

use std::path::Path;

use anyhow::Context;
use bevel_manifest::ErrorKind;
use serde::Deserialize;
use serde_json::Value;

use super::table::{Table, ending, is_table, text};
use super::{Item, Opening, Sample, unknown};
use crate::eval::truth::Truth;
use crate::failure::fail;

/// What SQuAD's files hold, of which there is more.
#[derive(Deserialize)]
struct Squad {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    #[serde(default)]
    answers: Value,
}

impl Opening<'_> {
    /// Questions with contexts.
    pub fn questions(&self) -> anyhow::Result<Vec<Sample>> {
        if ending(self.path) == "json" && self.path.is_file() {
            return self.squad(self.path);
        }
        if !is_table(self.path) {
            let expected = "SQuAD's .json, or a table (.csv, .tsv, .jsonl) with question, context and \
                            answers";
            return Err(unknown(self.path, expected));
        }
        let table = Table::read(self.path, &["question", "context", "answers"], self.columns)?;
        let rows = table.rows().map(|row| {
            let answers = answers(row.value("answers"));
            let answers =
                answers.ok_or_else(|| row.bad("answers are neither texts nor SQuAD's"))?;
            let mut sample = Sample::new(
                Item::Question {
                    question: row.text("question")?,
                    context: row.text("context")?,
                },
                Truth::Answers(answers),
                row.place(),
            );
            sample.group = row.group();
            Ok(sample)
        });
        rows.collect()
    }

    fn squad(&self, path: &Path) -> anyhow::Result<Vec<Sample>> {
        let place = path.display().to_string();
        if self.columns.group.is_some() {
            return Err(unknown(path, "a table with a column for --group"));
        }
        let squad: Squad = serde_json::from_str(&text(path)?)
            .with_context(|| fail(ErrorKind::Input, format!("{place}: not SQuAD's questions")))?;
        let mut samples = Vec::new();
        for paragraph in squad
            .data
            .into_iter()
            .flat_map(|article| article.paragraphs)
        {
            for asked in paragraph.qas {
                let place = format!("{place}: question {}", samples.len() + 1);
                let answers = answers(&asked.answers)
                    .ok_or_else(|| fail(ErrorKind::Input, format!("{place}: no answers")))?;
                let item = Item::Question {
                    question: asked.question,
                    context: paragraph.context.clone(),
                };
                samples.push(Sample::new(item, Truth::Answers(answers), place));
            }
        }
        Ok(samples)
    }
}

/// Texts of answers: one, a list, SQuAD's `[{"text": …}]`, or `{"text": […]}` as Hugging Face has it.
fn answers(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        // Tables without types hold lists as text.
        Value::String(text) => {
            let list = Some(text).filter(|text| text.trim_start().starts_with(['[', '{']));
            let list = list.and_then(|text| serde_json::from_str(text).ok());
            match list.as_ref().and_then(answers) {
                Some(answers) => Some(answers),
                None if text.is_empty() => Some(Vec::new()),
                None => Some(vec![text.clone()]),
            }
        }
        Value::Array(list) => list
            .iter()
            .map(|one| one.get("text").unwrap_or(one).as_str().map(str::to_owned))
            .collect(),
        Value::Object(object) => answers(object.get("text")?),
        _ => None,
    }
}
