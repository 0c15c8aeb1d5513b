//! The cache of TensorRT's engines: building one takes minutes, loading it seconds.
//!
//! An engine fits one graph, one kind of GPU and one version of everything that made it. Each such set has a folder of its
//! own, named by a SHA-256 of all of them, with engines and timing cache:
//!
//! ```text
//! CACHE/tensorrt/<64 hex digits>/   *.engine *.profile *.timing, and `used`, whose time says when it was used last
//! ```
//!
//! `CACHE` is `BEVEL_CACHE_DIR`, else `XDG_CACHE_HOME/bevel`, else `~/.cache/bevel`. Nothing is made there
//! before a graph is loaded on TensorRT. Folders that were not used for the longest time go first when there
//! are more than 16 of them, or 8 GiB.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::bundle::ModelFile;
use crate::device::Registration;
use crate::error::{Error, Result};
use crate::library::Runtime;
use crate::pipeline::Options;
use crate::session::Session;

/// Folders that are kept.
const MAX_FOLDERS: usize = 16;
/// Bytes that all of them may have.
const MAX_BYTES: u64 = 8 << 30;
/// The file whose time says when a folder was used last.
const USED: &str = "used";

/// Larger graphs have their weights inside and are not searched for names of files.
const MAX_OUTLINE_BYTES: u64 = 64 << 20;

/// Where Bevel keeps what it can make again: `BEVEL_CACHE_DIR`, else `XDG_CACHE_HOME/bevel`, else
/// `~/.cache/bevel`. It is not made here.
///
/// # Errors
/// [`Error::Input`] when none of the variables is set.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    cache_dir_of(set("BEVEL_CACHE_DIR"), set("XDG_CACHE_HOME"), set("HOME"))
}

fn cache_dir_of(
    own: Option<std::ffi::OsString>,
    xdg: Option<std::ffi::OsString>,
    home: Option<std::ffi::OsString>,
) -> Result<PathBuf> {
    let xdg = || xdg.map(|folder| PathBuf::from(folder).join("bevel"));
    let home = || home.map(|folder| PathBuf::from(folder).join(".cache/bevel"));
    let found = own.map(PathBuf::from).or_else(xdg).or_else(home);
    found.ok_or_else(|| {
        let what = "no folder for engines: set BEVEL_CACHE_DIR, or ask for cache=DIR or cache=off";
        Error::Input(what.into())
    })
}

/// The folder of one graph's engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engines {
    folder: PathBuf,
}

/// What an engine is made for, but for its graph.
pub(super) struct Maker<'m> {
    /// Versions of ONNX Runtime and TensorRT.
    pub(super) versions: &'m str,
    /// Model of the GPU and version of its driver.
    pub(super) gpu: &'m str,
    /// Keys and values that the provider is told.
    pub(super) options: &'m [(String, String)],
}

