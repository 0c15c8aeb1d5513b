//! Pictures whose class is told by where they are, what they are called, or a table.

use std::path::{Path, PathBuf};

use super::files::{self, PICTURES};
use super::table::{Table, ending, is_table};
use super::{Opening, Sample, unknown};
use crate::eval::truth::Truth;
use crate::inputs::Kind;

/// What people call the parts of a dataset; a model is evaluated on what it has not learnt from.
const SPLITS: [&str; 5] = ["val", "valid", "validation", "test", "train"];

const KNOWN: &str = "one folder a class, pictures called CLASSINDEX_name.jpg, or a table (.csv, .tsv, \
                     .jsonl) with columns file and label";

impl Opening<'_> {
    /// Pictures or texts of a class each.
    pub fn classes(&self) -> anyhow::Result<Vec<Sample>> {
        if Kind::of(self.bundle)? != Kind::Image {
            return self.labelled_texts();
        }
        if is_table(self.path) {
            return self.pictures_of_table(self.path);
        }
        if !self.path.is_dir() {
            return Err(unknown(self.path, KNOWN));
        }
        if let Some(table) = only_table(self.path)? {
            return self.pictures_of_table(&table);
        }
        let folder = split(self.path)?;
        let folders = files::folders(&folder)?;
        match folders.is_empty() {
            true => self.numbered(&folder),
            false => self.class_folders(&folder, &folders),
        }
    }

    fn pictures_of_table(&self, path: &Path) -> anyhow::Result<Vec<Sample>> {
        let table = Table::read(path, &["file", "label"], self.columns)?;
        let rows = table.rows().map(|row| {
            let class = self.labels.class(&row.text("label")?, &row.place())?;
            let mut sample = Sample::picture(row.file()?, Truth::Class(class));
            sample.place = format!("{} ({})", row.place(), sample.place);
            sample.group = row.group();
            Ok(sample)
        });
        rows.collect()
    }

    fn class_folders(&self, root: &Path, folders: &[PathBuf]) -> anyhow::Result<Vec<Sample>> {
        let names: Vec<String> = folders.iter().map(|folder| files::name(folder)).collect();
        let classes = self.labels.all(&names, &root.display().to_string())?;
        let mut samples = Vec::new();
        for (folder, class) in folders.iter().zip(classes) {
            for path in files::with_endings(folder, &PICTURES)? {
                let group = self.folder_group(&path, 1)?;
                let mut sample = Sample::picture(path, Truth::Class(class.clone()));
                sample.group = group;
                samples.push(sample);
            }
        }
        Ok(samples)
    }

    /// Pictures of one folder, whose names tell the class; where none does, nobody has said.
    fn numbered(&self, folder: &Path) -> anyhow::Result<Vec<Sample>> {
        let pictures = files::with_endings(folder, &PICTURES)?;
        if !pictures.iter().any(|path| number(path).is_some()) {
            return self.bare_pictures(folder);
        }
        let samples = pictures.into_iter().map(|path| {
            let digits = number(&path).ok_or_else(|| unknown(&path, KNOWN))?;
            let class = self.labels.class(&digits, &path.display().to_string())?;
            let group = self.folder_group(&path, 0)?;
            let mut sample = Sample::picture(path, Truth::Class(class));
            sample.group = group;
            Ok(sample)
        });
        samples.collect()
    }

    /// The folder that parts files where the user asks for it: their own, or `levels` above.
    pub fn folder_group(&self, path: &Path, levels: usize) -> anyhow::Result<Option<String>> {
        match self.columns.group.as_deref() {
            None => Ok(None),
            Some("folder") => Ok(files::folder_above(path, levels)),
            Some(other) => {
                let expected = format!("a table with a column `{other}`, or --group folder");
                Err(unknown(self.path, &expected))
            }
        }
    }

    /// Pictures without a word about them, for agreement.
    pub fn bare_pictures(&self, folder: &Path) -> anyhow::Result<Vec<Sample>> {
        let pictures = files::with_endings(folder, &PICTURES)?;
        let samples = pictures.into_iter().map(|path| {
            let group = self.folder_group(&path, 0)?;
            let mut sample = Sample::picture(path, Truth::Unknown);
            sample.group = group;
            Ok(sample)
        });
        samples.collect()
    }
}

/// The digits that a picture's name begins with, where it goes on behind them. A name of digits alone is a
/// number that somebody has given the picture.
fn number(path: &Path) -> Option<String> {
    let stem = files::stem(path);
    let (digits, _) = stem.split_once(['_', '-'])?;
    let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| digits.to_string())
}

/// Whether pictures lie in a folder itself, and nothing else that would say what they are.
///
/// # Errors
/// Where it cannot be read.
pub fn is_bare(folder: &Path) -> anyhow::Result<bool> {
    let entries = files::entries(folder)?;
    Ok(!entries.is_empty()
        && entries
            .iter()
            .all(|path| PICTURES.contains(&ending(path).as_str())))
}

/// The table in a folder, where there is one and no more.
///
/// # Errors
/// Where the folder cannot be read.
pub fn only_table(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let entries = files::entries(folder)?;
    let mut tables = entries
        .into_iter()
        .filter(|path| path.is_file() && is_table(path));
    Ok(match (tables.next(), tables.next()) {
        (Some(table), None) => Some(table),
        _ => None,
    })
}

/// The part of a dataset to look at, where its folders are parts.
fn split(folder: &Path) -> anyhow::Result<PathBuf> {
    let folders = files::folders(folder)?;
    let is_split = |path: &PathBuf| SPLITS.contains(&files::name(path).as_str());
    if folders.is_empty() || !folders.iter().all(is_split) {
        return Ok(folder.to_path_buf());
    }
    let chosen = SPLITS
        .iter()
        .map(|split| folder.join(split))
        .find(|path| path.is_dir());
    Ok(chosen.unwrap_or_else(|| folder.to_path_buf()))
}
