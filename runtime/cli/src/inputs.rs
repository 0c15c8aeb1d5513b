//! From arguments to the items a task takes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel::tensors::Named;
use bevel::{Question, Sample};
use bevel_manifest::ErrorKind;
use serde::Deserialize;

use crate::failure::fail;
use crate::picture::{self, Picture};

/// What a task takes, by `[input] kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Questions, each with the text that answers it.
    Question,
    Image,
    /// Text, or a picture where the argument is a file of one.
    TextImage,
    Sound,
    /// Named tensors.
    Tensors,
}

impl Kind {
    pub fn of(bundle: &bevel::Bundle) -> anyhow::Result<Self> {
        bevel::supports(bundle.manifest())?;
        match bundle.manifest().input.kind() {
            "text" if bundle.manifest().task == bevel::TaskName::Answer => Ok(Self::Question),
            "text" | "words" => Ok(Self::Text),
            "image" => Ok(Self::Image),
            "text-image" => Ok(Self::TextImage),
            "audio" => Ok(Self::Sound),
            "tensors" => Ok(Self::Tensors),
            kind => Err(fail(
                ErrorKind::Unsupported,
                format!("`run` cannot read {kind} yet"),
            )),
        }
    }

    /// File name endings that a directory is searched for.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["txt"],
            Self::Question => &["json", "jsonl"],
            Self::Image | Self::TextImage => {
                &["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"]
            }
            Self::Sound => &[
                "wav", "flac", "mp3", "mp2", "ogg", "oga", "m4a", "m4b", "aac", "mp4", "aif",
                "aiff", "aifc", "caf",
            ],
            Self::Tensors => &["json", "jsonl", "npy", "safetensors"],
        }
    }

    /// Whether items are written as JSON objects.
    fn is_json(self) -> bool {
        matches!(self, Self::Question | Self::Tensors)
    }

    fn has_ending(self, path: &Path) -> bool {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        ending.is_some_and(|e| self.endings().contains(&e.as_str()))
    }
}

/// One thing to answer for, not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Text at hand.
    Text(String),
    /// A picture or sound file.
    File(PathBuf),
    /// A file with one text a line.
    Lines(PathBuf),
    /// One text a line of standard input.
    StdinLines,
    /// A picture on standard input.
    StdinBytes,
    /// Sound on standard input.
    StdinSound,
    /// Files with one tensor each, by the inputs they are for.
    Pairs(Vec<(String, PathBuf)>),
}

impl Source {
    /// The files it is read from, by their real paths.
    pub fn files(&self) -> Vec<PathBuf> {
        let files: Vec<&PathBuf> = match self {
            Self::File(path) | Self::Lines(path) => vec![path],
            Self::Pairs(pairs) => pairs.iter().map(|(_, path)| path).collect(),
            Self::Text(_) | Self::StdinLines | Self::StdinBytes | Self::StdinSound => Vec::new(),
        };
        files
            .into_iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect()
    }
}

/// What was read of a source.
pub enum Item {
    Text(String),
    Question(Asked),
    Image(Picture),
    Sound(PathBuf),
    /// Sound on standard input, which is heard as it comes.
    StdinSound,
    Tensors(Named),
}

/// A question as people write it down; what else they say with it is left alone.
#[derive(Deserialize)]
pub struct Asked {
    pub question: String,
    pub context: String,
}

impl Item {
    /// The item as a pipeline takes it.
    pub fn sample(&self) -> anyhow::Result<Sample<'_>> {
        Ok(match self {
            Self::Text(text) => Sample::Text(text),
            Self::Question(Asked { question, context }) => {
                Sample::Question(Question { question, context })
            }
            Self::Sound(path) => Sample::SoundFile(path),
            Self::StdinSound => {
                let what = "sound on standard input is heard by `run` alone; give a file";
                return Err(fail(ErrorKind::Unsupported, what));
            }
            Self::Tensors(inputs) => Sample::Tensors(inputs),
            Self::Image(image) => picture::sample(image)?,
        })
    }
}

