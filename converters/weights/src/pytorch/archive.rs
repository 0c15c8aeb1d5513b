//! The zip container: `NAME/data.pkl`, `NAME/data/KEY` for each storage, `NAME/byteorder`.

use std::io::{Cursor, Read};
use std::path::Path;

use bytes::Bytes;
use zip::read::{ArchiveOffset, Config};
use zip::result::{ZipError, ZipResult};
use zip::{CompressionMethod, ZipArchive};

use super::{BIG_ENDIAN, Content};
use crate::{Error, pickle};

/// What every zip archive starts with.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// An archive and where its members are.
pub(super) struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<Cursor<&'a Bytes>>,
    size_bytes: usize,
    members: Vec<Member>,
}

struct Member {
    name: String,
    /// `None` where they are compressed or encrypted.
    bytes: Option<Bytes>,
}

impl<'a> Archive<'a> {
    pub fn open(path: &'a Path, bytes: &'a Bytes) -> Result<Self, Error> {
        let damaged = |source| Error::Archive {
            path: path.into(),
            size_bytes: bytes.len(),
            source,
        };
        // The file is the archive. Where it would begin is else guessed, and wrongly for some of
        // PyTorch's, which have a zip64 record although nothing needs it: where the first header is as
        // long as it.
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let mut zip = ZipArchive::with_config(config, Cursor::new(bytes)).map_err(damaged)?;
        let members = members(&mut zip, bytes).map_err(damaged)?;
        Ok(Self {
            path,
            zip,
            size_bytes: bytes.len(),
            members,
        })
    }

    /// The member of this name as it lies in the file; `None` where there is none, or one that has to
    /// be unpacked.
    pub fn stored(&self, name: &str) -> Option<Bytes> {
        self.members.iter().find(|m| m.name == name)?.bytes.clone()
    }

    /// The member of this name, unpacked where that is needed, of at most so many bytes; `None` where
    /// there is none.
    pub fn member(&mut self, name: &str, limit: usize) -> Result<Option<Bytes>, Error> {
        let Some(index) = self.members.iter().position(|m| m.name == name) else {
            return Ok(None);
        };
        let too_long = || Error::Limit {
            path: self.path.into(),
            what: "bytes in a member of its archive",
            limit,
        };
        if let Some(bytes) = &self.members[index].bytes {
            return match bytes.len() <= limit {
                true => Ok(Some(bytes.clone())),
                false => Err(too_long()),
            };
        }
        let mut bytes = Vec::new();
        let read = self.zip.by_index(index).and_then(|member| {
            let mut member = member.take(limit as u64 + 1);
            Ok(member.read_to_end(&mut bytes)?)
        });
        match read {
            Ok(..) if bytes.len() > limit => Err(too_long()),
            Ok(..) => Ok(Some(bytes.into())),
            Err(source) => Err(Error::Archive {
                path: self.path.into(),
                size_bytes: self.size_bytes,
                source,
            }),
        }
    }

    /// The checkpoint that `torch.save` has put together.
    pub fn content(&self) -> Result<Content, Error> {
        content(self.path, &self.members)
    }
}

fn content(path: &Path, members: &[Member]) -> Result<Content, Error> {
    let not = |what, next| Error::NotCheckpoint {
        path: path.into(),
        what,
        next,
    };

    // Everything is in one folder, called as the file was when it was saved.
    let folders = members.iter().map(|m| m.name.strip_suffix("data.pkl"));
    let Some(folder) = folders.flatten().find(|f| f.is_empty() || f.ends_with('/')) else {
        return Err(not(
            "a zip archive, but not of torch.save (it has no data.pkl)",
            "unpack it and name the checkpoint inside",
        ));
    };
    let find = |name: &str| {
        let mut inside = members.iter();
        inside.find(|m| m.name.strip_prefix(folder) == Some(name))
    };
    let code = |m: &Member| {
        let name = m.name.strip_prefix(folder);
        name.is_some_and(|n| n.starts_with("code/"))
    };
    if find("constants.pkl").is_some() || members.iter().any(code) {
        return Err(not(
            "a TorchScript program",
            "save its weights alone: torch.save(torch.jit.load(f).state_dict(), g)",
        ));
    }
    let compressed = || {
        not(
            "a PyTorch file that was packed again with compression",
            "unpack it and pack it without: zip -0 -r model.pt FOLDER",
        )
    };
    let order = find("byteorder").and_then(|m| m.bytes.as_deref());
    if order.is_some_and(|order| order.starts_with(b"big")) {
        return Err(not(BIG_ENDIAN.0, BIG_ENDIAN.1));
    }

    let storages = members.iter().filter_map(|m| {
        let key = m.name.strip_prefix(folder)?.strip_prefix("data/")?;
        Some((key.to_owned(), m.bytes.clone()))
    });
    let storages: Option<_> = storages.map(|(key, bytes)| Some((key, bytes?))).collect();
    let data = find("data.pkl").and_then(|m| m.bytes.as_ref());
    let (Some(storages), Some(data)) = (storages, data) else {
        return Err(compressed());
    };
    let (pickle, _) = pickle::read(data).map_err(|fault| fault.in_file(path))?;
    Ok(Content { pickle, storages })
}

/// Every file in the archive, in the order of its directory. Checksums are not compared: PyTorch can
/// be told to leave them out, and it would mean to read the whole file.
fn members(zip: &mut ZipArchive<Cursor<&Bytes>>, bytes: &Bytes) -> ZipResult<Vec<Member>> {
    (0..zip.len())
        .map(|index| {
            let file = zip.by_index_raw(index)?;
            let stored = file.compression() == CompressionMethod::Stored && !file.encrypted();
            let begin = usize::try_from(file.data_start().unwrap_or(u64::MAX)).ok();
            let size = usize::try_from(file.compressed_size()).ok();
            let range = begin.zip(size).and_then(|(begin, size)| {
                let end = begin.checked_add(size)?;
                (end <= bytes.len()).then_some(begin..end)
            });
            let range = range.ok_or(ZipError::InvalidArchive(
                "a member reaches beyond the end of the file".into(),
            ))?;
            Ok(Member {
                name: String::from_utf8_lossy(file.name_raw()).into_owned(),
                bytes: stored.then(|| bytes.slice(range)),
            })
        })
        .collect()
}
