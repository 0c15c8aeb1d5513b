use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// What a packed bundle holds: name to content.
pub(crate) type Members = Arc<BTreeMap<String, Arc<[u8]>>>;

/// A file of a model: a graph, a tokenizer, a list of labels. On disk, or inside a packed bundle in
/// memory.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// Where it is on disk, or what messages call it.
    path: PathBuf,
    packed: Option<(Members, String)>,
}

/// Whether a file beside a graph has a name that exporters give to weights.
fn is_weights(name: &str) -> bool {
    let ends = [".data", "_data", ".bin", ".weight", ".weights"];
    ends.iter().any(|end| name.ends_with(end))
}

impl From<&Path> for ModelFile {
    fn from(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            packed: None,
        }
    }
}

impl ModelFile {
    /// The member `name` of a packed bundle that messages call `root`; `None` where there is none.
    pub(super) fn packed(root: &Path, members: &Members, name: &str) -> Option<Self> {
        members.contains_key(name).then(|| Self {
            path: root.join(name),
            packed: Some((Arc::clone(members), name.to_string())),
        })
    }

    /// The same file without those beside it, which else stay in memory for as long as this is kept.
    #[cfg(feature = "speech")]
    pub(crate) fn alone(&self) -> Self {
        let packed = self.packed.as_ref().map(|(members, name)| {
            let own = members.get_key_value(name).into_iter();
            let own = own.map(|(name, bytes)| (name.clone(), Arc::clone(bytes)));
            (Arc::new(own.collect()), name.clone())
        });
        Self {
            path: self.path.clone(),
            packed,
        }
    }

    /// Where it is on disk; for a file in memory a name for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be found.
    pub fn size_bytes(&self) -> Result<u64> {
        match self.in_memory() {
            Some(bytes) => Ok(bytes.len() as u64),
            None => {
                let found = std::fs::metadata(&self.path);
                Ok(found.map_err(|e| self.unreadable(e))?.len())
            }
        }
    }

    /// Its content, to be read bit by bit.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be opened.
    pub fn open(&self) -> Result<Box<dyn io::Read + '_>> {
        match self.in_memory() {
            Some(bytes) => Ok(Box::new(bytes)),
            None => {
                let file = std::fs::File::open(&self.path).map_err(|e| self.unreadable(e))?;
                Ok(Box::new(file))
            }
        }
    }

    /// Its content.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be read.
    pub fn read(&self) -> Result<Cow<'_, [u8]>> {
        match self.in_memory() {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => {
                let bytes = std::fs::read(&self.path).map_err(|e| self.unreadable(e))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Its content, as long as it is no more than `max_bytes`.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is larger, as the file of
    /// `what` cannot be.
    #[cfg(feature = "speech")]
    pub(crate) fn read_at_most(&self, max_bytes: u64, what: &str) -> Result<Cow<'_, [u8]>> {
        let size = self.size_bytes()?;
        if size > max_bytes {
            let what = format!("{size} bytes, {what} has at most {max_bytes}");
            return Err(Error::model(&self.path, what));
        }
        self.read()
    }

    /// Its content as UTF-8 text.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it cannot be read, [`Error::Model`] when it is not such text.
    pub fn text(&self) -> Result<String> {
        String::from_utf8(self.read()?.into_owned()).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Error::model(&self.path, format!("not UTF-8 text (byte {at})"))
        })
    }

    /// The content of a file in memory.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        let (members, name) = self.packed.as_ref()?;
        members.get(name).map(|bytes| &**bytes)
    }

    /// The files of weights beside a graph in memory, by the names that the graph may call them.
    pub(crate) fn weights(&self) -> Vec<(String, Arc<[u8]>)> {
        let Some((members, name)) = &self.packed else {
            return Vec::new();
        };
        let folder = name.rfind('/').map_or("", |at| &name[..=at]);
        let beside = members.iter().filter_map(|(member, bytes)| {
            let file = member.strip_prefix(folder)?;
            let is = !file.contains('/') && is_weights(file);
            is.then(|| (file.to_string(), Arc::clone(bytes)))
        });
        beside.collect()
    }

    /// The files of weights beside a graph on disk, in order of name.
    pub(crate) fn weights_beside(&self) -> Vec<PathBuf> {
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let entries = folder.read_dir().into_iter().flatten().flatten();
        let names = entries.filter(|entry| is_weights(&entry.file_name().to_string_lossy()));
        let mut paths: Vec<_> = names.map(|entry| entry.path()).collect();
        paths.retain(|path| path.is_file());
        paths.sort();
        paths
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::ModelFile {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "speech")]
    fn a_file_alone_keeps_no_weights_in_memory() {
        let weights: Arc<[u8]> = vec![1; 10].into();
        let members = BTreeMap::from([
            ("graphs/a.onnx".to_string(), Arc::from(&b"graph"[..])),
            ("graphs/a.onnx.data".to_string(), Arc::clone(&weights)),
        ]);
        let members = Arc::new(members);
        let graph = ModelFile::packed(Path::new("b"), &members, "graphs/a.onnx").unwrap();
        assert_eq!(graph.weights().len(), 1);
        let alone = graph.alone();
        drop((graph, members));
        assert_eq!(alone.read().unwrap(), &b"graph"[..]);
        assert_eq!(Arc::strong_count(&weights), 1);
        assert!(alone.weights().is_empty());
    }
}
