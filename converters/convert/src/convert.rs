use std::path::Path;

use bevel_manifest::{FORMAT_VERSION, Manifest, Provenance};

use crate::bundle::{self, Staging};
use crate::clock::Clock;
use crate::judge::Judge;
use crate::report::{Calibration, Progress, Report, Stage};
use crate::search::{self, Search};
use crate::set::Set;
use crate::source::Source;
use crate::variants::{Candidate, Wanted, choose};
use crate::{Error, Options, Quantize, Scheme, arch, page, recipe, window};

/// Converts a checkpoint, a file or a folder, to the bundle `out`. `progress` hears of each stage as
/// it begins. With a `judge`, variants are calibrated and measured before they are shipped.
///
/// # Errors
/// See [`Error`]. Whatever happens, there is a whole bundle at `out` or what was there before.
pub fn convert(
    checkpoint: &Path,
    out: &Path,
    options: &Options,
    judge: Option<&mut dyn Judge>,
    progress: &mut dyn FnMut(&Progress),
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
    let wanted = Wanted::new(options, judge.is_some(), base, &built.graphs);

    clock.begin(Stage::Write);
    // Everything else is compared with it, so it is there even where it does not ship.
    let reference = Candidate::write(base, &built.graphs, options.portable, staging.dir())?;
    for file in &built.files {
        staging.add(file)?;
    }

    clock.begin(Stage::Hash);
    let checkpoint_file = source.checkpoint.path().to_owned();
    let hashed = bundle::entry(file_name(&checkpoint_file), &checkpoint_file)?;
    let recipe = options.recipe.as_ref();
    let license = options.license.clone();
    let name = options.name.clone();
    let mut manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: name
            .or(recipe.map(|r| r.name.clone()))
            .unwrap_or_else(|| stem(out)),
        task: built.task,
        family: family.name.into(),
        variant: reference.name(),
        files: staging.entries()?,
        input: built.input,
        decode: built.decode,
        variants: vec![reference.variant()],
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

    let mut variants = vec![reference];
    let mut notes = built.notes;
    let mut calibration = None;
    let mut judge = judge;
    if let Some(judge) = judge.as_deref_mut() {
        if let Some(why) = judge.check(staging.dir()).map_err(Error::Judge)? {
            return Err(Error::Recording(why));
        }
        if !wanted.others.is_empty() {
            clock.begin(Stage::Calibrate);
            let mut search = Search::new(
                judge,
                &staging,
                &manifest,
                &built.graphs,
                options,
                wanted.must_be_faster,
            )?;
            for scheme in &wanted.others {
                match search.best(*scheme, &mut clock)? {
                    Ok(candidate) => variants.push(candidate),
                    Err(why) if wanted.optional => {
                        notes.push(format!("{scheme} is left out: {why}"));
                    }
                    Err(why) => return Err(cannot(family.name, *scheme, &why)),
                }
            }
            search::clean(&staging)?;
            calibration = search.recorded.map(|recorded| Calibration {
                source: recorded.source,
                samples: recorded.samples,
                sha256: recorded.sha256,
            });
        }
    } else {
        for scheme in &wanted.others {
            clock.begin(Stage::Quantize);
            match search::blind(*scheme, &built.graphs) {
                Ok((graphs, way)) => {
                    let written =
                        Candidate::write(*scheme, &graphs, options.portable, staging.dir())?;
                    variants.push(Candidate {
                        way: way.to_string(),
                        ..written
                    });
                }
                Err(why) if wanted.optional => {
                    notes.push(format!("{scheme} is left out: {why}"));
                }
                Err(why) => return Err(cannot(family.name, *scheme, &why)),
            }
        }
    }

    clock.begin(Stage::Finish);
    let verdicts = variants.iter_mut();
    let verdicts: Result<Vec<()>, Error> = verdicts
        .map(|candidate| candidate.verdict(&wanted, &options.gate))
        .collect();
    if verdicts.is_ok() {
        for candidate in variants.iter().filter(|c| c.dropped.is_some()) {
            for file in &candidate.files {
                staging.remove(file)?;
            }
        }
    }
    let (chosen, reason) = choose(&variants, &wanted);
    let kept = |c: &&Candidate| c.dropped.is_none() || verdicts.is_err();
    manifest.variants = variants
        .iter()
        .filter(kept)
        .map(Candidate::variant)
        .collect();
    manifest.variant = chosen.clone();
    if let (Some(judge), Some(_)) = (judge, &calibration) {
        notes.extend(window::shorten(
            judge,
            &staging,
            &built.graphs,
            &mut manifest,
        )?);
    }
    let tensors = source.checkpoint.tensor_count();
    let report = Report {
        out: out.into(),
        name: manifest.name.clone(),
        task: manifest.task,
        family: manifest.family.clone(),
        checkpoint: checkpoint_file,
        checkpoint_bytes: hashed.size_bytes,
        tensors_read: tensors - built.unused.len(),
        tensors_unused: built.unused,
        variants: variants.into_iter().map(Candidate::report).collect(),
        chosen,
        reason,
        calibration,
        notes,
        seconds: clock.total(),
        stages: clock.stages(),
    };
    for file in page::files(&report) {
        staging.add(&file)?;
    }
    manifest.files = staging.entries()?;
    if let Err(failed) = verdicts {
        if let Some(place) = &options.keep_failed {
            manifest.variant = manifest
                .variants
                .first()
                .map(|v| v.name.clone())
                .unwrap_or_default();
            staging.write_manifest(&manifest)?;
            staging.finish_at(place)?;
        }
        return Err(failed);
    }
    staging.write_manifest(&manifest)?;
    staging.finish()?;
    Ok(report)
}

fn cannot(family: &'static str, scheme: Scheme, why: &str) -> Error {
    Error::Unsupported {
        family,
        what: scheme.to_string(),
        next: format!("{why}; or convert with --quantize auto or none"),
    }
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
