//! Simplification holds on random graphs: the same answers before and after, through ONNX Runtime.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use bevel::{Devices, Runtime, RuntimeOptions, Session, Tensor, TensorData};
use bevel_onnx::{Attribute, DType, Dim, Graph};
use bevel_tests::root;

const GRAPHS: u64 = 150;

/// A generator of numbers (Steele et al. 2014, SplitMix64), so that a graph is told by its seed.
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn number(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32 * 2.0 - 1.0
    }
}

/// A graph under construction: every value is N×4×H×W for the same H and W.
struct Net {
    graph: Graph,
    lot: Lot,
    values: Vec<String>,
}

const CHANNELS: usize = 4;
const SIDE: usize = 6;

impl Net {
    fn floats(&mut self, dims: &[usize], offset: f32) -> String {
        let count = dims.iter().product();
        let values = (0..count).map(|_| self.lot.number() + offset).collect();
        self.graph
            .initializer(bevel_onnx::Tensor::f32("f", dims, values))
    }

    fn ints(&mut self, values: &[i64]) -> String {
        self.graph
            .initializer(bevel_onnx::Tensor::i64s("i", values))
    }

    fn any(&mut self) -> String {
        // The newest more often, so that chains come about.
        let back = self.lot.below(3) * self.lot.below(2);
        let last = self.values.len() - 1;
        self.values[last.saturating_sub(back)].clone()
    }

    fn op<const A: usize>(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: [(&str, Attribute); A],
    ) -> String {
        self.graph.node(op, inputs, attributes)
    }

    /// Adds a step that keeps the shape, most of them patterns that some pass looks for.
    fn step(&mut self) {
        let x = self.any();
        let scalars = [1.0, 0.0, 2.0, -0.5];
        let y = match self.lot.below(17) {
            0 => {
                let (w, b) = (
                    self.floats(&[CHANNELS, CHANNELS, 3, 3], 0.0),
                    self.floats(&[CHANNELS], 0.0),
                );
                self.op("Conv", &[&x, &w, &b], [("pads", [1, 1, 1, 1].into())])
            }
            1 => {
                let w = self.floats(&[CHANNELS, 2, 1, 1], 0.0);
                self.op("ConvTranspose", &[&x, &w], [("group", 2.into())])
            }
            2 => {
                let parts = [0.5, 0.0, 0.0, 1.5].map(|offset| self.floats(&[CHANNELS], offset));
                let [s, b, m, v] = &parts;
                self.op("BatchNormalization", &[&x, s, b, m, v], [])
            }
            3 => {
                let shapes: [&[usize]; 5] =
                    [&[], &[1], &[CHANNELS, 1, 1], &[SIDE], &[1, CHANNELS, 1, 1]];
                let shape = shapes[self.lot.below(5)];
                let c = self.floats(shape, 1.5);
                let op = ["Mul", "Add", "Sub", "Div"][self.lot.below(4)];
                match self.lot.below(2) {
                    0 => self.op(op, &[&x, &c], []),
                    _ => self.op(op, &[&c, &x], []),
                }
            }
            4 => {
                let value = scalars[self.lot.below(4)];
                let c = self
                    .graph
                    .initializer(bevel_onnx::Tensor::scalar("c", value));
                let op = ["Mul", "Add", "Sub"][self.lot.below(3)];
                self.op(op, &[&x, &c], [])
            }
            5 => {
                let a = self.op("Transpose", &[&x], [("perm", [0, 2, 3, 1].into())]);
                let a = match self.lot.below(2) {
                    0 => self.op("Relu", &[&a], []),
                    _ => a,
                };
                self.op("Transpose", &[&a], [("perm", [0, 3, 1, 2].into())])
            }
            6 => {
                let around = [0, 0, 1, 1, 0, 0, 1, 1];
                let pads = self.ints(&around);
                let p = self.op("Pad", &[&x, &pads], []);
                let w = self.floats(&[CHANNELS, 1, 3, 3], 0.0);
                self.op("Conv", &[&p, &w], [("group", (CHANNELS as i64).into())])
            }
            7 => {
                let shape = self.op("Shape", &[&x], []);
                let (zero, rest) = (self.ints(&[0]), self.ints(&[-1]));
                let n = self.op("Gather", &[&shape, &zero], []);
                let flat = self.op("Concat", &[&n, &rest], [("axis", 0.into())]);
                let f = self.op("Reshape", &[&x, &flat], []);
                let f = self.op("Tanh", &[&f], []);
                self.op("Reshape", &[&f, &shape], [])
            }
            8 => {
                let half = CHANNELS as i64 / 2;
                let parts = self.ints(&[half, half]);
                let [a, b] = self
                    .graph
                    .node_of("Split", &[&x, &parts], [("axis", 1.into())]);
                let inner = self.op("Concat", &[&b], [("axis", 1.into())]);
                self.op("Concat", &[&inner, &a], [("axis", (-3).into())])
            }
            9 => {
                let (a, b) = (self.any(), self.any());
                let sum = self.op("Add", &[&a, &b], []);
                let again = self.op("Add", &[&a, &b], []);
                self.op("Mul", &[&sum, &again], [])
            }
            10 => {
                let axis = self.ints(&[self.values.len() as i64 % 5]);
                let u = self.op("Unsqueeze", &[&x, &axis], []);
                let u = self.op("Sigmoid", &[&u], []);
                self.op("Squeeze", &[&u, &axis], [])
            }
            11 => {
                let (starts, ends) = (self.ints(&[0, 0]), self.ints(&[i64::MAX, 1000]));
                let axes = self.ints(&[2, 3]);
                self.op("Slice", &[&x, &starts, &ends, &axes], [])
            }
            12 => {
                let (starts, ends) = (self.ints(&[-1]), self.ints(&[i64::MIN]));
                let (axis, step) = (self.ints(&[3]), self.ints(&[-1]));
                self.op("Slice", &[&x, &starts, &ends, &axis, &step], [])
            }
            13 => {
                let flat = self.op("Flatten", &[&x], [("axis", 3.into())]);
                let soft = self.op("Softmax", &[&flat], [("axis", (-1).into())]);
                let shape = self.op("Shape", &[&x], []);
                self.op("Reshape", &[&soft, &shape], [])
            }
            14 => {
                let one = self.op("Cast", &[&x], [("to", i64::from(DType::F64.code()).into())]);
                self.op(
                    "Cast",
                    &[&one],
                    [("to", i64::from(DType::F32.code()).into())],
                )
            }
            15 => {
                let (a, b) = (self.floats(&[SIDE], 0.0), self.floats(&[SIDE, 1], 0.0));
                let c = self.op("Add", &[&a, &b], []);
                let c = self.op("Exp", &[&c], []);
                self.op("Min", &[&x, &c], [])
            }
            _ => {
                let op = ["Identity", "Relu", "Dropout", "Neg", "Abs"][self.lot.below(5)];
                self.op(op, &[&x], [])
            }
        };
        self.values.push(y);
    }
}

