//! Label files: one label a line, in the order of the logits.

use std::path::Path;

use crate::Error;
use crate::arch::{BundleFile, Content};

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
