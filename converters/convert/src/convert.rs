use std::path::Path;

use bevel_manifest::{FORMAT_VERSION, Manifest, Provenance};

use crate::bundle::{self, Staging};
use crate::clock::Clock;
use crate::judge::Judge;
use crate::report::{Report, Stage};
use crate::set::Set;
use crate::source::Source;
use crate::variants::{Candidate, Wanted, choose};
use crate::{Error, Options, Quantize, Scheme, arch, recipe};

/// Converts a checkpoint, a file or a folder, to the bundle `out`. `progress` hears of each stage as
/// it begins. With a `judge`, variants are measured before they are shipped.
///
/// # Errors
/// See [`Error`]. Whatever happens, there is a whole bundle at `out` or what was there before.
pub fn convert(
    checkpoint: &Path,
    out: &Path,
    options: &Options,
    judge: Option<&mut dyn Judge>,
    progress: &mut dyn FnMut(Stage),
) -> Result<Report, Error> {
    let mut clock = Clock::new(progress);
    clock.begin(Stage::Read);
    let mut source = Source::open(checkpoint)?;
    source.set = Set::new(&options.set);
    let family = arch::family(&source, options.arch.as_deref())?;
    let staging = Staging::new(out)?;

    clock.begin(Stage::Build);
    let mut built = (family.build)(&source, options)?;
    source.set.finish(family.name)?;
    recipe::apply(&mut built, options, &source)?;
    for graph in built.graphs.values() {
        graph.check()?;
    }

    let base = Scheme::of(&built.graphs);
    if base == Scheme::AsShipped && matches!(&options.quantize, Quantize::List(_)) {
        return Err(Error::Unsupported {
            family: family.name,
            what: "quantising a model that is quantised or in f16 already".into(),
            next: "convert with --quantize none, or start from the f32 model".into(),
        });
    }
    let wanted = Wanted::new(&options.quantize, judge.is_some(), base);
    let mut variants = Vec::new();
    for scheme in &wanted.build {
        clock.begin(Stage::Quantize);
        let mut graphs = match scheme.apply(&built.graphs) {
            Ok(graphs) => graphs,
            Err(why) if wanted.optional => {
                built.notes.push(format!("{scheme} is left out: {why}"));
                continue;
            }
            Err(why) => {
                return Err(Error::Unsupported {
                    family: family.name,
                    what: scheme.to_string(),
                    next: format!("{why}; convert with --quantize none"),
                });
            }
        };
        if !options.portable {
            graphs.values_mut().for_each(|graph| _ = graph.fuse());
        }
        clock.begin(Stage::Write);
        variants.push(Candidate::write(*scheme, &graphs, staging.dir())?);
    }
    for file in &built.files {
        staging.add(file)?;
    }

    clock.begin(Stage::Hash);
    let checkpoint_file = source.checkpoint.path().to_owned();
    let hashed = bundle::entry(file_name(&checkpoint_file), &checkpoint_file)?;
    let recipe = options.recipe.as_ref();
    let license = options.license.clone();
    let name = options.name.clone();
    // What runs is decided below, when it is known what stays.
    let mut manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: name
            .or(recipe.map(|r| r.name.clone()))
            .unwrap_or_else(|| stem(out)),
        task: built.task,
        family: family.name.into(),
        variant: variants.first().map(Candidate::name).unwrap_or_default(),
        files: staging.entries()?,
        input: built.input,
        decode: built.decode,
        variants: variants.iter().map(Candidate::variant).collect(),
        provenance: Some(Provenance {
            checkpoint: hashed.path,
            sha256: hashed.sha256,
            license: license
                .or(recipe.map(|r| r.license.clone()))
                .unwrap_or_default(),
            tool: concat!("bevel ", env!("CARGO_PKG_VERSION")).into(),
        }),
    };
    staging.write_manifest(&manifest)?;

    let measured = judge.is_some();
    if let Some(judge) = judge {
        clock.begin(Stage::Measure);
        let results = judge
            .judge(staging.dir(), &manifest)
            .map_err(Error::Judge)?;
        for (name, measured) in results {
            let row = variants.iter_mut().find(|v| v.name() == name);
            if let Some(candidate) = row {
                candidate.measured = Some(measured);
            }
        }
    }

    clock.begin(Stage::Finish);
    for candidate in &mut variants {
        candidate.verdict(&wanted)?;
    }
    for candidate in variants.iter().filter(|c| c.dropped.is_some()) {
        for file in &candidate.files {
            staging.remove(file)?;
            manifest.files.retain(|entry| entry.path != *file);
        }
    }
    let (chosen, reason) = choose(&variants, measured);
    manifest.variant = chosen.clone();
    manifest.variants = variants
        .iter()
        .filter(|c| c.dropped.is_none())
        .map(Candidate::variant)
        .collect();
    staging.write_manifest(&manifest)?;
    staging.finish()?;

    let tensors = source.checkpoint.tensor_count();
    Ok(Report {
        out: out.into(),
        name: manifest.name,
        task: manifest.task,
        family: manifest.family,
        checkpoint: checkpoint_file,
        checkpoint_bytes: hashed.size_bytes,
        tensors_read: tensors - built.unused.len(),
        tensors_unused: built.unused,
        variants: variants.into_iter().map(Candidate::report).collect(),
        chosen,
        reason,
        notes: built.notes,
        seconds: clock.total(),
        stages: clock.stages(),
    })
}

/// The last part of a path, as text.
pub(crate) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
