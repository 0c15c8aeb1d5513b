//! Texts with entities in them, word by word: columns as CoNLL has them, or lists in JSON.

use std::collections::BTreeSet;
use std::path::Path;

use bevel_manifest::ErrorKind;
use bevel_prep::score::spans;

use super::table::{Table, ending, is_table, text};
use super::{Item, Opening, Sample, unknown};
use crate::eval::truth::{Entity, Truth};
use crate::failure::fail;

const KNOWN: &str = "lines of a word and, last, its tag with an empty line between sentences (.conll, .bio, \
                     .iob, .txt), or .jsonl with lists tokens and tags";

impl Opening<'_> {
    /// Sentences with their entities. Words are joined by one space.
    pub fn tagged(&self) -> anyhow::Result<Vec<Sample>> {
        let known = self.labels.entities();
        if is_table(self.path) {
            return self.tagged_table(&known);
        }
        let columns = ["conll", "bio", "iob", "iob2", "bioes", "txt"];
        if self.path.is_dir() || !columns.contains(&ending(self.path).as_str()) {
            return Err(unknown(self.path, KNOWN));
        }
        if self.columns.group.is_some() {
            return Err(unknown(self.path, "a .jsonl with a key for --group"));
        }
        columns_of(self.path)?
            .into_iter()
            .map(|sentence| {
                let words: Vec<&str> = sentence
                    .words
                    .iter()
                    .map(|(word, _)| word.as_str())
                    .collect();
                let tags: Vec<&str> = sentence.words.iter().map(|(_, tag)| tag.as_str()).collect();
                let place = format!("{}:{}", self.path.display(), sentence.line);
                sample(&words, &tags, &known, place)
            })
            .collect()
    }

    fn tagged_table(&self, known: &BTreeSet<String>) -> anyhow::Result<Vec<Sample>> {
        let table = Table::read(self.path, &["tokens", "tags"], self.columns)?;
        let rows = table.rows().map(|row| {
            let (words, tags) = (row.list("tokens")?, row.list("tags")?);
            if words.len() != tags.len() {
                let what = format!("{} tokens and {} tags", words.len(), tags.len());
                return Err(row.bad(&what));
            }
            // Numbers are places among the tags of the model.
            let tags: Vec<String> = tags
                .into_iter()
                .map(
                    |tag| match tag.parse::<usize>().ok().and_then(|at| self.labels.at(at)) {
                        Some(class) => class.label,
                        None => tag,
                    },
                )
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let mut sample = sample(&words, &tags, known, row.place())?;
            sample.group = row.group();
            Ok(sample)
        });
        rows.collect()
    }
}

/// A sentence of a file with columns, and where it begins.
struct Sentence {
    line: usize,
    words: Vec<(String, String)>,
}

fn columns_of(path: &Path) -> anyhow::Result<Vec<Sentence>> {
    let mut sentences: Vec<Sentence> = Vec::new();
    let mut open = false;
    for (at, line) in text(path)?.lines().enumerate() {
        let mut words = line.split_whitespace();
        let Some(word) = words.next().filter(|word| *word != "-DOCSTART-") else {
            open = false;
            continue;
        };
        // Notes of those who made the file have a space behind the mark.
        if line.starts_with("# ") && !line.contains('\t') {
            continue;
        }
        let tag = words.last().ok_or_else(|| {
            let what = format!("{}:{}: a word without a tag", path.display(), at + 1);
            fail(ErrorKind::Input, what)
        })?;
        if !open {
            sentences.push(Sentence {
                line: at + 1,
                words: Vec::new(),
            });
            open = true;
        }
        if let Some(sentence) = sentences.last_mut() {
            sentence.words.push((word.to_string(), tag.to_string()));
        }
    }
    Ok(sentences)
}

fn sample(
    words: &[&str],
    tags: &[&str],
    known: &BTreeSet<String>,
    place: String,
) -> anyhow::Result<Sample> {
    // Where each word begins and ends, in characters.
    let mut at = 0;
    let places = words.iter().map(|word| {
        let start = at;
        let end = start + word.chars().count();
        at = end + 1;
        (start, end)
    });
    let places: Vec<(usize, usize)> = places.collect();
    let mut entities = Vec::new();
    for span in spans(tags) {
        if !known.contains(&span.label) {
            let own: Vec<&str> = known.iter().map(String::as_str).collect();
            let what = format!(
                "{place}: the model has no label `{}`; it has {}",
                span.label,
                own.join(", ")
            );
            return Err(fail(ErrorKind::Input, what));
        }
        entities.push(Entity {
            label: span.label,
            start: places[span.start].0,
            end: places[span.end - 1].1,
        });
    }
    Ok(Sample::new(
        Item::Text(words.join(" ")),
        Truth::Entities(entities),
        place,
    ))
}