impl Engines {
    /// Where the engines of a graph are or will be on the first device of `options` that can be had, without
    /// building them; nothing on a device that keeps none.
    ///
    /// # Errors
    /// [`Error::Device`] when none of the devices can be had; those of
    /// [`Session::load`](crate::Session::load).
    pub fn of(graph: &ModelFile, options: &Options) -> Result<Option<Self>> {
        let runtime = Runtime::get()?;
        let mut refused: Option<Error> = None;
        for device in options.devices.iter() {
            match device.check() {
                Ok(()) => {
                    let inputs = || Session::outline(runtime, graph);
                    let registration = Registration::new(runtime, device, graph, inputs)?;
                    return Ok(registration.engines().cloned());
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        refused.map_or(Ok(None), Err)
    }

    /// The folder for a graph in a cache, which is made, and marked as used now. Folders that were not used
    /// for long go.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when the graph cannot be read, [`Error::Device`] when the folder cannot be made.
    pub(super) fn open(cache: &Path, graph: &ModelFile, maker: &Maker<'_>) -> Result<Self> {
        let folder = cache.join(key(graph, maker)?);
        let made = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(USED), ""));
        made.map_err(|e| {
            let folder = folder.display();
            Error::Device(format!(
                "engines cannot be kept in {folder}: {e}; set BEVEL_CACHE_DIR to a folder that can be \
                 written, or ask for cache=off"
            ))
        })?;
        evict(cache, &folder, MAX_FOLDERS, MAX_BYTES);
        Ok(Self { folder })
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many engines there are so far, and their bytes.
    pub fn count(&self) -> (usize, u64) {
        let files = files(&self.folder);
        let engines = files
            .iter()
            .filter(|(path, _)| path.extension().is_some_and(|e| e == "engine"));
        engines.fold((0, 0), |(n, sum), (_, size)| (n + 1, sum + size))
    }
}

/// A SHA-256 of the graph, its weights beside it, and what makes engines of it.
fn key(graph: &ModelFile, maker: &Maker<'_>) -> Result<String> {
    let mut hash = Sha256::new();
    let mut part = |name: &str, text: &str| {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    part("versions", maker.versions);
    part("gpu", maker.gpu);
    for (name, value) in maker.options {
        part(name, value);
    }
    graph.digest(&mut hash)?;
    Ok(hex(&hash.finalize()))
}

impl ModelFile {
    /// Feeds the graph and the weights beside it.
    fn digest(&self, hash: &mut Sha256) -> Result<()> {
        if let Some(bytes) = self.in_memory() {
            hash.update(bytes);
            for (name, bytes) in self.weights() {
                hash.update(name);
                hash.update(bytes);
            }
            return Ok(());
        }
        let unreadable = |source| Error::ModelFile {
            path: self.path().to_path_buf(),
            source,
        };
        feed(hash, self.path()).map_err(unreadable)?;
        let mut beside = self.weights_beside();
        if !beside.is_empty() && self.size_bytes()? <= MAX_OUTLINE_BYTES {
            // Of a checkpoint in the same folder the graph says nothing.
            let graph = self.read()?;
            let named = |name: &[u8]| graph.windows(name.len()).any(|part| part == name);
            beside.retain(|path| {
                path.file_name()
                    .is_some_and(|n| named(n.as_encoded_bytes()))
            });
        }
        for weights in beside {
            hash.update(weights.file_name().unwrap_or_default().as_encoded_bytes());
            feed(hash, &weights).map_err(unreadable)?;
        }
        Ok(())
    }
}

fn feed(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes the folders of engines that were used longest ago, as far as there are too many. What cannot be
/// removed stays: the next time comes.
fn evict(cache: &Path, keep: &Path, max_folders: usize, max_bytes: u64) {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let ours = |name: &str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
            name.to_str().is_some_and(ours) && entry.file_type().is_ok_and(|kind| kind.is_dir())
        })
        .map(|entry| {
            let path = entry.path();
            let used = fs::metadata(path.join(USED)).and_then(|m| m.modified());
            (used.unwrap_or(SystemTime::UNIX_EPOCH), path)
        })
        .collect();
    // Latest first, and what is asked for now before all others.
    folders.sort_by(|a, b| (b.1 == keep).cmp(&(a.1 == keep)).then(b.cmp(a)));
    let mut sum = 0;
    for (place, (_, folder)) in folders.iter().enumerate() {
        sum += files(folder).iter().map(|(_, size)| size).sum::<u64>();
        if folder != keep && (place >= max_folders || sum > max_bytes) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Files of a folder with their sizes.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())));
    files.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_variable_that_is_set_counts() {
        struct Case {
            name: &'static str,
            set: [Option<&'static str>; 3],
            folder: &'static str,
        }
        let cases = [
            Case {
                name: "own",
                set: [Some("/c"), Some("/x"), Some("/h")],
                folder: "/c",
            },
            Case {
                name: "xdg",
                set: [None, Some("/x"), Some("/h")],
                folder: "/x/bevel",
            },
            Case {
                name: "home",
                set: [None, None, Some("/h")],
                folder: "/h/.cache/bevel",
            },
        ];
        for case in cases {
            let [own, xdg, home] = case.set.map(|set| set.map(Into::into));
            let folder = cache_dir_of(own, xdg, home).unwrap();
            assert_eq!(folder, Path::new(case.folder), "{}", case.name);
        }
        let error = cache_dir_of(None, None, None).unwrap_err();
        assert!(error.to_string().contains("BEVEL_CACHE_DIR"), "{error}");
    }

    #[test]
    fn a_key_changes_with_each_thing_an_engine_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let graph = folder.path().join("g.onnx");
        fs::write(&graph, "graph").unwrap();
        let file = || ModelFile::from(graph.as_path());
        let fp16 = [("trt_fp16_enable".to_string(), "1".to_string())];
        let key_of = |versions: &str, gpu: &str, options: &[(String, String)]| {
            let maker = Maker {
                versions,
                gpu,
                options,
            };
            key(&file(), &maker).unwrap()
        };
        let mut keys = vec![
            key_of("1.28.0; 10.1", "A", &[]),
            key_of("1.28.0; 10.2", "A", &[]),
            key_of("1.28.0; 10.1", "B", &[]),
            key_of("1.28.0; 10.1", "A", &fp16),
        ];
        assert_eq!(keys[0], key_of("1.28.0; 10.1", "A", &[]), "stable");
        // Weights beside the graph, then the graph itself.
        fs::write(folder.path().join("g.onnx.data"), "weights").unwrap();
        fs::write(folder.path().join("pytorch_model.bin"), "of no graph").unwrap();
        assert_eq!(keys[0], key_of("1.28.0; 10.1", "A", &[]), "not named");
        fs::write(&graph, "graph g.onnx.data, w.bin").unwrap();
        keys.push(key_of("1.28.0; 10.1", "A", &[]));
        fs::write(folder.path().join("w.bin"), "weights").unwrap();
        keys.push(key_of("1.28.0; 10.1", "A", &[]));
        fs::write(folder.path().join("w.bin"), "trained again").unwrap();
        keys.push(key_of("1.28.0; 10.1", "A", &[]));
        fs::write(&graph, "another").unwrap();
        keys.push(key_of("1.28.0; 10.1", "A", &[]));
        assert!(keys.iter().all(|k| k.len() == 64));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
        // sha256 of "abc", FIPS 180-4.
        let abc = hex(&Sha256::digest("abc"));
        assert!(abc.starts_with("ba7816bf8f01cfea414140de5dae2223b00361a3"));
    }

