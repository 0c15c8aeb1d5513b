//! The best of a scheme: its ways are tried by how far the outputs move, the best of them is scored by
//! what the model is for, and when it fails the gate, the layers that hurt most stay in float, until it
//! passes or nothing is left to gain.

mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bevel_manifest::{Manifest, Target};
use bevel_onnx::Graph;

use crate::arch::Graphs;
use crate::bundle::Staging;
use crate::clock::Clock;
use crate::deviation::Answers;
use crate::gate::{Gate, OUTPUTS, loss_of};
use crate::judge::{Judge, Quality, Recorded};
use crate::quantize::seen::tapped;
use crate::quantize::{Prepared, Seen, Way};
use crate::report::{Stage, Trial};
use crate::variants::Candidate;
use crate::{Error, Options, Scheme};

pub(crate) use rewrite::blind;
use rewrite::{Rewritten, rewrite, worth};

/// Recorded runs that outputs are compared on. Ways and layers differ by much more than runs do.
const COMPARED_RUNS: usize = 8;

/// Ways that are scored, until one passes: which outputs are nearer says nearly, but not quite, which
/// answers are better.
const SCORED_WAYS: usize = 2;

/// Recorded runs that ranges are taken from.
const CALIBRATED_RUNS: usize = 100;

const NEEDS_DATA: &str = "it needs to see data: give some with --calibrate or --eval";

/// Where graphs lie that are only tried, inside the unfinished bundle.
const TRIALS: &str = "trial";

