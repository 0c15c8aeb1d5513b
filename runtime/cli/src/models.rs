//! `bevel models`: the catalogue, fetched by the ordinary clients (pip, curl) and checked here.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel_manifest::{ErrorKind, FILE_NAME, Manifest, Recipe};

use crate::args::{ModelsArgs, ModelsCommand};
use crate::catalog::{self, ENTRIES, Entry, RECIPE_FILE};
use crate::failure::fail;
use crate::fetch::fetch;
use crate::show::table;
use crate::verify::entry;

/// Lists or pulls.
pub fn models(args: &ModelsArgs) -> anyhow::Result<()> {
    match &args.command {
        None | Some(ModelsCommand::List) => list(),
        Some(ModelsCommand::Pull { names, from }) => pull_all(names, from),
    }
}

fn list() -> anyhow::Result<()> {
    let folder = catalog::folder()?;
    let head = ["name", "task", "licence", "", "homepage"]
        .map(String::from)
        .to_vec();
    let mut rows = vec![head];
    for entry in &ENTRIES {
        let recipe = entry.recipe()?;
        let here = folder.join(&recipe.name).join(RECIPE_FILE).is_file();
        let state = match (here, recipe.checkpoint.is_some()) {
            (false, _) => "",
            (true, false) => "pulled",
            (true, true) => "pulled, to convert",
        };
        rows.push(vec![
            recipe.name,
            recipe.task.to_string(),
            recipe.license,
            state.into(),
            recipe.homepage,
        ]);
    }
    print!("{}", table(&rows));
    Ok(())
}

/// Pulls each model; one that cannot be had does not keep the others from being pulled.
fn pull_all(names: &[String], from: &[PathBuf]) -> anyhow::Result<()> {
    let mut wanted = Vec::new();
    for entry in &ENTRIES {
        let recipe = entry.recipe()?;
        if names.is_empty() || names.contains(&recipe.name) {
            wanted.push((recipe, entry));
        }
    }
    if let Some(name) = names
        .iter()
        .find(|n| wanted.iter().all(|(r, _)| r.name != **n))
    {
        let text = format!("no model `{name}`; see `bevel models list`");
        return Err(fail(ErrorKind::Input, text));
    }
    let mut failed = Vec::new();
    for (recipe, entry) in &wanted {
        if let Err(error) = pull(recipe, entry, from) {
            crate::failure::print(&error.context(format!("cannot pull {}", recipe.name)));
            failed.push(recipe.name.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(fail(
        ErrorKind::Input,
        format!("not pulled: {}", failed.join(", ")),
    ))
}

/// Fetches into a folder beside the final one and renames it when everything is there, so an
/// interrupted pull leaves nothing that looks complete.
fn pull(recipe: &Recipe, entry: &Entry, from: &[PathBuf]) -> anyhow::Result<()> {
    let models = catalog::folder()?;
    let done = models.join(&recipe.name);
    let current = std::fs::read_to_string(done.join(RECIPE_FILE));
    if current.is_ok_and(|text| text == entry.text) {
        println!("{} is here: {}", recipe.name, done.display());
        return Ok(());
    }
    let partial = models.join(format!(".{}.partial", recipe.name));
    resume(&partial, entry.text)
        .with_context(|| format!("cannot prepare {}", partial.display()))?;
    fetch(recipe, &partial, from)?;
    for (name, content) in entry.beside {
        std::fs::write(partial.join(name), content)?;
    }
    if recipe.checkpoint.is_none() {
        // Graphs that run as they are: with a bundle.toml the folder is a bundle.
        std::fs::write(
            partial.join(FILE_NAME),
            manifest(recipe, &partial)?.to_toml()?,
        )?;
    }
    std::fs::write(partial.join(RECIPE_FILE), entry.text)?;
    std::fs::remove_file(partial.join(RESUME_FILE))?;
    if done.exists() {
        std::fs::remove_dir_all(&done)?;
    }
    std::fs::rename(&partial, &done)?;
    println!("pulled {} to {}", recipe.name, done.display());
    Ok(())
}

/// The recipe that an unfinished pull was made for.
const RESUME_FILE: &str = "unfinished.toml";

/// Keeps what an interrupted pull of the same recipe left; clears away anything else.
fn resume(partial: &Path, recipe: &str) -> io::Result<()> {
    let marker = partial.join(RESUME_FILE);
    if std::fs::read_to_string(&marker).is_ok_and(|text| text == recipe) {
        return Ok(());
    }
    if partial.exists() {
        std::fs::remove_dir_all(partial)?;
    }
    std::fs::create_dir_all(partial)?;
    std::fs::write(marker, recipe)
}

/// The recipe's manifest with size and hash of each file that was fetched.
fn manifest(recipe: &Recipe, folder: &Path) -> anyhow::Result<Manifest> {
    let mut manifest = recipe.manifest()?;
    let entry = |name: &str| entry(name, &folder.join(name).as_path().into());
    manifest.files = manifest
        .paths()
        .into_iter()
        .map(entry)
        .collect::<anyhow::Result<_>>()?;
    if let Some(from) = &mut manifest.provenance {
        from.tool = concat!("bevel ", env!("CARGO_PKG_VERSION")).into();
    }
    Ok(manifest)
}