    #[test]
    fn what_was_used_longest_ago_goes() {
        let cache = tempfile::tempdir().unwrap();
        let name = |i: usize| cache.path().join(format!("{i:064x}"));
        for i in 0..5 {
            fs::create_dir(name(i)).unwrap();
            fs::write(name(i).join("x.engine"), vec![0; 10]).unwrap();
            let used = File::create(name(i).join(USED)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + i as u64);
            used.set_modified(time).unwrap();
        }
        // What is not ours stays whatever happens.
        let other = cache.path().join("notes");
        fs::create_dir(&other).unwrap();
        let left = || (0..5).filter(|i| name(*i).exists()).collect::<Vec<_>>();
        evict(cache.path(), &name(0), 3, 1000);
        assert_eq!(left(), [0, 3, 4], "folders");
        evict(cache.path(), &name(0), 3, 20);
        assert_eq!(left(), [0, 4], "bytes");
        evict(cache.path(), &name(0), 0, 0);
        assert_eq!(left(), [0], "what is asked for stays");
        assert!(other.exists());
    }

    #[test]
    fn engines_are_counted_and_the_folder_is_made_once() {
        let cache = tempfile::tempdir().unwrap();
        let graph = cache.path().join("g.onnx");
        fs::write(&graph, "graph").unwrap();
        let maker = Maker {
            versions: "1.28.0",
            gpu: "A",
            options: &[],
        };
        let cache = cache.path().join("tensorrt");
        let open = || Engines::open(&cache, &graph.as_path().into(), &maker).unwrap();
        let engines = open();
        assert_eq!(engines.count(), (0, 0));
        fs::write(engines.folder().join("a.engine"), "12345").unwrap();
        fs::write(engines.folder().join("a.timing"), "1").unwrap();
        assert_eq!(open(), engines);
        assert_eq!(engines.count(), (1, 5));
        // A cache that cannot be written is told, with a way out.
        let error = Engines::open(&graph, &graph.as_path().into(), &maker).unwrap_err();
        assert!(error.to_string().contains("cache=off"), "{error}");
    }
}
