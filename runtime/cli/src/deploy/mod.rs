//! `bevel deploy`: a model with everything it needs on a board, as a folder, an archive or a package.
//!
//! ```text
//! NAME/run.sh                 what is started; sets threads, devices and limits of the board
//!      bin/bevel              the program for the board
//!      lib/                   ONNX Runtime and its licences
//!      model.bevel/           the bundle with the one variant that suits the board
//!      target.toml            the board's profile
//!      self-test.safetensors  an input and what the model answered here
//!      systemd/               units
//!      README.txt             for the person at the board
//!      SHA256SUMS             of every other file
//! ```

mod archive;
mod deb;
mod devices;
mod model;
mod name;
mod parts;
mod recorded;
pub mod remote;
mod staged;
mod text;

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel::verify::Tolerance;
use bevel::{Bundle, Devices, Options};
use bevel_manifest::{ErrorKind, Target};
use serde::Serialize;

use crate::args::{DeployArgs, LimitArgs};
use crate::failure::fail;
use crate::show::table;
use crate::{disk, open, targets, verify, whole};
use model::Chosen;
use parts::Part;
use staged::{Entry, Staged};
use text::{Facts, Service};

const MODEL: &str = "model.bevel";
const RECORDING: &str = "self-test.safetensors";

/// The library's own name for itself, so that no link is needed, which not every copy keeps.
const LIBRARY: &str = "lib/libonnxruntime.so.1";

/// What came about.
#[derive(Serialize)]
struct Report {
    name: String,
    model: String,
    task: &'static str,
    target: String,
    variant: Chosen,
    /// What the self-test answers for.
    self_test: String,
    unit: String,
    files: Vec<Line>,
    /// Folders, archives and packages.
    written: Vec<PathBuf>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    path: String,
    size_bytes: u64,
}

/// One thing to write.
enum Output {
    Folder(PathBuf),
    TarZst(PathBuf),
    Deb(PathBuf),
}

impl Output {
    fn of(path: &Path) -> Self {
        let path = path.to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match () {
            () if name.ends_with(".tar.zst") => Self::TarZst(path),
            () if name.ends_with(".deb") => Self::Deb(path),
            () => Self::Folder(path),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::TarZst(path) | Self::Deb(path) => path,
        }
    }
}

/// Writes the deployment, and copies and starts it where that is asked for.
pub fn deploy(args: &DeployArgs) -> anyhow::Result<()> {
    let target = targets::find(&args.target)?;
    let devices = devices::of(&target)?;
    let outputs: Vec<_> = args.output.iter().map(|path| Output::of(path)).collect();
    if outputs.is_empty() && args.ssh.is_none() {
        let what = "give -o DIR, NAME.tar.zst or NAME.deb, or --ssh HOST";
        return Err(fail(ErrorKind::Input, what));
    }
    for output in &outputs {
        if let Output::Folder(path) = output {
            staged::may_replace(path)?;
        }
    }
    let bundle = open::bundle(&args.bundle, None)?;
    let name = name::name(args.name.as_deref(), &bundle.manifest().name)?;
    let chosen = model::choose(bundle.manifest(), &target, args.variant.as_deref())?;
    let program = parts::program(args.program.as_deref(), &target, &devices)?;
    let library = parts::library(args.onnxruntime.as_deref(), &target)?;
    let parent = match outputs.first().map(|output| output.path().parent()) {
        Some(parent) => parent.unwrap_or(Path::new("")).to_owned(),
        None => std::env::temp_dir(),
    };
    let staged = Staged::new(&parent, needed(&bundle, &chosen, [&program, &library])?)?;
    let mut made = fill(
        &staged,
        args,
        (&target, &devices),
        &bundle,
        &name,
        chosen,
        (&program, &library),
    )?;
    let entries = staged.finish()?;
    let lines = entries.iter().map(|entry| Line {
        path: entry.path.clone(),
        size_bytes: entry.size_bytes,
    });
    made.files = lines.collect();
    write(
        staged, &entries, outputs, args, &target, &program, &mut made,
    )?;
    match args.json {
        true => println!("{}", serde_json::to_string(&made)?),
        false => print(&made, args),
    }
    Ok(())
}

/// Bytes that the folder takes, and an archive of it beside it at most.
fn needed(bundle: &Bundle, chosen: &Chosen, parts: [&Part; 2]) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for graph in bundle.graphs(Some(&chosen.name))?.values() {
        bytes += crate::info::size_bytes(graph)?;
    }
    for part in parts {
        bytes += part.path.metadata().map_or(0, |data| data.len());
    }
    Ok(bytes * 2)
}

