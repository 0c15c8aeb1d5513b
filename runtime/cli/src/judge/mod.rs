//! The judge of a conversion: runs graphs beside fp32 on this machine.

mod data;
mod quality;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bevel::tensors::Named;
use bevel::verify::Tolerance;
use bevel::{Answer, Bundle, Options, RecordingLimits, Runtime, Session, TensorData};
use bevel_convert::{BoxError, Judge, Quality, Recorded, See};
use bevel_manifest::{Input, Manifest};

use crate::bench::median_ms;
use crate::eval::{Columns, Dataset};
use crate::failure::carried;
use crate::inputs::Kind;
use crate::verify;

/// Kept of what goes into each graph. Ranges are taken from all of it.
const LIMITS: RecordingLimits = RecordingLimits {
    runs: 100,
    bytes: 1 << 28,
};

/// Interleaved runs of each graph: at least, at most, and how long all of them may take together.
const TIMED_RUNS: [usize; 2] = [15, 101];
const TIMED: Duration = Duration::from_secs(4);

/// Compares variants side by side.
#[derive(Default)]
pub struct Side {
    /// A recording that fp32 has to reproduce.
    pub recording: Option<PathBuf>,
    /// Inputs to calibrate with.
    pub calibrate: Option<PathBuf>,
    /// Labelled data to score with.
    pub eval: Option<PathBuf>,
    calibration: Option<Calibration>,
    labelled: Option<quality::Labelled>,
}

/// What fp32 did on the calibration data.
struct Calibration {
    samples: data::Samples,
    /// Where a pipeline answers.
    answers: Option<Vec<Answer>>,
    /// Role to inputs.
    runs: BTreeMap<String, Vec<Named>>,
}

impl Judge for Side {
    fn check(&mut self, bundle: &Path) -> Result<Option<String>, BoxError> {
        self.try_check(bundle).map_err(carried)
    }

    fn record(&mut self, folder: &Path, manifest: &Manifest) -> Result<Option<Recorded>, BoxError> {
        self.try_record(folder, manifest).map_err(carried)
    }

    fn replay(
        &mut self,
        role: &str,
        graph: &Path,
        runs: usize,
        see: See<'_>,
    ) -> Result<(), BoxError> {
        self.try_replay(role, graph, runs, see).map_err(carried)
    }

    fn time(&mut self, role: &str, graphs: &[&Path]) -> Result<Vec<f64>, BoxError> {
        self.try_time(role, graphs).map_err(carried)
    }

    fn score(
        &mut self,
        folder: &Path,
        _: &Manifest,
        variant: &str,
    ) -> Result<Option<Quality>, BoxError> {
        self.try_score(folder, variant).map_err(carried)
    }

    fn machine(&self) -> String {
        let threads = Runtime::get().map_or(0, Runtime::threads);
        format!("{}, {threads} threads", bevel::cpu::model_name())
    }
}

impl Side {
    fn try_check(&mut self, bundle: &Path) -> anyhow::Result<Option<String>> {
        let Some(recording) = &self.recording else {
            return Ok(None);
        };
        let bundle = Bundle::load(bundle)?;
        let recording = verify::read(recording)?;
        let tolerance = Tolerance::default();
        let verified = verify::recorded(&bundle, None, &recording, &Options::default(), tolerance)?;
        Ok(verify::breaches(&verified, tolerance))
    }

    fn try_record(
        &mut self,
        folder: &Path,
        manifest: &Manifest,
    ) -> anyhow::Result<Option<Recorded>> {
        let bundle = Bundle::load(folder)?;
        if let Some(path) = &self.eval {
            let dataset = Dataset::open(path, &bundle, &Columns::default())?;
            let labelled = quality::Labelled::new(&bundle, &manifest.variant, dataset)?;
            self.labelled = Some(labelled);
        }
        let given = self.calibrate.as_deref();
        let labelled = self.labelled.as_ref().map(|labelled| &labelled.dataset);
        let Some(mut samples) = data::samples(Kind::of(&bundle)?, given, labelled)? else {
            return Ok(None);
        };
        let graphs = bundle.graphs(None)?;
        let (answers, recording) =
            bevel::record(LIMITS, || quality::answers(&bundle, &mut samples));
        let answers = answers?;
        let mut runs: BTreeMap<String, Vec<Named>> = BTreeMap::new();
        let mut counts = BTreeMap::new();
        for (role, graph) in &graphs {
            let path = graph.path();
            counts.insert((*role).to_owned(), recording.count(path));
            runs.insert((*role).to_owned(), recording.runs(path).to_vec());
        }
        if answers.is_none() && matches!(manifest.input, Input::Text(_)) {
            let inputs = quality::tokens(&bundle, &samples)?;
            counts.insert("model".into(), inputs.len());
            runs.insert("model".into(), inputs);
        }
        let recorded = Recorded {
            source: samples.source.clone(),
            samples: samples.items.len(),
            sha256: samples.sha256.clone(),
            runs: counts,
        };
        self.calibration = Some(Calibration {
            samples,
            answers,
            runs,
        });
        Ok(Some(recorded))
    }

    fn try_replay(
        &mut self,
        role: &str,
        graph: &Path,
        runs: usize,
        see: See<'_>,
    ) -> anyhow::Result<()> {
        let mut session = Session::load(&graph.into(), &Options::default())?;
        for (i, inputs) in self.runs(role).iter().take(runs).enumerate() {
            for (name, tensor) in session.run_tensors(inputs)? {
                if let TensorData::F32(values) = &tensor.data {
                    see(i, &name, &tensor.shape, values);
                }
            }
        }
        Ok(())
    }

    fn try_time(&mut self, role: &str, graphs: &[&Path]) -> anyhow::Result<Vec<f64>> {
        let mut sessions = Vec::new();
        for graph in graphs {
            sessions.push(Session::load(&(*graph).into(), &Options::default())?);
        }
        let runs = self.runs(role);
        let mut times = vec![Vec::new(); graphs.len()];
        let mut spent = Duration::ZERO;
        let [least, most] = TIMED_RUNS;
        // The first round warms up.
        for round in 0..=most {
            let Some(inputs) = runs.get(round % runs.len().max(1)) else {
                break;
            };
            if round > least && spent > TIMED {
                break;
            }
            for (session, times) in sessions.iter_mut().zip(&mut times) {
                let time = session.time_run(inputs)?;
                if round > 0 {
                    times.push(time);
                    spent += time;
                }
            }
        }
        Ok(times.into_iter().map(median_ms).collect())
    }

    fn try_score(&mut self, folder: &Path, variant: &str) -> anyhow::Result<Option<Quality>> {
        let bundle = Bundle::load(folder)?;
        if let Some(labelled) = &self.labelled {
            return Ok(Some(labelled.quality(&bundle, variant)?));
        }
        let Some(calibration) = &self.calibration else {
            return Ok(None);
        };
        match &calibration.answers {
            Some(answers) if !matches!(answers.first(), Some(Answer::Tensors(_))) => {
                let samples = &calibration.samples;
                Ok(quality::agreement(&bundle, variant, samples, answers)?)
            }
            // The search compares outputs by itself.
            _ => Ok(None),
        }
    }
}

impl Side {
    fn runs(&self, role: &str) -> &[Named] {
        let calibration = self.calibration.as_ref();
        calibration
            .and_then(|c| c.runs.get(role))
            .map_or(&[], Vec::as_slice)
    }
}

/// Options for a variant of the bundle.
fn options(variant: &str) -> Options {
    let mut options = Options::default();
    options.variant = Some(variant.into());
    options
}