/// The sources that the arguments name, directories opened in order of name.
pub fn sources(kind: Kind, arguments: &[String]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    // All of them together are one item.
    let mut pairs = Vec::new();
    for argument in arguments {
        let path = Path::new(argument);
        match kind {
            Kind::Text | Kind::Question | Kind::TextImage | Kind::Tensors if argument == "-" => {
                sources.push(Source::StdinLines)
            }
            Kind::Image if argument == "-" => sources.push(Source::StdinBytes),
            Kind::Sound if argument == "-" => sources.push(Source::StdinSound),
            _ if path.is_dir() => sources.extend(directory(kind, path)?),
            Kind::TextImage if kind.has_ending(path) => sources.push(Source::File(path.into())),
            Kind::Text | Kind::TextImage if path.is_file() => {
                sources.push(Source::Lines(path.into()))
            }
            Kind::Text | Kind::TextImage => sources.push(Source::Text(argument.clone())),
            Kind::Question if path.is_file() && is_lines(path) => {
                sources.push(Source::Lines(path.into()))
            }
            Kind::Question if path.is_file() => sources.push(Source::File(path.into())),
            Kind::Question => sources.push(Source::Text(argument.clone())),
            Kind::Tensors if is_json(argument) => sources.push(Source::Text(argument.clone())),
            Kind::Tensors => match argument.split_once('=').filter(|_| !path.exists()) {
                Some((name, file)) => pairs.push((name.to_owned(), file.into())),
                None if is_lines(path) => sources.push(Source::Lines(path.into())),
                None => sources.push(Source::File(path.into())),
            },
            // Missing files are told when their turn comes, so the others are answered.
            Kind::Image | Kind::Sound => sources.push(Source::File(path.into())),
        }
    }
    if !pairs.is_empty() {
        sources.push(Source::Pairs(pairs));
    }
    Ok(sources)
}

/// Whether an argument is tensors as they are written, and no name.
fn is_json(argument: &str) -> bool {
    argument.trim_start().starts_with(['{', '['])
}

/// Whether a file has one object a line.
fn is_lines(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("jsonl"))
}

fn directory(kind: Kind, folder: &Path) -> anyhow::Result<Vec<Source>> {
    let unreadable = || {
        fail(
            ErrorKind::Input,
            format!("cannot list {}", folder.display()),
        )
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unreadable().context(e))? {
        let path = entry.map_err(|e| unreadable().context(e))?.path();
        if path.is_file() && kind.has_ending(&path) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let endings = kind.endings().join(", ");
        return Err(fail(
            ErrorKind::Input,
            format!("{} holds no input; looked for {endings}", folder.display()),
        ));
    }
    files.sort();
    let source = |path: PathBuf| match kind == Kind::Text || is_lines(&path) {
        true => Source::Lines(path),
        false => Source::File(path),
    };
    Ok(files.into_iter().map(source).collect())
}

/// Calls `each` with a name and an item for everything in a source. A failing item is handed on as
/// an error and the next one follows.
pub fn read(
    kind: Kind,
    source: &Source,
    each: &mut dyn FnMut(String, anyhow::Result<Item>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match source {
        Source::Text(text) => {
            let item = written(kind, "the argument", text);
            each(named(&item, text), item)
        }
        Source::Lines(path) => {
            let file = File::open(path).map_err(|source| bevel::Error::InputFile {
                path: path.clone(),
                source,
            })?;
            let name = path.display().to_string();
            lines(kind, BufReader::new(file), &name, each)
        }
        Source::StdinLines => lines(kind, std::io::stdin().lock(), "standard input", each),
        Source::Pairs(pairs) => {
            let names = pairs
                .iter()
                .map(|(name, file)| format!("{name}={}", file.display()));
            let name = names.collect::<Vec<_>>().join(" ");
            each(name, joined(pairs).map(Item::Tensors))
        }
        Source::StdinBytes => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .context("cannot read standard input")?;
            let image = picture::decode(&bytes).map(Item::Image);
            each("-".into(), image.context("standard input"))
        }
        Source::StdinSound => each("-".into(), Ok(Item::StdinSound)),
        Source::File(path) => {
            let name = path.display().to_string();
            if path.is_dir() || !path.exists() {
                let what = if path.is_dir() {
                    "is a directory"
                } else {
                    "does not exist"
                };
                return each(
                    name,
                    Err(fail(ErrorKind::Input, format!("{} {what}", path.display()))),
                );
            }
            let item = match kind {
                Kind::Image | Kind::TextImage => picture::load(path).map(Item::Image),
                Kind::Question => question_in(path),
                Kind::Tensors => bevel::tensors::load(path)
                    .map(Item::Tensors)
                    .map_err(Into::into),
                _ => Ok(Item::Sound(path.clone())),
            };
            each(named(&item, &name), item)
        }
    }
}

