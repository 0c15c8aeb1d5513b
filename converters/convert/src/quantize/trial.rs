//! Graphs of tests, run by ONNX Runtime.

use std::path::Path;

use bevel::tensors::Named;
use bevel::{Options, Runtime, RuntimeOptions, Session, TensorData};
use bevel_onnx::{DType, Dim, Graph, Tensor};

use super::Seen;
use super::seen::tapped;

/// Numbers between −1 and 1, the same for the same seed.
pub(crate) fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A constant of noise.
pub(crate) fn constant(graph: &mut Graph, name: &str, dims: &[usize], seed: u32) -> String {
    let elements = noise(dims.iter().product(), seed);
    graph.initializer(Tensor::f32(name, dims, elements))
}

/// An f32 input of these dimensions; 0 stands for one that is open.
pub(crate) fn input(graph: &mut Graph, name: &str, dims: &[usize]) -> String {
    graph.input(name, DType::F32, dims.iter().enumerate().map(open))
}

/// Ends the graph in this value.
pub(crate) fn output(graph: &mut Graph, value: &str, name: &str, rank: usize) {
    graph.output(value, name, DType::F32, vec![Dim::Unknown; rank]);
}

fn open((i, size): (usize, &usize)) -> Dim {
    match size {
        0 => Dim::named(format!("d{i}")),
        size => Dim::Fixed(*size),
    }
}

pub(crate) fn f32s(dims: &[usize], elements: Vec<f32>) -> bevel::Tensor {
    bevel::Tensor::new(dims.to_vec(), TensorData::F32(elements)).unwrap()
}

pub(crate) fn i64s(dims: &[usize], elements: Vec<i64>) -> bevel::Tensor {
    bevel::Tensor::new(dims.to_vec(), TensorData::I64(elements)).unwrap()
}

/// What a graph answers.
pub(crate) fn run(graph: &Graph, inputs: &Named) -> Named {
    graph.check().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("g.onnx");
    graph.save(&path).unwrap();
    session(&path).run_tensors(inputs).unwrap()
}

/// A graph in ONNX Runtime.
pub(crate) fn session(path: &Path) -> Session {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut options = RuntimeOptions::default();
    options.library = Some(root.join("target/onnxruntime/host/libonnxruntime.so"));
    Runtime::start(&options).unwrap();
    Session::load(&path.into(), &Options::default()).unwrap()
}

/// Takes note of these values.
pub(crate) fn see(graph: &Graph, values: &[String], inputs: &Named) -> Seen {
    let mut seen = Seen::default();
    let found = run(&tapped(graph, values.iter().map(String::as_str)), inputs);
    for name in values {
        let TensorData::F32(elements) = &found[name].data else {
            panic!("{name} is not f32");
        };
        seen.note(name, &found[name].shape, elements);
    }
    seen
}

/// Elements of an output.
pub(crate) fn floats(named: &Named, name: &str) -> Vec<f32> {
    let TensorData::F32(elements) = &named[name].data else {
        panic!("{name} is not f32");
    };
    elements.clone()
}
