//! Runs graphs, and records what they do, for tests.

use std::collections::BTreeMap;

use bevel::TensorData;
use bevel::tensors::Named;
use bevel_onnx::{Attribute, DType, Dim, Graph, Tensor};

use super::trial::session;
use super::{Seen, seen};

/// Numbers between −1 and 1 that look random.
pub(super) struct Noise(pub u32);

impl Noise {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    }

    pub fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// A picture of 16×16 with `channels`, in a batch of one.
pub(super) const SIDE: usize = 16;

/// Adds a graph's picture.
pub(super) fn picture(graph: &mut Graph, channels: usize) -> String {
    let side = || Dim::Fixed(SIDE);
    let dims = [Dim::named("n"), Dim::Fixed(channels), side(), side()];
    graph.input("x", DType::F32, dims)
}

/// Adds a convolution with zeros around, so that the size stays.
pub(super) fn convolution(
    graph: &mut Graph,
    x: &str,
    [outputs, inputs, side]: [usize; 3],
    groups: usize,
    noise: &mut Noise,
) -> String {
    let each = inputs / groups * side * side;
    let scale = 1.7 / (each as f32).sqrt();
    let weights = noise.take(outputs * each).into_iter().map(|w| w * scale);
    let dims = [outputs, inputs / groups, side, side];
    let weights = graph.initializer(Tensor::f32("weight", &dims, weights.collect()));
    let bias = graph.initializer(Tensor::f32("bias", &[outputs], noise.take(outputs)));
    let pad = (side / 2) as i64;
    let attributes: [(&str, Attribute); 2] =
        [("pads", [pad; 4].into()), ("group", (groups as i64).into())];
    graph.node("Conv", &[x, &weights, &bias], attributes)
}

/// x·σ(x)
pub(super) fn silu(graph: &mut Graph, x: &str) -> String {
    let sigmoid = graph.node("Sigmoid", &[x], []);
    graph.node("Mul", &[x, &sigmoid], [])
}

pub(super) fn output(graph: &mut Graph, value: &str, rank: usize) {
    let name = format!("y{}", graph.outputs.len());
    graph.output(value, &name, DType::F32, vec![Dim::Unknown; rank]);
}

/// Pictures for a graph.
pub(super) fn pictures(count: usize, channels: usize) -> Vec<Vec<f32>> {
    let mut noise = Noise(7);
    (0..count)
        .map(|_| noise.take(channels * SIDE * SIDE))
        .collect()
}

/// What a graph answers, all pictures one after the other.
pub(super) fn answers(graph: &Graph, pictures: &[Vec<f32>]) -> BTreeMap<String, Vec<f32>> {
    let mut all: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    run(graph, pictures, |name, _, elements| {
        all.entry(name.to_owned()).or_default().extend(elements);
    });
    all
}

/// What calibration sees.
pub(super) fn record(graph: &Graph, values: &[String], pictures: &[Vec<f32>]) -> Seen {
    let mut seen = Seen::default();
    let is_input = |name: &str| graph.inputs.iter().any(|input| input.name == name);
    let made = values
        .iter()
        .map(String::as_str)
        .filter(|name| !is_input(name));
    let tapped = seen::tapped(graph, made);
    for picture in pictures {
        seen.note("x", &[1, picture.len() / SIDE / SIDE, SIDE, SIDE], picture);
    }
    run(&tapped, pictures, |name, dims, elements| {
        if values.iter().any(|value| value == name) {
            seen.note(name, dims, elements);
        }
    });
    seen
}

fn run(graph: &Graph, pictures: &[Vec<f32>], mut each: impl FnMut(&str, &[usize], &[f32])) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.onnx");
    graph.check().unwrap();
    graph.save(&path).unwrap();
    let mut session = session(&path);
    for picture in pictures {
        let shape = vec![1, picture.len() / SIDE / SIDE, SIDE, SIDE];
        let data = TensorData::F32(picture.clone());
        let input = bevel::Tensor::new(shape, data).unwrap();
        let inputs: Named = [("x".to_owned(), input)].into();
        for (name, tensor) in session.run_tensors(&inputs).unwrap() {
            if let TensorData::F32(elements) = &tensor.data {
                each(&name, &tensor.shape, elements);
            }
        }
    }
}
