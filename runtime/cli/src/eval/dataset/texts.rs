//! Texts: with a class, in pairs that people have rated, or just as they are.

use super::files;
use super::table::{Table, ending, head, is_table, text};
use super::{Item, Opening, Sample, unknown};
use crate::eval::truth::Truth;
use crate::inputs::Kind;

const TABLES: &str = "a table (.csv, .tsv, .jsonl)";

impl Opening<'_> {
    /// Texts of a class each.
    pub fn labelled_texts(&self) -> anyhow::Result<Vec<Sample>> {
        if !is_table(self.path) {
            return Err(unknown(
                self.path,
                &format!("{TABLES} with columns text and label"),
            ));
        }
        let table = Table::read(self.path, &["text", "label"], self.columns)?;
        let rows = table.rows().map(|row| {
            let class = self.labels.class(&row.text("label")?, &row.place())?;
            let mut sample = Sample::new(
                Item::Text(row.text("text")?),
                Truth::Class(class),
                row.place(),
            );
            sample.group = row.group();
            Ok(sample)
        });
        rows.collect()
    }

    /// What vectors are made of: rated pairs of texts, or texts and pictures for agreement.
    pub fn vectors(&self) -> anyhow::Result<Vec<Sample>> {
        match Kind::of(self.bundle)? {
            Kind::Image if self.path.is_dir() => return self.bare_pictures(self.path),
            Kind::Image => return Err(unknown(self.path, "a folder of pictures")),
            Kind::TextImage if self.path.is_dir() => return self.bare_pictures(self.path),
            _ => {}
        }
        if !is_table(self.path) {
            return self.texts(&Truth::Unknown);
        }
        let head = head(self.path)?;
        let named = |role| self.columns.place(role, &head).is_some();
        // Three columns without names are a pair and its rating.
        let pairs = named("text_b") || !named("text") && head.len() >= 3;
        if !pairs {
            return self.texts(&Truth::Unknown);
        }
        let table = Table::read(self.path, &["text_a", "text_b", "score"], self.columns)?;
        let rows = table.rows().map(|row| {
            let pair = Item::Pair([row.text("text_a")?, row.text("text_b")?]);
            let rated = Truth::Similarity(row.number("score")?);
            let mut sample = Sample::new(pair, rated, row.place());
            sample.group = row.group();
            Ok(sample)
        });
        rows.collect()
    }

    /// Texts with the same truth: a column of a table, or lines of a file, or of all files of a folder.
    pub fn texts(&self, truth: &Truth) -> anyhow::Result<Vec<Sample>> {
        if is_table(self.path) {
            let table = Table::read(self.path, &["text"], self.columns)?;
            let rows = table.rows().map(|row| {
                let mut sample =
                    Sample::new(Item::Text(row.text("text")?), truth.clone(), row.place());
                sample.group = row.group();
                Ok(sample)
            });
            return rows.collect();
        }
        let files = match self.path.is_dir() {
            true => files::with_endings(self.path, &["txt"])?,
            false => vec![self.path.to_path_buf()],
        };
        let mut samples = Vec::new();
        for path in files {
            if ending(&path) != "txt" {
                return Err(unknown(
                    &path,
                    &format!("{TABLES}, or .txt with one text a line"),
                ));
            }
            let group = self.folder_group(&path, 0)?;
            for (at, line) in text(&path)?.lines().enumerate() {
                if line.trim().is_empty() {
                    continue;
                }
                let place = format!("{}:{}", path.display(), at + 1);
                let mut sample = Sample::new(Item::Text(line.to_string()), truth.clone(), place);
                sample.group = group.clone();
                samples.push(sample);
            }
        }
        Ok(samples)
    }
}
