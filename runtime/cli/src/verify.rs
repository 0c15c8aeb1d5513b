//! `bevel verify`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use bevel::verify::{self, Compared, LEAST_IOU, Recording, Tolerance, Verified};
use bevel::{Bundle, ModelFile, Options};
use bevel_manifest::{Decode, ErrorKind, FileEntry};
use serde::Serialize;

use crate::args::VerifyArgs;
use crate::failure::fail;
use crate::open;
use crate::show::table;

#[derive(Serialize)]
struct Report {
    files: usize,
    #[serde(flatten)]
    verified: Option<Verified>,
    ok: bool,
}

/// Compares the hashes of a bundle's files, then with `--io` its answers.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let plain = args.model.is_file();
    let bundle = if plain {
        None
    } else {
        Some(open::bundle(&args.model, None)?)
    };
    let mut report = Report {
        files: 0,
        verified: None,
        ok: true,
    };
    if let Some(bundle) = &bundle {
        report.files = check_hashes(bundle)?;
    }
    if let Some(io) = &args.io {
        open::runtime(&args.limits)?;
        let verified = compare(args, bundle.as_ref(), io)?;
        report.ok = verified.outputs.iter().all(|o| o.ok);
        report.verified = Some(verified);
    } else if plain {
        return Err(fail(
            ErrorKind::Input,
            "a plain model has no hashes to check; give --io FILE",
        ));
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    match report.verified.and_then(|v| breaches(&v, tolerance(args))) {
        None => Ok(()),
        Some(what) => Err(fail(ErrorKind::Quality, what)),
    }
}

fn tolerance(args: &VerifyArgs) -> Tolerance {
    match args.other_machine {
        true => Tolerance::DEVICE,
        false => Tolerance {
            atol: args.atol,
            rtol: args.rtol,
            ..Tolerance::EXACT
        },
    }
}

/// What is outside the tolerance; `None` when nothing is.
pub fn breaches(verified: &Verified, tolerance: Tolerance) -> Option<String> {
    let Tolerance { atol, rtol, .. } = tolerance;
    let breached = |o: &Compared| match (o.iou, o.cosine, tolerance.cosine) {
        (Some(iou), ..) => format!("{} (worst IoU {iou:.4}, expected {LEAST_IOU})", o.name),
        (_, Some(found), Some(least)) if found >= least => {
            format!("{} (another top-1, cosine {found:.5})", o.name)
        }
        (_, Some(found), Some(least)) => {
            format!("{} (cosine {found:.5}, expected {least})", o.name)
        }
        _ => format!("{} (by {:.2e})", o.name, o.max_abs),
    };
    let outputs = verified.outputs.iter().filter(|o| !o.ok);
    let names: Vec<_> = outputs.map(breached).collect();
    (!names.is_empty()).then(|| match tolerance.cosine {
        Some(_) => format!("not what was recorded: {}", names.join(", ")),
        None => format!("outside {atol} + {rtol}·|b|: {}", names.join(", ")),
    })
}

/// Reads every file of the bundle and compares its SHA-256. Returns how many there are.
fn check_hashes(bundle: &Bundle) -> anyhow::Result<usize> {
    let files = &bundle.manifest().files;
    for file in files {
        let content = bundle.file(&file.path)?;
        let found = entry(&file.path, content)?.sha256;
        if found != file.sha256 {
            return Err(fail(
                ErrorKind::Model,
                format!(
                    "{}: SHA-256 {found}, bundle.toml says {}; copy it again",
                    content.path().display(),
                    file.sha256
                ),
            ));
        }
    }
    Ok(files.len())
}

/// Size and SHA-256 of a file of a model, under the name it has in a bundle.
pub fn entry(name: &str, file: &ModelFile) -> anyhow::Result<FileEntry> {
    let unreadable = |source| bevel::Error::ModelFile {
        path: file.path().to_path_buf(),
        source,
    };
    Ok(FileEntry::of(name, file.open()?).map_err(unreadable)?)
}

/// Runs the graphs, or the one that was asked for, of the named variant, fp32 where there is one.
fn compare(args: &VerifyArgs, bundle: Option<&Bundle>, io: &Path) -> anyhow::Result<Verified> {
    let recording = read(io)?;
    let tolerance = tolerance(args);
    let mut options = Options::default();
    options.devices = args.device.clone();
    let Some(bundle) = bundle else {
        let model = args.model.as_path().into();
        let graphs = BTreeMap::from([("model", &model)]);
        return Ok(verify::verify(
            &graphs, None, &recording, &options, tolerance,
        )?);
    };
    let mut names = bundle.manifest().variants.iter().map(|v| v.name.as_str());
    let fp32 = names.find(|name| *name == "fp32");
    let variant = args.variant.as_deref().or(fp32);
    if let Some(role) = &args.graph {
        let graph = bundle.graph(variant, role)?;
        return Ok(verify::verify_one(
            role, graph, &recording, &options, tolerance,
        )?);
    }
    recorded(bundle, variant, &recording, &options, tolerance)
}

/// Runs all graphs of a variant.
pub fn recorded(
    bundle: &Bundle,
    variant: Option<&str>,
    recording: &Recording,
    options: &Options,
    tolerance: Tolerance,
) -> anyhow::Result<Verified> {
    let graphs = bundle.graphs(variant)?;
    let generation = match &bundle.manifest().decode {
        Decode::Generate(spec) => Some(spec),
        _ => None,
    };
    Ok(verify::verify(
        &graphs, generation, recording, options, tolerance,
    )?)
}

/// The recording in a safetensors file.
pub fn read(path: &Path) -> anyhow::Result<Recording> {
    let bytes = std::fs::read(path).map_err(|source| bevel::Error::InputFile {
        path: path.to_path_buf(),
        source,
    })?;
    let tensors = bevel::tensors::from_safetensors(&bytes);
    let recording = tensors.and_then(Recording::new);
    recording.with_context(|| path.display().to_string())
}

fn print(report: &Report) {
    if report.files > 0 {
        println!("  {} files match bundle.toml", report.files);
    }
    let head = ["output", "values", "max |a-b|", ""]
        .map(String::from)
        .to_vec();
    let row = |o: &Compared| {
        let verdict = if o.ok { "ok" } else { "BREACH" };
        let overlap = o.iou.map(|iou| format!("IoU {iou:.5}"));
        let near = overlap.or(o.cosine.map(|cosine| format!("cosine {cosine:.6}")));
        vec![
            o.name.clone(),
            o.values.to_string(),
            format!("{:.2e}", o.max_abs),
            [near.as_deref(), Some(verdict)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("  "),
        ]
    };
    let Some(verified) = &report.verified else {
        return;
    };
    let rows: Vec<_> = std::iter::once(head)
        .chain(verified.outputs.iter().map(row))
        .collect();
    print!("{}", table(&rows));
    for role in &verified.idle {
        println!("  graph `{role}` is not part of the recording");
    }
}