/// The first item that an argument names, and what it is called.
pub fn first(kind: Kind, argument: &str) -> anyhow::Result<(String, Item)> {
    let mut found = None;
    for source in sources(kind, &[argument.to_owned()])? {
        read(kind, &source, &mut |name, item| {
            if found.is_none() {
                found = Some((name, item?));
            }
            Ok(())
        })?;
    }
    found.ok_or_else(|| fail(ErrorKind::Input, format!("{argument} holds no input")))
}

/// The tensors of several files, each the only one in its file.
fn joined(pairs: &[(String, PathBuf)]) -> anyhow::Result<Named> {
    let mut tensors = Named::new();
    for (name, path) in pairs {
        let bad = |what: &str| {
            fail(
                ErrorKind::Input,
                format!("{name}={}: {what}", path.display()),
            )
        };
        let mut values = bevel::tensors::load(path)?.into_values();
        let (Some(tensor), None) = (values.next(), values.next()) else {
            return Err(bad("expected one tensor in the file"));
        };
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(bad("the input is given twice"));
        }
    }
    Ok(tensors)
}

/// What somebody has written at some place.
fn written(kind: Kind, place: &str, text: &str) -> anyhow::Result<Item> {
    match kind {
        Kind::Question => question(place, text),
        Kind::Tensors => {
            let read = bevel::tensors::from_json(text).map(Item::Tensors);
            read.map_err(|e| anyhow::Error::from(e).context(place.to_owned()))
        }
        _ => Ok(Item::Text(text.to_owned())),
    }
}

/// A question and its context as a JSON object.
fn question(place: &str, text: &str) -> anyhow::Result<Item> {
    serde_json::from_str(text).map(Item::Question).map_err(|e| {
        let what = format!(
            "{place}: expected {{\"question\": \"…\", \"context\": \"…\"}}, or a file of such lines: {e}"
        );
        fail(ErrorKind::Input, what)
    })
}

/// The one in a file of its own.
fn question_in(path: &Path) -> anyhow::Result<Item> {
    let text = std::fs::read_to_string(path).map_err(|source| bevel::Error::InputFile {
        path: path.to_path_buf(),
        source,
    })?;
    question(&path.display().to_string(), &text)
}

/// What an item is called: a question by itself, everything else by where it was found.
fn named(item: &anyhow::Result<Item>, place: &str) -> String {
    match item {
        Ok(Item::Question(asked)) => asked.question.clone(),
        _ => place.to_owned(),
    }
}

fn lines(
    kind: Kind,
    mut reader: impl BufRead,
    name: &str,
    each: &mut dyn FnMut(String, anyhow::Result<Item>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).map_err(|e| {
            anyhow::Error::from(e).context(fail(
                ErrorKind::Input,
                format!("{name}: cannot read line {number}"),
            ))
        })?;
        if read == 0 {
            if number == 1 {
                return each(
                    name.into(),
                    Err(fail(ErrorKind::Input, format!("{name} is empty"))),
                );
            }
            break;
        }
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        match std::str::from_utf8(&bytes) {
            // Between objects a line may be empty; as a text it is one.
            Ok(line) if kind.is_json() && line.trim().is_empty() => {}
            Ok(line) => {
                let place = format!("{name}:{number}");
                let item = written(kind, &place, line);
                // Numbers by the thousand name nothing.
                let name = match kind.is_json() {
                    true => named(&item, &place),
                    false => line.to_owned(),
                };
                each(name, item)?;
            }
            Err(e) => {
                let at = e.valid_up_to() + 1;
                let what = format!("{name} line {number} is not UTF-8 (byte {at})");
                each(
                    format!("{name}:{number}"),
                    Err(fail(ErrorKind::Input, what)),
                )?;
            }
        }
    }
    Ok(())
}
