use bevel::TensorData;
use bevel::tensors::Named;
use bevel_manifest::{Decode, FORMAT_VERSION, Input, Task};
use bevel_onnx::Tensor;

use super::*;
use crate::arch::model;
use crate::error::BoxError;
use crate::judge::See;
use crate::quantize::trial;
use crate::variants::Wanted;

/// Width of the layers.
const WIDTH: usize = 128;

/// Runs graphs in ONNX Runtime, and says of times what it was told.
struct Bench {
    runs: Vec<Named>,
    ratio: f64,
}

impl Judge for Bench {
    fn record(&mut self, _: &Path, _: &Manifest) -> Result<Option<Recorded>, BoxError> {
        Ok(Some(Recorded {
            source: "noise".into(),
            samples: self.runs.len(),
            sha256: "0".repeat(64),
            runs: BTreeMap::from([("model".into(), self.runs.len())]),
        }))
    }

    fn replay(&mut self, _: &str, graph: &Path, runs: usize, see: See<'_>) -> Result<(), BoxError> {
        let mut session = trial::session(graph);
        for (i, inputs) in self.runs.iter().take(runs).enumerate() {
            for (name, tensor) in session.run_tensors(inputs)? {
                if let TensorData::F32(values) = &tensor.data {
                    see(i, &name, &tensor.shape, values);
                }
            }
        }
        Ok(())
    }

    fn time(&mut self, _: &str, _: &[&Path]) -> Result<Vec<f64>, BoxError> {
        Ok(vec![1.0, self.ratio])
    }

    fn score(&mut self, _: &Path, _: &Manifest, _: &str) -> Result<Option<Quality>, BoxError> {
        Ok(None)
    }

    fn machine(&self) -> String {
        "none".into()
    }
}

/// Four layers. In front of the third, two features of the activation are `outlier` times as large as
/// the others, and the weights that read them as much smaller: one scale for all loses the others.
fn network(outlier: f32) -> Graph {
    let mut graph = Graph::new("g");
    let mut x = trial::input(&mut graph, "x", &[0, WIDTH]);
    for layer in 0..4 {
        let mut weight = trial::noise(WIDTH * WIDTH, layer + 1);
        for (i, w) in weight.iter_mut().enumerate() {
            let (row, column) = (i / WIDTH, i % WIDTH);
            match layer {
                1 if column < 2 => *w *= outlier,
                2 if row < 2 => *w /= outlier,
                _ => {}
            }
        }
        let name = format!("layer.{layer}");
        let weight = graph.initializer(Tensor::f32(&name, &[WIDTH, WIDTH], weight));
        graph.set_scope(name);
        x = graph.node("MatMul", &[&x, &weight], []);
    }
    trial::output(&mut graph, &x, "y", 2);
    graph
}

/// What the search makes of a network in a way, and what the gate says of it.
fn found(graph: Graph, way: Way, ratio: f64, gate: &str) -> (Candidate, Result<(), Error>) {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::new(&folder.path().join("m.bevel")).unwrap();
    let graphs = model(graph);
    let reference = Candidate::write(Scheme::Fp32, &graphs, true, staging.dir()).unwrap();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        name: "m".into(),
        task: Task::Tensors,
        family: "mlp".into(),
        variant: "fp32".into(),
        files: Vec::new(),
        input: Input::Tensors,
        decode: Decode::Tensors,
        variants: vec![reference.variant()],
        provenance: None,
    };
    let mut options = Options::default();
    options.gate.add(gate).unwrap();
    options.quantize = "int8".parse().unwrap();
    let runs = (0..8).map(|seed| {
        let x = trial::f32s(&[16, WIDTH], trial::noise(16 * WIDTH, seed + 100));
        Named::from([("x".to_owned(), x)])
    });
    let mut judge = Bench {
        runs: runs.collect(),
        ratio,
    };
    let mut search =
        Search::new(&mut judge, &staging, &manifest, &graphs, &options, false).unwrap();
    let mut progress = |_: &_| {};
    let mut clock = Clock::new(&mut progress);
    let best = search.best_of(Scheme::Int8, &[way], &mut clock).unwrap();
    let mut best = best.unwrap();
    let wanted = Wanted::new(&options, true, Scheme::Fp32, &graphs);
    let verdict = best.verdict(&wanted, &options.gate);
    (best, verdict)
}

const SOUND: Way = Way::Dynamic { alpha: None };

/// The gate can fail: a quantiser with a bug does not get through, whatever is kept in float.
#[test]
fn a_broken_quantiser_is_caught() {
    let gate = "output-agreement=0.01";
    let (sound, verdict) = found(network(1.0), SOUND, 0.5, gate);
    verdict.unwrap();
    assert!(sound.kept_float.is_empty());

    let (broken, verdict) = found(network(1.0), Way::Broken, 0.5, gate);
    let error = verdict.unwrap_err();
    assert_eq!(error.kind(), bevel_manifest::ErrorKind::Quality);
    assert!(error.to_string().contains("output-agreement"), "{error}");
    let fails = broken.trials.iter().map(|trial| trial.fails.is_some());
    assert!(
        fails.clone().count() > 1 && fails.clone().all(|f| f),
        "{:?}",
        broken.trials
    );
}

#[test]
fn the_layer_that_hurts_stays_in_float() {
    let gate = "output-agreement=0.01";
    let (best, verdict) = found(network(300.0), SOUND, 0.5, gate);
    verdict.unwrap();
    assert_eq!(best.kept_float, ["layer.2/MatMul"], "{:?}", best.trials);
    assert!(best.trials[0].fails.is_some());
    assert_eq!(best.trials.last().unwrap().layers_kept, 1);
    // The same by moving outliers into the weights, with all layers in int8.
    let smooth = Way::Dynamic { alpha: Some(0.5) };
    let (best, verdict) = found(network(300.0), smooth, 0.5, gate);
    verdict.unwrap();
    assert!(best.kept_float.is_empty());
}