fn graph(seed: u64) -> Graph {
    let mut net = Net {
        graph: Graph::new("g"),
        lot: Lot(seed),
        values: Vec::new(),
    };
    // Every other one with open sizes.
    let side = |name: &str| match seed.is_multiple_of(2) {
        true => Dim::Fixed(SIDE),
        false => Dim::named(name),
    };
    let dims = [Dim::named("n"), Dim::Fixed(CHANNELS), side("h"), side("w")];
    let x = net.graph.input("x", DType::F32, dims);
    net.values.push(x);
    for _ in 0..4 + seed % 12 {
        net.step();
    }
    let last = net.values.last().unwrap().clone();
    let y = net.op("Identity", &[&last], []);
    net.graph.output(&y, "y", DType::F32, vec![Dim::Unknown; 4]);
    net.graph
}

fn run(graph: &Graph, folder: &Path, x: &Tensor) -> Vec<f64> {
    let path = folder.join("g.onnx");
    graph.save(&path).unwrap();
    let mut session = Session::load(&path, &Devices::default()).unwrap();
    let inputs = BTreeMap::from([("x".to_owned(), x.clone())]);
    let outputs = session.run_tensors(&inputs).unwrap();
    assert_eq!(outputs["y"].shape, x.shape);
    outputs["y"].data.to_f64()
}

#[test]
fn random_graphs_answer_the_same() {
    let library = root().join("target/onnxruntime/host/libonnxruntime.so");
    let mut options = RuntimeOptions::default();
    options.library = Some(library);
    Runtime::start(&options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut before, mut after) = (0, 0);
    for seed in 0..GRAPHS {
        let plain = graph(seed);
        let mut simple = plain.clone();
        let done = simple.simplify();
        (before, after) = (before + done.before, after + done.after);
        let mut lot = Lot(!seed);
        let shape = vec![2, CHANNELS, SIDE, SIDE];
        let values = (0..shape.iter().product()).map(|_| lot.number()).collect();
        let x = Tensor::new(shape, TensorData::F32(values)).unwrap();
        let expected = run(&plain, folder.path(), &x);
        let found = run(&simple, folder.path(), &x);
        // Scaled weights round otherwise; nets of a dozen steps may make numbers large.
        let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        for (a, b) in expected.iter().zip(&found) {
            let same = (a - b).abs() <= 1e-5 * scale || a.is_nan() && b.is_nan();
            assert!(same, "seed {seed}: {a} became {b}: {done:?}");
        }
    }
    assert!(after * 3 < before * 2, "{before} nodes became {after}");
}
