//! Simplification holds on random graphs: the same answers before and after, through ONNX Runtime.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use bevel::{Options, Runtime, RuntimeOptions, Session, Tensor, TensorData};
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

fn run(graph: &Graph, folder: &Path, inputs: &BTreeMap<String, Tensor>) -> Vec<f64> {
    let path = folder.join("g.onnx");
    graph.save(&path).unwrap();
    let mut session = Session::load(&path.as_path().into(), &Options::default()).unwrap();
    let outputs = session.run_tensors(inputs).unwrap();
    assert_eq!(outputs["y"].shape, inputs["x"].shape);
    outputs["y"].data.to_f64()
}

fn start() {
    let library = root().join("target/onnxruntime/host/libonnxruntime.so");
    let mut options = RuntimeOptions::default();
    options.library = Some(library);
    Runtime::start(&options).unwrap();
}

/// Fails where an answer is not what it was, but for the order of sums.
fn assert_same(expected: &[f64], found: &[f64], what: &str) {
    // Scaled weights round otherwise; nets of a dozen steps may make numbers large.
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (a, b) in expected.iter().zip(found) {
        let same = (a - b).abs() <= 1e-5 * scale || a.is_nan() && b.is_nan();
        assert!(same, "{what}: {a} became {b}");
    }
}

#[test]
fn random_graphs_answer_the_same() {
    start();
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
        let inputs = BTreeMap::from([("x".to_owned(), x)]);
        let expected = run(&plain, folder.path(), &inputs);
        let found = run(&simple, folder.path(), &inputs);
        assert_same(&expected, &found, &format!("seed {seed}: {done:?}"));
    }
    assert!(after * 3 < before * 2, "{before} nodes became {after}");
}

/// Layers of transformers in their parts, in the forms of different exporters. Every value is N×T×D.
struct Block {
    net: Net,
    heads: usize,
    width: usize,
    /// A mask N×T hides padding.
    masked: bool,
    /// Products of attention are those of dynamic int8.
    quantized: bool,
}

impl Block {
    fn size(&self) -> usize {
        self.heads * self.width
    }

    fn scalar(&mut self, value: f32) -> String {
        let tensor = bevel_onnx::Tensor::scalar("c", value);
        self.net.graph.initializer(tensor)
    }

    fn op(&mut self, op: &str, inputs: &[&str]) -> String {
        self.net.op(op, inputs, [])
    }

    fn vector(&mut self, offset: f32) -> String {
        let size = self.size();
        self.net.floats(&[size], offset)
    }

    fn norm(&mut self, x: &str) -> String {
        let (axes, epsilon) = (self.net.ints(&[-1]), self.scalar(1e-5));
        let mean = self.op("ReduceMean", &[x, &axes]);
        let c = self.op("Sub", &[x, &mean]);
        let square = match self.net.lot.below(2) {
            0 => self.op("Mul", &[&c, &c]),
            _ => {
                let two = self.scalar(2.0);
                self.op("Pow", &[&c, &two])
            }
        };
        let variance = self.op("ReduceMean", &[&square, &axes]);
        let sum = self.op("Add", &[&variance, &epsilon]);
        let root = self.op("Sqrt", &[&sum]);
        let mut y = self.op("Div", &[&c, &root]);
        if self.net.lot.below(4) > 0 {
            let w = self.vector(1.5);
            y = self.op("Mul", &[&y, &w]);
            let b = self.vector(0.0);
            y = self.op("Add", &[&y, &b]);
        }
        y
    }

    fn gelu(&mut self, x: &str) -> String {
        let (one, half) = (self.scalar(1.0), self.scalar(0.5));
        let gate = match self.net.lot.below(2) {
            0 => {
                let root = self.scalar(std::f32::consts::SQRT_2);
                let inside = self.op("Div", &[x, &root]);
                self.op("Erf", &[&inside])
            }
            _ => {
                let (three, small) = (self.scalar(3.0), self.scalar(0.044_715));
                let root = self.scalar((2.0 / std::f32::consts::PI).sqrt());
                let cube = self.op("Pow", &[x, &three]);
                let cube = self.op("Mul", &[&cube, &small]);
                let sum = self.op("Add", &[x, &cube]);
                let inside = self.op("Mul", &[&sum, &root]);
                self.op("Tanh", &[&inside])
            }
        };
        let gate = self.op("Add", &[&gate, &one]);
        let x = self.op("Mul", &[x, &half]);
        self.op("Mul", &[&x, &gate])
    }

    /// x·W, by the codes of x where there are some.
    fn product(&mut self, x: &str, codes: Option<&[String; 3]>) -> String {
        let size = self.size();
        let Some([codes, scale, zero]) = codes else {
            let w = self.net.floats(&[size, size], 0.0);
            return self.op("MatMul", &[x, &w]);
        };
        let weight = (0..size * size).map(|_| (self.net.lot.number() * 127.0) as i8);
        let weight = bevel_onnx::Tensor::i8("w", &[size, size], weight.collect());
        let weight = self.net.graph.initializer(weight);
        let scales = self.net.floats(&[size], 1.5);
        let small = self.scalar(0.01);
        // A constant, once constants are folded.
        let scales = self.op("Mul", &[&scales, &small]);
        let scale = self.op("Mul", &[scale, &scales]);
        let y = self.op("MatMulInteger", &[codes, &weight, zero]);
        let float = i64::from(DType::F32.code());
        let y = self.net.op("Cast", &[&y], [("to", float.into())]);
        self.op("Mul", &[&y, &scale])
    }

