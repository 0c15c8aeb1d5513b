use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bevel_manifest::{FORMAT_VERSION, Manifest, Measured, Provenance, Variant};
use bevel_onnx::Graph;

use crate::arch::{self, Built, BundleFile, Content};
use crate::bundle::{self, Staging};
use crate::judge::{self, Judge};
use crate::quantize::dynamic;
use crate::report::{Report, Stage, StageReport, VariantReport};
use crate::source::Source;
use crate::{Error, Options, Quantize, Scheme};

/// A scheme that covers less of the weights than this is not worth a variant.
const MIN_COVERED: f64 = 0.5;

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
    let staging = Staging::new(out)?;
    let source = Source::open(checkpoint)?;
    let family = arch::family(&source, options.arch.as_deref())?;

    clock.begin(Stage::Build);
    let mut built = (family.build)(&source, options)?;
    apply_recipe(&mut built, options)?;
    built.graph.check()?;

    let wanted = wanted(&options.quantize, judge.is_some());
    let mut variants = Vec::new();
    for scheme in &wanted.build {
        clock.begin(Stage::Quantize);
        let graph = match scheme {
            Scheme::Fp32 => built.graph.clone(),
            Scheme::Int8 => match quantized(&built.graph, *scheme) {
                Ok(graph) => graph,
                Err(note) if wanted.optional => {
                    built.notes.push(note);
                    continue;
                }
                Err(note) => {
                    return Err(Error::Unsupported {
                        family: family.name,
                        what: note,
                        next: "convert with --quantize none".into(),
                    });
                }
            },
        };
        clock.begin(Stage::Write);
        variants.push(Candidate::write(*scheme, &graph, staging.dir())?);
    }
    for file in &built.files {
        staging.add(file)?;
    }

    clock.begin(Stage::Hash);
    let checkpoint_file = source.checkpoint.path().to_owned();
    let (checkpoint_bytes, checkpoint_hash) = bundle::sha256(&checkpoint_file)?;
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
        variant: variants
            .first()
            .map(|v| v.scheme.to_string())
            .unwrap_or_default(),
        files: staging.entries()?,
        input: built.input,
        decode: built.decode,
        variants: variants.iter().map(Candidate::variant).collect(),
        provenance: Some(Provenance {
            checkpoint: file_name(&checkpoint_file),
            sha256: checkpoint_hash,
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
            let row = variants.iter_mut().find(|v| v.scheme.name() == name);
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
        checkpoint_bytes,
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

/// The schemes to build, in order, and what happens to them.
struct Wanted {
    build: Vec<Scheme>,
    /// Those that the user wants in the bundle.
    ship: Vec<Scheme>,
    /// Whether a scheme that fails is dropped rather than an error.
    optional: bool,
}

fn wanted(quantize: &Quantize, judged: bool) -> Wanted {
    let ship = match quantize {
        Quantize::Auto => vec![Scheme::Fp32, Scheme::Int8],
        Quantize::None => vec![Scheme::Fp32],
        Quantize::List(schemes) if schemes.is_empty() => vec![Scheme::Fp32],
        Quantize::List(schemes) => schemes.clone(),
    };
    let mut build = ship.clone();
    // A judge compares with fp32, so it is built even where it is not shipped.
    if judged && !build.contains(&Scheme::Fp32) {
        build.insert(0, Scheme::Fp32);
    }
    Wanted {
        build,
        ship,
        optional: *quantize == Quantize::Auto,
    }
}

fn quantized(graph: &Graph, scheme: Scheme) -> Result<Graph, String> {
    let (quantized, covered) = dynamic::quantize(graph);
    if covered >= MIN_COVERED {
        return Ok(quantized);
    }
    Err(format!(
        "{scheme} without calibration, which reaches only {:.0} % of the weights (convolutions need \
         calibration data),",
        covered * 100.0
    ))
}

/// A variant on its way into the bundle.
struct Candidate {
    scheme: Scheme,
    files: Vec<String>,
    size_bytes: u64,
    measured: Option<Measured>,
    dropped: Option<String>,
}

impl Candidate {
    fn write(scheme: Scheme, graph: &Graph, dir: &Path) -> Result<Self, Error> {
        let written = graph.save(&dir.join(graph_file(scheme)))?;
        let size = |path: &PathBuf| std::fs::metadata(path).map(|m| m.len());
        let sizes: Result<Vec<u64>, _> = written.iter().map(size).collect();
        Ok(Self {
            scheme,
            size_bytes: sizes.map_err(|e| Error::read(dir, e))?.iter().sum(),
            files: written.iter().map(|path| file_name(path)).collect(),
            measured: None,
            dropped: None,
        })
    }

    /// Decides whether the variant stays.
    fn verdict(&mut self, wanted: &Wanted) -> Result<(), Error> {
        if !wanted.ship.contains(&self.scheme) {
            self.dropped = Some("built only to compare with".into());
            return Ok(());
        }
        let failing = self.measured.as_ref().filter(|m| !judge::passes(m));
        let Some(measured) = failing.filter(|_| self.scheme != Scheme::Fp32) else {
            return Ok(());
        };
        let needed = judge::gate(&measured.metric);
        if !wanted.optional {
            return Err(Error::Quality {
                variant: self.scheme.to_string(),
                metric: measured.metric.clone(),
                value: measured.value,
                worst: measured.worst,
                samples: measured.samples,
                needed,
            });
        }
        self.dropped = Some(format!(
            "{} {:.4} is below the gate of {needed}",
            measured.metric, measured.value
        ));
        Ok(())
    }

    fn variant(&self) -> Variant {
        Variant {
            name: self.scheme.to_string(),
            scheme: self.scheme.description().into(),
            graphs: BTreeMap::from([("model".into(), graph_file(self.scheme))]),
            measured: self.measured.clone(),
        }
    }

    fn report(self) -> VariantReport {
        VariantReport {
            name: self.scheme.to_string(),
            scheme: self.scheme.description().into(),
            size_bytes: self.size_bytes,
            kept: self.dropped.is_none(),
            dropped: self.dropped,
            measured: self.measured,
        }
    }

    /// fp32 is the unit even where nobody measured it.
    fn latency_ratio(&self) -> f64 {
        match &self.measured {
            Some(measured) => measured.latency_ratio,
            None if self.scheme == Scheme::Fp32 => 1.0,
            None => f64::INFINITY,
        }
    }
}

/// The fastest of the measured variants, or the first without measurement; and why.
fn choose(variants: &[Candidate], measured: bool) -> (String, String) {
    let mut kept = variants.iter().filter(|c| c.dropped.is_none());
    let first = kept.clone().next().map(|c| c.scheme.to_string());
    let first = first.unwrap_or_default();
    if kept.clone().count() == 1 {
        return (first, "the only variant".into());
    }
    if !measured {
        return (first, "nothing was measured, so the most exact".into());
    }
    let fastest = kept.by_ref().reduce(|best, candidate| {
        match candidate.latency_ratio() < best.latency_ratio() {
            true => candidate,
            false => best,
        }
    });
    match fastest {
        Some(best) => (
            best.scheme.to_string(),
            format!(
                "the fastest that passes its gate, {:.2} of fp32's time",
                best.latency_ratio()
            ),
        ),
        None => (first, "the only variant".into()),
    }
}

/// What a recipe says goes before what the checkpoint says.
fn apply_recipe(built: &mut Built, options: &Options) -> Result<(), Error> {
    let Some(recipe) = &options.recipe else {
        return Ok(());
    };
    if let Some(input) = &recipe.input {
        built.input = input.clone();
    }
    if let Some(decode) = &recipe.decode {
        built.decode = decode.clone();
    }
    for name in &recipe.beside {
        let folder = options.recipe_dir.as_deref().ok_or_else(|| {
            Error::Request(format!(
                "recipe `{}` names `{name}` beside it, but where the recipe lies was not said",
                recipe.name
            ))
        })?;
        built.files.retain(|file| file.name != *name);
        built.files.push(BundleFile {
            name: name.clone(),
            content: Content::Copy(folder.join(name)),
        });
    }
    Ok(())
}

fn graph_file(scheme: Scheme) -> String {
    match scheme {
        Scheme::Fp32 => "model.onnx".into(),
        other => format!("model-{other}.onnx"),
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Announces stages and times them.
struct Clock<'a> {
    progress: &'a mut dyn FnMut(Stage),
    start: Instant,
    begun: Vec<(Stage, Instant)>,
}

impl<'a> Clock<'a> {
    fn new(progress: &'a mut dyn FnMut(Stage)) -> Self {
        Self {
            progress,
            start: Instant::now(),
            begun: Vec::new(),
        }
    }

    fn begin(&mut self, stage: Stage) {
        self.begun.push((stage, Instant::now()));
        (self.progress)(stage);
    }

    fn total(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Each stage once, in the order of its first beginning.
    fn stages(&self) -> Vec<StageReport> {
        let ends = self.begun.iter().skip(1).map(|(_, at)| *at);
        let ends = ends.chain([Instant::now()]);
        let mut stages: Vec<StageReport> = Vec::new();
        for ((stage, begin), end) in self.begun.iter().zip(ends) {
            let seconds = (end - *begin).as_secs_f64();
            match stages.iter_mut().find(|s| s.stage == *stage) {
                Some(known) => known.seconds += seconds,
                None => stages.push(StageReport {
                    stage: *stage,
                    seconds,
                }),
            }
        }
        stages
    }
}
