//! Label files: one label a line, in the order of the logits.

use std::path::Path;

use crate::Error;
use crate::arch::{BundleFile, Content};

/// A file that the user gave, which must have one line for each class.
pub(crate) fn from_file(path: &Path, name: &str, classes: usize) -> Result<BundleFile, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::read(path, e))?;
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
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