    fn attention(&mut self, x: &str) -> String {
        let codes = self.quantized.then(|| {
            let graph = &mut self.net.graph;
            graph.node_of("DynamicQuantizeLinear", &[x], [])
        });
        let (heads, width) = (self.heads as i64, self.width as i64);
        let cut = self.net.ints(&[0, 0, heads, width]);
        let biased = self.net.lot.below(3) > 0;
        let mut part = |perm: [i64; 4]| {
            let mut y = self.product(x, codes.as_ref());
            if biased {
                let b = self.vector(0.0);
                y = self.op("Add", &[&y, &b]);
            }
            let y = self.op("Reshape", &[&y, &cut]);
            self.net.op("Transpose", &[&y], [("perm", perm.into())])
        };
        let (q, k, v) = (part([0, 2, 1, 3]), part([0, 2, 3, 1]), part([0, 2, 1, 3]));
        let mut scores = self.op("MatMul", &[&q, &k]);
        let root = (self.width as f32).sqrt();
        scores = match self.net.lot.below(3) {
            0 => {
                let root = self.scalar(root);
                self.op("Div", &[&scores, &root])
            }
            1 => {
                let factor = self.scalar(1.0 / root);
                self.op("Mul", &[&factor, &scores])
            }
            _ => scores,
        };
        if self.masked {
            let (axes, zero) = (self.net.ints(&[1, 2]), self.scalar(0.0));
            let fill = self.scalar(f32::MIN);
            let bool = i64::from(DType::Bool.code());
            let keep = self.op("Unsqueeze", &["mask", &axes]);
            let keep = self.net.op("Cast", &[&keep], [("to", bool.into())]);
            let bias = self.op("Where", &[&keep, &zero, &fill]);
            scores = self.op("Add", &[&scores, &bias]);
        }
        let shares = self.op("Softmax", &[&scores]);
        let y = self.op("MatMul", &[&shares, &v]);
        let back = self.net.ints(&[0, 0, heads * width]);
        let y = self
            .net
            .op("Transpose", &[&y], [("perm", [0, 2, 1, 3].into())]);
        self.op("Reshape", &[&y, &back])
    }
}

/// A graph of layers that normalise before or behind, and N and T.
fn layers(seed: u64) -> (Graph, [usize; 2]) {
    let mut lot = Lot(seed);
    let sizes = [1 + lot.below(3), 1 + lot.below(9)];
    let mut block = Block {
        heads: 2 + lot.below(3),
        width: [4, 8][lot.below(2)],
        masked: lot.below(2) == 0,
        quantized: lot.below(3) == 0,
        net: Net {
            graph: Graph::new("g"),
            lot,
            values: Vec::new(),
        },
    };
    let open = || [Dim::named("n"), Dim::named("t")];
    let size = Dim::Fixed(block.size());
    let graph = &mut block.net.graph;
    let mut x = graph.input("x", DType::F32, open().into_iter().chain([size]));
    if block.masked {
        graph.input("mask", DType::I64, open());
    }
    // Codes jump where what is quantised moves a little: only the input itself is.
    let (count, forms) = match block.quantized {
        true => (1, 1),
        false => (1 + block.net.lot.below(2), 2),
    };
    for _ in 0..count {
        x = match block.net.lot.below(forms) {
            0 => {
                let y = block.attention(&x);
                let sum = block.op("Add", &[&y, &x]);
                let x = block.norm(&sum);
                let y = block.gelu(&x);
                let sum = block.op("Add", &[&x, &y]);
                block.norm(&sum)
            }
            _ => {
                let y = block.norm(&x);
                let y = block.attention(&y);
                let x = block.op("Add", &[&x, &y]);
                let y = block.norm(&x);
                let y = block.gelu(&y);
                block.op("Add", &[&y, &x])
            }
        };
    }
    let graph = &mut block.net.graph;
    let y = graph.node("Identity", &[&x], []);
    graph.output(&y, "y", DType::F32, vec![Dim::Unknown; 3]);
    (block.net.graph, sizes)
}

#[test]
fn random_layers_answer_the_same_in_one_piece() {
    start();
    let folder = tempfile::tempdir().unwrap();
    let mut found = BTreeMap::new();
    for seed in 0..GRAPHS {
        let (plain, [n, t]) = layers(seed);
        let mut simple = plain.clone();
        let done = simple.simplify();
        let mut fused = simple.clone();
        for (name, count) in fused.fuse().found.into_iter().chain(done.found) {
            *found.entry(name).or_insert(0) += count;
        }
        let Some([.., Dim::Fixed(size)]) = plain.inputs[0].dims.as_deref() else {
            panic!("seed {seed}: a width that is not fixed");
        };
        let mut lot = Lot(!seed);
        let values = (0..n * t * size).map(|_| lot.number()).collect();
        let x = Tensor::new(vec![n, t, *size], TensorData::F32(values)).unwrap();
        let mut inputs = BTreeMap::from([("x".to_owned(), x)]);
        if plain.inputs.len() > 1 {
            // The first token of each row is there.
            let mask = (0..n * t).map(|i| (i % t == 0 || lot.below(3) > 0).into());
            let mask = Tensor::new(vec![n, t], TensorData::I64(mask.collect())).unwrap();
            inputs.insert("mask".into(), mask);
        }
        let expected = run(&plain, folder.path(), &inputs);
        for (graph, what) in [(&simple, "simplified"), (&fused, "fused")] {
            let answers = run(graph, folder.path(), &inputs);
            assert_same(&expected, &answers, &format!("seed {seed}, {what}"));
        }
    }
    for name in [
        "attention",
        "gelu of its parts",
        "layer norm of its parts",
        "sum and layer norm",
    ] {
        let count = found.get(name).copied().unwrap_or(0);
        assert!(count >= GRAPHS as usize, "{name}: {count} times");
    }
}