/// Layers by role and first result.
pub(crate) type Layers = BTreeSet<(&'static str, String)>;

/// An fp32 bundle that others are measured against.
pub(crate) struct Search<'a> {
    judge: &'a mut dyn Judge,
    staging: &'a Staging,
    /// Of the fp32 bundle that lies in staging.
    manifest: &'a Manifest,
    graphs: &'a Graphs,
    gate: &'a Gate,
    portable: bool,
    /// Whether the activations of static int8 get a sign, as kernels of ARM want it.
    signed: bool,
    /// Whether a variant has to be faster than fp32 here.
    must_be_faster: bool,
    pub recorded: Option<Recorded>,
    /// By way of preparing and role.
    seen: BTreeMap<(Prepared, &'static str), Seen>,
    truth: BTreeMap<&'static str, Answers>,
}

impl<'a> Search<'a> {
    pub fn new(
        judge: &'a mut dyn Judge,
        staging: &'a Staging,
        manifest: &'a Manifest,
        graphs: &'a Graphs,
        options: &'a Options,
        must_be_faster: bool,
    ) -> Result<Self, Error> {
        let recorded = judge
            .record(staging.dir(), manifest)
            .map_err(Error::Judge)?;
        Ok(Self {
            judge,
            staging,
            manifest,
            graphs,
            gate: &options.gate,
            portable: options.portable,
            signed: options.target.as_ref().is_some_and(Target::wants_signed),
            must_be_faster,
            recorded,
            seen: BTreeMap::new(),
            truth: BTreeMap::new(),
        })
    }

    /// The best variant of a scheme, measured, whether it passes or not; or why there is none.
    pub fn best(
        &mut self,
        scheme: Scheme,
        clock: &mut Clock<'_>,
    ) -> Result<Result<Candidate, String>, Error> {
        let ways = Way::of(scheme, self.recorded.is_some(), self.signed);
        self.best_of(scheme, &ways, clock)
    }

    fn best_of(
        &mut self,
        scheme: Scheme,
        ways: &[Way],
        clock: &mut Clock<'_>,
    ) -> Result<Result<Candidate, String>, Error> {
        clock.begin(Stage::Quantize);
        if ways.is_empty() {
            return Ok(Err(NEEDS_DATA.into()));
        }
        let nearest = self.nearest(scheme, ways, clock)?;
        let mut field = Field::default();
        for (way, error) in &nearest {
            if self.enter(&mut field, scheme, way, *error, clock)? {
                break;
            }
        }
        // What is like it may be faster, or more exact.
        let like = field.open.as_ref().map(|(way, _)| way);
        let like = like.or(nearest.first().map(|(way, _)| way)).cloned();
        for way in like.iter().flat_map(Way::siblings) {
            self.enter(&mut field, scheme, &way, None, clock)?;
        }
        let Field {
            open,
            shut,
            mut trials,
            unworthy,
        } = field;
        let best = match (open, shut) {
            (Some((way, candidate)), _) => {
                let all = self.rewrite(&way, &Layers::new())?;
                self.write(scheme, &way, all, candidate)?
            }
            (None, Some((way, candidate))) => {
                let all = self.rewrite(&way, &Layers::new())?;
                let relieved = match all.layers.len() {
                    ..2 => None,
                    _ if candidate.quality.is_none() => None,
                    _ => self.relieve(scheme, &way, &all.layers, &mut trials, clock)?,
                };
                match relieved {
                    Some(better) => better,
                    // The evidence is what the gate speaks of.
                    None => self.write(scheme, &way, all, candidate)?,
                }
            }
            (None, None) => return Ok(Err(unworthy.unwrap_or_else(|| NEEDS_DATA.into()))),
        };
        Ok(Ok(Candidate { trials, ..best }))
    }

    /// Scores and times a way; says whether it passes.
    fn enter(
        &mut self,
        field: &mut Field,
        scheme: Scheme,
        way: &Way,
        error: Option<f64>,
        clock: &mut Clock<'_>,
    ) -> Result<bool, Error> {
        self.look(way)?;
        let rewritten = self.rewrite(way, &Layers::new())?;
        if let Err(why) = worth(&rewritten) {
            field.unworthy.get_or_insert(why);
            return Ok(false);
        }
        let mut candidate = self.measure(scheme, way, rewritten, clock)?;
        candidate.error = error;
        let passes = self.passes(&candidate, &mut field.trials, 0);
        let time = |c: &Candidate| c.ratio().unwrap_or(f64::INFINITY);
        let loss = |c: &Candidate| c.quality.as_ref().map_or(f64::INFINITY, loss_of);
        let (best, figure): (_, &dyn Fn(&Candidate) -> f64) = match passes {
            true => (&mut field.open, &time),
            false => (&mut field.shut, &loss),
        };
        let known = best.as_ref().map(|(_, known)| figure(known));
        if known.is_none_or(|known| figure(&candidate) < known) {
            *best = Some((way.clone(), candidate));
        }
        Ok(passes)
    }

    /// The ways whose outputs are nearest to fp32's, and how far they are, the nearest first.
    fn nearest(
        &mut self,
        scheme: Scheme,
        ways: &[Way],
        clock: &mut Clock<'_>,
    ) -> Result<Vec<(Way, Option<f64>)>, Error> {
        let far = |error: &Option<f64>| error.unwrap_or(f64::INFINITY);
        let mut tried: Vec<(Way, Option<f64>)> = Vec::new();
        for (i, way) in ways.iter().enumerate() {
            clock.detail(format!("{scheme}, {way}"), i, ways.len());
            if let Some(error) = self.try_way(way)? {
                tried.push((way.clone(), error));
            }
        }
        // A stable order: where nothing can be compared, the first one stays the first.
        tried.sort_by(|a, b| far(&a.1).total_cmp(&far(&b.1)));
        let Some((mut way, mut least)) = tried.first().cloned() else {
            // None is worth having; the first one says so.
            return Ok(ways
                .first()
                .map(|way| (way.clone(), None))
                .into_iter()
                .collect());
        };
        for refine in way.refinements() {
            let refined = way.refined(refine);
            clock.detail(format!("{scheme}, {refined}"), 0, 0);
            let Some(error) = self.try_way(&refined)? else {
                continue;
            };
            tried.push((refined.clone(), error));
            if far(&error) < far(&least) {
                (way, least) = (refined, error);
            }
        }
        tried.sort_by(|a, b| far(&a.1).total_cmp(&far(&b.1)));
        tried.truncate(SCORED_WAYS);
        Ok(tried)
    }

    /// How far the outputs of a way are from fp32's, where that can be known; `None` where it is not
    /// worth having.
    fn try_way(&mut self, way: &Way) -> Result<Option<Option<f64>>, Error> {
        self.look(way)?;
        let rewritten = self.rewrite(way, &Layers::new())?;
        match worth(&rewritten) {
            Ok(()) => self.error(&rewritten.graphs).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Sees the values that a way needs and that were not seen yet.
    fn look(&mut self, way: &Way) -> Result<(), Error> {
        for (role, graph) in self.graphs {
            let graph = way.prepare(graph);
            let mut seen = self
                .seen
                .remove(&(way.prepared(), *role))
                .unwrap_or_default();
            let mut wanted = way.wanted(&graph);
            wanted.retain(|name| seen.get(name).is_none());
            if !wanted.is_empty() {
                self.observe(role, &graph, &wanted, &mut seen)?;
            }
            self.seen.insert((way.prepared(), *role), seen);
        }
        Ok(())
    }

    /// Sees values of a graph on the recorded runs of its role.
    fn observe(
        &mut self,
        role: &str,
        graph: &Graph,
        wanted: &[String],
        seen: &mut Seen,
    ) -> Result<(), Error> {
        if !self.ran(role) {
            return Ok(());
        }
        let file = save(
            self.staging,
            &tapped(graph, wanted.iter().map(String::as_str)),
        )?;
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let mut see = |_: usize, name: &str, dims: &[usize], elements: &[f32]| {
            if wanted.contains(name) {
                seen.note(name, dims, elements);
            }
        };
        self.judge
            .replay(role, &file, CALIBRATED_RUNS, &mut see)
            .map_err(Error::Judge)
    }

    fn ran(&self, role: &str) -> bool {
        let runs = self.recorded.as_ref().and_then(|r| r.runs.get(role));
        runs.is_some_and(|runs| *runs > 0)
    }

    /// The model by a way, but for the layers that stay in float.
    fn rewrite(&mut self, way: &Way, kept: &Layers) -> Result<Rewritten, Error> {
        let may = |role, name: &str| !kept.contains(&(role, name.to_owned()));
        let mut rewritten = rewrite(self.graphs, way, &self.seen, &may);
        for (role, graph) in &mut rewritten.graphs {
            let wanted = way.wanted_after(graph);
            let before = self.seen.remove(&(way.prepared(), *role));
            if let (Some(before), false) = (&before, wanted.is_empty()) {
                let mut after = Seen::default();
                self.observe(role, graph, &wanted, &mut after)?;
                way.correct(graph, before, &after);
            }
            self.seen
                .extend(before.map(|seen| ((way.prepared(), *role), seen)));
        }
        Ok(rewritten)
    }

    /// How far the outputs of all graphs that ran are from fp32's; `None` where none ran.
    fn error(&mut self, graphs: &Graphs) -> Result<Option<f64>, Error> {
        let mut errors = Vec::new();
        for (role, graph) in graphs {
            if !self.ran(role) {
                continue;
            }
            if !self.truth.contains_key(role)
                && let Some(fp32) = self.graphs.get(role)
            {
                let answers = self.answers(role, fp32)?;
                self.truth.insert(role, answers);
            }
            let answers = self.answers(role, graph)?;
            errors.extend(
                self.truth
                    .get(role)
                    .and_then(|truth| truth.error_of(&answers)),
            );
        }
        let count = errors.len();
        Ok((count > 0).then(|| errors.into_iter().sum::<f64>() / count as f64))
    }

    fn answers(&mut self, role: &str, graph: &Graph) -> Result<Answers, Error> {
        let file = save(self.staging, graph)?;
        let mut answers = Answers::default();
        let mut see = |run: usize, name: &str, dims: &[usize], elements: &[f32]| {
            answers.note(run, name, dims, elements);
        };
        self.judge
            .replay(role, &file, COMPARED_RUNS, &mut see)
            .map_err(Error::Judge)?;
        Ok(answers)
    }

    /// Keeps the layers that hurt most in float: twice as many until the gate opens, then as few as
    /// still do. `None` when it does not open before the gain is gone.
    fn relieve(
        &mut self,
        scheme: Scheme,
        way: &Way,
        layers: &[(&'static str, String)],
        trials: &mut Vec<Trial>,
        clock: &mut Clock<'_>,
    ) -> Result<Option<Candidate>, Error> {
        let order = self.by_harm(scheme, way, layers, clock)?;
        let mut shut = 0;
        let mut open = None;
        let mut count = 1;
        while count <= order.len() / 2 {
            let candidate = self.without(scheme, way, &order[..count], clock)?;
            if self.passes(&candidate, trials, count) {
                open = Some((count, candidate));
                break;
            }
            if self.must_be_faster && candidate.ratio().is_some_and(|ratio| ratio >= 1.0) {
                return Ok(None);
            }
            shut = count;
            count *= 2;
        }
        let Some((mut few, mut best)) = open else {
            return Ok(None);
        };
        while few - shut > 1 {
            let middle = shut.midpoint(few);
            let candidate = self.without(scheme, way, &order[..middle], clock)?;
            match self.passes(&candidate, trials, middle) {
                true => (few, best) = (middle, candidate),
                false => shut = middle,
            }
        }
        // The files of the last trial are not those of the best.
        let kept = order[..few].iter().cloned().collect();
        let rewritten = self.rewrite(way, &kept)?;
        self.write(scheme, way, rewritten, best).map(Some)
    }

    /// Layers by how far the outputs move when each alone is quantised, the worst first.
    fn by_harm(
        &mut self,
        scheme: Scheme,
        way: &Way,
        layers: &[(&'static str, String)],
        clock: &mut Clock<'_>,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let mut harm = Vec::new();
        for (i, (role, name)) in layers.iter().enumerate() {
            clock.detail(format!("{scheme}, layers that hurt"), i, layers.len());
            let alone = |r: &'static str, n: &str| r == *role && n == name;
            let mut graphs = rewrite(self.graphs, way, &self.seen, &alone).graphs;
            graphs.retain(|r, _| r == role);
            let error = self.error(&graphs)?.unwrap_or(0.0);
            harm.push((error, (*role, name.clone())));
        }
        harm.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(harm.into_iter().map(|(_, layer)| layer).collect())
    }

    fn without(
        &mut self,
        scheme: Scheme,
        way: &Way,
        kept: &[(&'static str, String)],
        clock: &mut Clock<'_>,
    ) -> Result<Candidate, Error> {
        let kept: Layers = kept.iter().cloned().collect();
        let rewritten = self.rewrite(way, &kept)?;
        let mut candidate = self.measure(scheme, way, rewritten, clock)?;
        candidate.kept_float = kept
            .into_iter()
            .map(|(role, name)| label(role, &name))
            .collect();
        Ok(candidate)
    }

    /// Writes a variant into the bundle, scores and times it.
    fn measure(
        &mut self,
        scheme: Scheme,
        way: &Way,
        rewritten: Rewritten,
        clock: &mut Clock<'_>,
    ) -> Result<Candidate, Error> {
        clock.begin(Stage::Measure);
        clock.detail(format!("{scheme}, {way}"), 0, 0);
        let mut candidate =
            Candidate::write(scheme, &rewritten.graphs, self.portable, self.staging.dir())?;
        candidate.way = way.to_string();
        let mut manifest = self.manifest.clone();
        manifest.variants.push(candidate.variant());
        self.staging.write_manifest(&manifest)?;
        let name = scheme.name();
        let quality = self
            .judge
            .score(self.staging.dir(), &manifest, name)
            .map_err(Error::Judge)?;
        self.staging.write_manifest(self.manifest)?;
        let quality = match quality {
            None => self.agreement(&rewritten.graphs)?,
            scored => scored,
        };
        if let Some(unused) = quality.as_ref().and_then(|q| self.gate.unused(&q.metric)) {
            let measured = quality.as_ref().map_or("", |q| q.metric.as_str());
            return Err(Error::Request(format!(
                "the gate of {unused} is not what is measured here: {measured}; give labelled data of \
                 that metric with --eval, or the gate of {measured}"
            )));
        }
        candidate.quality = quality;
        candidate.machine = self.judge.machine();
        candidate.times = self.times(&candidate)?;
        Ok(candidate)
    }

    /// How much of the outputs' variance a variant explains, for models that nobody can score.
    fn agreement(&mut self, graphs: &Graphs) -> Result<Option<Quality>, Error> {
        let error = self.error(graphs)?;
        let samples = self.recorded.as_ref().map_or(0, |r| r.samples);
        Ok(error.map(|error| Quality {
            metric: OUTPUTS.into(),
            value: 1.0 - error,
            interval: [1.0 - error; 2],
            reference: 1.0,
            worst: None,
            agreement: None,
            samples: samples.min(COMPARED_RUNS),
        }))
    }

    /// Gives a measured candidate its files back.
    fn write(
        &self,
        scheme: Scheme,
        way: &Way,
        rewritten: Rewritten,
        measured: Candidate,
    ) -> Result<Candidate, Error> {
        let written =
            Candidate::write(scheme, &rewritten.graphs, self.portable, self.staging.dir())?;
        Ok(Candidate {
            way: way.to_string(),
            ..measured.with_files_of(written)
        })
    }

    /// Role to fp32's and the candidate's time of one run in ms, and how often it ran.
    fn times(&mut self, candidate: &Candidate) -> Result<Vec<Time>, Error> {
        let Some(recorded) = self.recorded.clone() else {
            return Ok(Vec::new());
        };
        let fp32 = &self.manifest.variant(None)?.graphs;
        let mut times = Vec::new();
        for (role, runs) in &recorded.runs {
            let (Some(a), Some(b)) = (fp32.get(role), candidate.graphs.get(role)) else {
                continue;
            };
            if *runs == 0 {
                continue;
            }
            let folder = self.staging.dir();
            let files = [folder.join(a), folder.join(b)];
            let files: [&Path; 2] = files.each_ref().map(PathBuf::as_path);
            let taken = self.judge.time(role, &files).map_err(Error::Judge)?;
            if let [fp32_ms, own_ms] = taken[..] {
                times.push(Time {
                    role: role.clone(),
                    runs: *runs,
                    fp32_ms,
                    own_ms,
                });
            }
        }
        Ok(times)
    }

    fn passes(&self, candidate: &Candidate, trials: &mut Vec<Trial>, kept: usize) -> bool {
        let verdict = candidate.quality.as_ref().map(|q| self.gate.verdict(q));
        trials.push(Trial {
            way: candidate.way.clone(),
            layers_kept: kept,
            error: candidate.error,
            quality: candidate.quality.clone(),
            latency_ratio: candidate.ratio(),
            size_bytes: candidate.size_bytes,
            fails: match &verdict {
                Some(Err(why)) => Some(why.clone()),
                _ => None,
            },
        });
        matches!(verdict, Some(Ok(())))
    }
}

/// The ways that were scored.
#[derive(Default)]
struct Field {
    /// The fastest that passes.
    open: Option<(Way, Candidate)>,
    /// The best of those that do not, or one that nobody could score.
    shut: Option<(Way, Candidate)>,
    trials: Vec<Trial>,
    /// Why a way was not worth scoring.
    unworthy: Option<String>,
}

/// What one graph takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Time {
    pub role: String,
    pub runs: usize,
    pub fp32_ms: f64,
    pub own_ms: f64,
}

/// A layer as reports name it.
fn label(role: &str, name: &str) -> String {
    match role {
        "model" => name.to_owned(),
        role => format!("{role}: {name}"),
    }
}

fn save(staging: &Staging, graph: &Graph) -> Result<PathBuf, Error> {
    let folder = staging.dir().join(TRIALS);
    std::fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, e))?;
    let file = folder.join("model.onnx");
    graph.save(&file)?;
    Ok(file)
}

/// Removes what was only tried.
pub(crate) fn clean(staging: &Staging) -> Result<(), Error> {
    let folder = staging.dir().join(TRIALS);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::write(folder, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
