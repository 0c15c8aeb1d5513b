//! The samples that variants are calibrated on and compared by.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use bevel_manifest::{ErrorKind, FileEntry};

use crate::eval::Dataset;
use crate::failure::fail;
use crate::inputs::{self, Item, Kind};

/// Sentences of many lengths and subjects, written for this purpose.
const SENTENCES: &str = include_str!("../../assets/sentences.txt");

/// Samples that are taken, evenly from all there are. Ranges settle after some dozens.
const MAX_SAMPLES: usize = 100;

/// Of sound, which is longer.
const MAX_SOUNDS: usize = 12;

/// Inputs of a task, without what should be answered.
pub struct Samples {
    pub source: String,
    pub items: Vec<Item>,
    /// Over all of them in order.
    pub sha256: String,
}

/// What the user gives to calibrate with, or else what comes with the labels, or else what is built in
/// for text; `None` where there is nothing.
pub fn samples(
    kind: Kind,
    given: Option<&Path>,
    labelled: Option<&Dataset>,
) -> anyhow::Result<Option<Samples>> {
    let most = match kind {
        Kind::Sound => MAX_SOUNDS,
        _ => MAX_SAMPLES,
    };
    let (source, items) = match (given, labelled) {
        (Some(path), _) => (path.display().to_string(), read(kind, path, most)?),
        (None, Some(dataset)) => {
            let count = dataset.len();
            let mut items = Vec::new();
            for at in spread(count, most) {
                items.extend(dataset.items(at)?);
            }
            ("the labelled data".into(), items)
        }
        (None, None) if matches!(kind, Kind::Text) => {
            let items = SENTENCES.lines().map(|line| Item::Text(line.into()));
            ("built-in sentences".into(), items.collect())
        }
        (None, None) => return Ok(None),
    };
    let sha256 = hash(&items)?;
    Ok(Some(Samples {
        source,
        items,
        sha256,
    }))
}

fn read(kind: Kind, path: &Path, most: usize) -> anyhow::Result<Vec<Item>> {
    if !path.exists() {
        let what = format!("--calibrate {} does not exist", path.display());
        return Err(fail(ErrorKind::Input, what));
    }
    let sources = inputs::sources(kind, &[path.display().to_string()])?;
    // Lines of one file, or files of a folder: whichever there are many of.
    let many = sources.len() > 1;
    let taken: Vec<_> = match many {
        true => spread(sources.len(), most).map(|at| &sources[at]).collect(),
        false => sources.iter().collect(),
    };
    let mut items = Vec::new();
    for source in taken {
        inputs::read(kind, source, &mut |_, item| {
            items.push(item?);
            Ok(())
        })?;
    }
    let keep: Vec<usize> = spread(items.len(), most).collect();
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        keep.binary_search(&(at - 1)).is_ok()
    });
    match items.is_empty() {
        true => Err(fail(
            ErrorKind::Input,
            format!("{} holds nothing to calibrate with", path.display()),
        )),
        false => Ok(items),
    }
}

/// At most so many indices below `count`, evenly spread, in order.
fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |i| i * count / taken.max(1))
}

fn hash(items: &[Item]) -> anyhow::Result<String> {
    let of = |content: &mut dyn Read| Ok::<_, std::io::Error>(FileEntry::of("", content)?.sha256);
    let mut all = String::new();
    for item in items {
        all += &match item {
            Item::Text(text) => of(&mut text.as_bytes())?,
            Item::Image(image) => of(&mut image.as_raw().as_slice())?,
            Item::Sound(path) => of(&mut File::open(path)?)?,
            // No sample either: it says so.
            Item::StdinSound => item.sample().map(|_| String::new())?,
            Item::Question(asked) => {
                of(&mut asked.question.as_bytes().chain(asked.context.as_bytes()))?
            }
            Item::Tensors(named) => of(&mut bevel::tensors::to_safetensors(named)?.as_slice())?,
        };
    }
    Ok(of(&mut Cursor::new(all))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_evenly() {
        for (count, most, expected) in [
            (0, 3, &[][..]),
            (2, 3, &[0, 1]),
            (9, 3, &[0, 3, 6]),
            (10, 4, &[0, 2, 5, 7]),
        ] {
            assert_eq!(spread(count, most).collect::<Vec<_>>(), expected);
        }
    }
}