/// Puts everything in the folder but the hashes.
fn fill(
    staged: &Staged,
    args: &DeployArgs,
    (target, devices): (&Target, &Devices),
    bundle: &Bundle,
    name: &str,
    chosen: Chosen,
    (program, library): (&Part, &Part),
) -> anyhow::Result<Report> {
    let mut notes = Vec::new();
    staged.copy(&program.path, "bin/bevel", true)?;
    staged.copy(&library.path, LIBRARY, false)?;
    let beside = parts::beside(&library.path, target, devices)?;
    for path in &beside {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        staged.copy(path, &format!("lib/{file}"), false)?;
    }
    if !beside.iter().any(|path| path.ends_with("LICENSE")) {
        let what = "no LICENSE beside ONNX Runtime; put it in lib/ before you pass this on";
        notes.push(what.into());
    }
    let folder = staged.path().join(MODEL);
    let manifest = model::write(bundle, &chosen.name, &folder)?;
    let bundle = Bundle::load(&folder)?;
    open::runtime(&LimitArgs::default())?;
    let recorded = recorded::record(&bundle, args.sample.as_deref())?;
    staged.write(RECORDING, &recorded.safetensors, false)?;
    // What does not even pass here would be called broken there.
    let recording = verify::read(&staged.path().join(RECORDING))?;
    let verified = verify::recorded(
        &bundle,
        None,
        &recording,
        &Options::default(),
        Tolerance::DEVICE,
    )?;
    if let Some(what) = verify::breaches(&verified, Tolerance::DEVICE) {
        let what =
            format!("the model answers differently each time: {what}; --sample another input");
        return Err(fail(ErrorKind::Quality, what));
    }
    staged.write("target.toml", target.to_toml()?.as_bytes(), false)?;
    let hears = program
        .elf
        .libraries
        .iter()
        .any(|l| l.starts_with("libasound."));
    let service = Service::of(manifest.task, hears);
    if manifest.task == bevel::TaskName::Transcribe && !hears {
        let what = "the program is built without the feature `microphone`: the service answers for \
                    recordings on a socket";
        notes.push(what.into());
    }
    let facts = Facts {
        name,
        target,
        devices,
        manifest: &manifest,
        chosen: &chosen,
        service,
    };
    for (path, text, is_program) in text::files(&facts) {
        staged.write(&path, text.as_bytes(), is_program)?;
    }
    Ok(Report {
        name: name.to_owned(),
        model: manifest.name.clone(),
        task: manifest.task.name(),
        target: target.name.clone(),
        variant: chosen,
        self_test: recorded.input,
        unit: service.unit(name),
        files: Vec::new(),
        written: Vec::new(),
        notes,
    })
}

/// Archives first and another machine, then the folder itself.
fn write(
    staged: Staged,
    entries: &[Entry],
    outputs: Vec<Output>,
    args: &DeployArgs,
    target: &Target,
    program: &Part,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut folders = Vec::new();
    for output in outputs {
        let path = match output {
            Output::Folder(path) => {
                folders.push(path);
                continue;
            }
            Output::TarZst(ref path) | Output::Deb(ref path) => path,
        };
        let bare = report.name.clone();
        let what = format!("{} ({}) for {}", report.model, report.task, target.board);
        let about = deb::About {
            name: &bare,
            target,
            what: &text::line(&what),
            libraries: &program.elf.libraries,
            unit: &report.unit,
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| model::cannot(parent))?;
        }
        let written = whole::write_with(path, |file| {
            let file = BufWriter::with_capacity(1 << 20, file);
            match output {
                Output::Deb(_) => deb::write(file, staged.path(), entries, &about),
                _ => archive::tar_zst(file, staged.path(), &bare, entries),
            }
        });
        written.with_context(|| model::cannot(path))?;
        report.written.push(path.clone());
    }
    if let Some(host) = &args.ssh {
        host.copy(staged.path(), &report.name, entries)?;
        if args.start {
            host.start(&report.name)?;
        }
    }
    // The last folder gets the files themselves, the others copies.
    let last = folders.pop();
    for folder in folders {
        let parent = folder.parent().unwrap_or(Path::new(""));
        let copy = Staged::new(parent, entries.iter().map(|entry| entry.size_bytes).sum())?;
        for entry in entries {
            copy.copy(&staged.path().join(&entry.path), &entry.path, entry.program)?;
        }
        copy.rename(&folder)?;
        report.written.push(folder);
    }
    if let Some(last) = last {
        staged.rename(&last)?;
        report.written.push(last);
    }
    Ok(())
}

fn print(report: &Report, args: &DeployArgs) {
    println!(
        "{} ({}, {}: {}) for {}",
        report.model, report.task, report.variant.name, report.variant.why, report.target
    );
    let sum = |start: &str| {
        let files = report
            .files
            .iter()
            .filter(|file| file.path.starts_with(start));
        disk::text(files.map(|file| file.size_bytes).sum())
    };
    let row = |name: &str, size: String, what: &str| vec![name.into(), size, what.into()];
    print!(
        "{}",
        table(&[
            row("bin/bevel", sum("bin/"), ""),
            row("lib", sum("lib/"), "ONNX Runtime"),
            row(MODEL, sum(MODEL), ""),
            row("self-test", sum(RECORDING), &report.self_test),
            row("all", sum(""), ""),
        ])
    );
    for path in &report.written {
        println!("  written: {}", path.display());
    }
    for note in &report.notes {
        println!("  note: {note}");
    }
    match (&args.ssh, args.start) {
        (Some(_), true) => println!("  copied, self-test passed, {} runs", report.unit),
        (Some(_), false) => println!("  copied, self-test passed; --start runs it as a service"),
        _ => println!("  next: copy it to the board, then ./run.sh self-test"),
    }
}
