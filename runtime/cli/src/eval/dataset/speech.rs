//! Recordings with what is said in them.

use std::path::{Path, PathBuf};

use super::files::{self, SOUNDS};
use super::pictures::only_table;
use super::table::{Table, is_table, text};
use super::{Opening, Sample, unknown};
use crate::eval::truth::Truth;

const KNOWN: &str = "a table (.csv, .tsv, .jsonl) with columns file and text, LibriSpeech's *.trans.txt, \
                     or NAME.wav beside NAME.txt";

impl Opening<'_> {
    /// Recordings with their transcripts.
    pub fn speech(&self) -> anyhow::Result<Vec<Sample>> {
        if is_table(self.path) {
            return self.recordings_of_table(self.path);
        }
        if !self.path.is_dir() {
            return Err(unknown(self.path, KNOWN));
        }
        if let Some(table) = only_table(self.path)? {
            return self.recordings_of_table(&table);
        }
        let texts = files::with_endings(self.path, &["txt"])?;
        let is_list = |path: &&PathBuf| files::name(path).ends_with(".trans.txt");
        let lists: Vec<&PathBuf> = texts.iter().filter(is_list).collect();
        if !lists.is_empty() {
            let samples = lists.iter().map(|list| self.libri_speech(list));
            return Ok(samples.collect::<anyhow::Result<Vec<_>>>()?.concat());
        }
        let mut samples = Vec::new();
        for path in files::with_endings(self.path, &SOUNDS)? {
            let beside = path.with_extension("txt");
            if !beside.is_file() {
                let expected = format!("{} with what is said in it; or {KNOWN}", beside.display());
                return Err(unknown(&path, &expected));
            }
            samples.push(self.recording(path, text(&beside)?.trim(), 0)?);
        }
        Ok(samples)
    }

    fn recordings_of_table(&self, path: &Path) -> anyhow::Result<Vec<Sample>> {
        let table = Table::read(path, &["file", "text"], self.columns)?;
        let rows = table.rows().map(|row| {
            let mut sample = Sample::sound(row.file()?, Truth::Speech(row.text("text")?));
            sample.place = format!("{} ({})", row.place(), sample.place);
            sample.group = row.group();
            Ok(sample)
        });
        rows.collect()
    }

    /// Lines of a name and a text; the recordings are beside the list.
    fn libri_speech(&self, list: &Path) -> anyhow::Result<Vec<Sample>> {
        let text = text(list)?;
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty());
        let samples = lines.map(|(at, line)| {
            let (name, said) = line
                .trim()
                .split_once(char::is_whitespace)
                .unwrap_or((line, ""));
            let folder = list.parent().unwrap_or(Path::new(""));
            let files = SOUNDS
                .iter()
                .map(|ending| folder.join(format!("{name}.{ending}")));
            let path = files
                .into_iter()
                .find(|path| path.is_file())
                .ok_or_else(|| {
                    let place = PathBuf::from(format!("{}:{}", list.display(), at + 1));
                    unknown(
                        &place,
                        &format!("{name}.flac or {name}.wav beside the list"),
                    )
                })?;
            self.recording(path, said, 1)
        });
        samples.collect()
    }

    fn recording(&self, path: PathBuf, said: &str, levels: usize) -> anyhow::Result<Sample> {
        let group = self.folder_group(&path, levels)?;
        let mut sample = Sample::sound(path, Truth::Speech(said.to_string()));
        sample.group = group;
        Ok(sample)
    }
}
