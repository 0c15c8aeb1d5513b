//! `labels.txt`: one label a line, in the order of the logits.

use std::path::Path;

use crate::Error;
use crate::arch::{BundleFile, Content};

const NAME: &str = "labels.txt";

/// A file that the user gave, which must have one line for each class.
pub(crate) fn from_file(path: &Path, classes: usize) -> Result<BundleFile, Error> {
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
    from_names(&names)
}

/// Labels from the checkpoint. A line break inside one would shift all that follow.
pub(crate) fn from_names(names: &[String]) -> Result<BundleFile, Error> {
    if let Some(name) = names.iter().find(|name| name.contains(['\n', '\r'])) {
        return Err(Error::Request(format!(
            "label {name:?} has a line break; give labels of one line each with --labels"
        )));
    }
    let mut text = names.join("\n");
    text.push('\n');
    Ok(BundleFile {
        name: NAME.into(),
        content: Content::Text(text),
    })
}
