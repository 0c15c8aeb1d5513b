//! Labels in the order of the logits, and files with one a line.

use std::path::Path;

use serde_json::Value;

use crate::arch::{BundleFile, Content};
use crate::source::Source;
use crate::{Error, Options};

/// How many labels a classifier answers unless it is told otherwise.
pub(crate) const TOP_K: usize = 5;

/// Keys of `config.json` under which people list labels.
const LISTS: [&str; 3] = ["labels", "classes", "names"];

/// The labels of `config.json`: Hugging Face's `id2label`, else a list; `None` where there is neither.
///
/// # Errors
/// [`Error::SideFile`] when they are not one for each class.
pub(crate) fn of_config(source: &Source, classes: usize) -> Result<Option<Vec<String>>, Error> {
    let config = source.config.as_ref();
    let get = |key: &str| config.and_then(|config| config.get(key));
    let text = |label: &Value| label.as_str().map(str::to_owned);
    let lists = || {
        LISTS
            .iter()
            .find_map(|key| Some((*key, get(key)?.as_array()?)))
    };
    let (key, count, names) = match get("id2label").and_then(Value::as_object) {
        Some(map) => {
            let name = |id: usize| map.get(&id.to_string()).and_then(text);
            let names: Option<Vec<String>> = (0..classes).map(name).collect();
            ("id2label", map.len(), names)
        }
        None => match lists() {
            Some((key, list)) => (key, list.len(), list.iter().map(text).collect()),
            None => return Ok(None),
        },
    };
    match names {
        Some(names) if count == classes => Ok(Some(names)),
        _ => Err(Error::SideFile {
            path: source.path("config.json"),
            what: format!(
                "{key} names {count} labels, the head has {classes}; give the right ones with --labels"
            ),
        }),
    }
}

/// The label file of a bundle: what the user gave, else what `config.json` says, if either does.
///
/// # Errors
/// [`Error::SideFile`] when they are not one for each class.
pub(crate) fn find(
    source: &Source,
    options: &Options,
    classes: usize,
) -> Result<Option<BundleFile>, Error> {
    let name = options.labels_name();
    if let Some(path) = options.labels_path()? {
        return from_file(&path, name, classes).map(Some);
    }
    let names = of_config(source, classes)?;
    names.map(|names| from_names(&names, name)).transpose()
}

/// A file that the user gave, which must have one line for each class.
pub(crate) fn from_file(path: &Path, name: &str, classes: usize) -> Result<BundleFile, Error> {
    from_lines(path, name, classes, None)
}

/// The same for a head whose first class is `first`, which the file may leave out.
pub(crate) fn from_file_behind(
    path: &Path,
    name: &str,
    classes: usize,
    first: &str,
) -> Result<BundleFile, Error> {
    from_lines(path, name, classes, Some(first))
}

fn from_lines(
    path: &Path,
    name: &str,
    classes: usize,
    first: Option<&str>,
) -> Result<BundleFile, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::read(path, e))?;
    let mut names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if let Some(first) = first
        && names.len() + 1 == classes
    {
        names.insert(0, first.into());
    }
    if names.len() != classes {
        return Err(Error::SideFile {
            path: path.into(),
            what: format!(
                "{} labels, but the head has {classes} classes; write one label a line",
                names.len()
            ),
        });
    }
    from_names(&names, name)
}

/// Numbers from 0, where nobody gave names.
pub(crate) fn numbers(classes: usize, name: &str) -> Result<BundleFile, Error> {
    let names: Vec<String> = (0..classes).map(|index| index.to_string()).collect();
    from_names(&names, name)
}

/// Labels from the checkpoint. A line break inside one would shift all that follow.
pub(crate) fn from_names(names: &[String], name: &str) -> Result<BundleFile, Error> {
    if let Some(label) = names.iter().find(|label| label.contains(['\n', '\r'])) {
        return Err(Error::Request(format!(
            "label {label:?} has a line break; give labels of one line each with --labels"
        )));
    }
    let mut text = names.join("\n");
    text.push('\n');
    Ok(BundleFile {
        name: name.into(),
        content: Content::Text(text),
    })
}
