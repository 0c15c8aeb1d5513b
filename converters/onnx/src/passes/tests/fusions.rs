//! Operators that are put together of their parts, and parts that only look like them.

use super::*;

/// Over `x`, f32 N×T×8.
fn tokens(build: Build) -> Graph {
    let dims = [Dim::named("n"), Dim::named("t"), Dim::Fixed(8)];
    let mut graph = Graph::new("g");
    graph.input("x", DType::F32, dims);
    graph.input("e", DType::F32, [Dim::Fixed(1)]);
    let other = [Dim::named("n"), Dim::named("t"), Dim::Fixed(8)];
    graph.input("z", DType::F32, other);
    let mask = [Dim::named("n"), Dim::named("t")];
    graph.input("mask", DType::I64, mask);
    let y = build(&mut graph);
    graph.output(&y, "y", DType::F32, vec![Dim::Unknown; 3]);
    graph
}

fn number(g: &mut Graph, value: f32) -> String {
    g.initializer(Tensor::scalar("c", value))
}

fn vector(g: &mut Graph) -> String {
    weight(g, &[8])
}

/// How a test's normalisation differs from one.
#[derive(Clone, Copy)]
struct Norm {
    axis: i64,
    keep: i64,
    power: f32,
    squared: bool,
    open_epsilon: bool,
}

const NORM: Norm = Norm {
    axis: -1,
    keep: 1,
    power: 2.0,
    squared: false,
    open_epsilon: false,
};

/// The centred value and the normalised one.
fn norm_parts(g: &mut Graph, norm: Norm) -> [String; 2] {
    let axes = ints(g, &[norm.axis]);
    let keep = || [("keepdims", norm.keep.into())];
    let mean = g.node("ReduceMean", &["x", &axes], []);
    let c = g.node("Sub", &["x", &mean], []);
    let square = match norm.squared {
        true => g.node("Mul", &[&c, &c], []),
        false => {
            let two = number(g, norm.power);
            g.node("Pow", &[&c, &two], [])
        }
    };
    let variance = g.node("ReduceMean", &[&square, &axes], keep());
    let epsilon = match norm.open_epsilon {
        true => "e".to_owned(),
        false => number(g, 1e-5),
    };
    let sum = g.node("Add", &[&epsilon, &variance], []);
    let root = g.node("Sqrt", &[&sum], []);
    let normed = g.node("Div", &[&c, &root], []);
    [c, normed]
}

fn with_affine(g: &mut Graph, normed: &str) -> String {
    let (w, b) = (vector(g), vector(g));
    let y = g.node("Mul", &[&w, normed], []);
    g.node("Add", &[&y, &b], [])
}

/// ½·x·gate, in one order.
fn gelu_of(g: &mut Graph, gate: &str, half: f32) -> String {
    let half = number(g, half);
    let y = g.node("Mul", &["x", gate], []);
    g.node("Mul", &[&y, &half], [])
}

fn erf_gate(g: &mut Graph) -> String {
    let (root, one) = (number(g, std::f32::consts::SQRT_2), number(g, 1.0));
    let inside = g.node("Div", &["x", &root], []);
    let erf = g.node("Erf", &[&inside], []);
    g.node("Add", &[&erf, &one], [])
}

fn tanh_gate(g: &mut Graph, inside: &str) -> String {
    let one = number(g, 1.0);
    let tanh = g.node("Tanh", &[inside], []);
    g.node("Add", &[&one, &tanh], [])
}

/// √(2/π).
const ROOT: f32 = 0.797_884_6;

#[test]
fn operators_are_found_in_their_parts() {
    struct Case {
        name: &'static str,
        build: Build,
        expected: &'static [&'static str],
    }
    const PARTS: &[&str] = &[
        "ReduceMean",
        "Sub",
        "Pow",
        "ReduceMean",
        "Add",
        "Sqrt",
        "Div",
    ];
    let cases = [
        Case {
            name: "a layer norm with weight and bias",
            build: |g| {
                let [_, y] = norm_parts(g, NORM);
                with_affine(g, &y)
            },
            expected: &["LayerNormalization"],
        },
        Case {
            name: "squared by itself, without a bias",
            build: |g| {
                let squared = true;
                let [_, y] = norm_parts(g, Norm { squared, ..NORM });
                let w = vector(g);
                g.node("Mul", &[&y, &w], [])
            },
            expected: &["LayerNormalization"],
        },
        Case {
            name: "without anything, and two weights are no one's",
            build: |g| {
                let [_, y] = norm_parts(g, Norm { axis: 2, ..NORM });
                let w = vector(g);
                let y = g.node("Mul", &[&y, &w], []);
                g.node("Mul", &[&y, &w], [])
            },
            expected: &["LayerNormalization", "Mul"],
        },
        Case {
            name: "not along another axis",
            build: |g| norm_parts(g, Norm { axis: 1, ..NORM })[1].clone(),
            expected: PARTS,
        },
        Case {
            name: "not of an epsilon that is not constant",
            build: |g| {
                let open_epsilon = true;
                norm_parts(
                    g,
                    Norm {
                        open_epsilon,
                        ..NORM
                    },
                )[1]
                .clone()
            },
            expected: PARTS,
        },
        Case {
            name: "not of a third power",
            build: |g| norm_parts(g, Norm { power: 3.0, ..NORM })[1].clone(),
            expected: PARTS,
        },
        Case {
            name: "not where what is centred is read elsewhere",
            build: |g| {
                let [c, y] = norm_parts(g, NORM);
                g.node("Max", &[&y, &c], [])
            },
            expected: &[
                "ReduceMean",
                "Sub",
                "Pow",
                "ReduceMean",
                "Add",
                "Sqrt",
                "Div",
                "Max",
            ],
        },
        Case {
            name: "a gelu",
            build: |g| {
                let gate = erf_gate(g);
                gelu_of(g, &gate, 0.5)
            },
            expected: &["Gelu"],
        },
        Case {
            name: "a gelu in another order",
            build: |g| {
                let gate = erf_gate(g);
                let half = number(g, 0.5);
                let x = g.node("Mul", &[&half, "x"], []);
                g.node("Mul", &[&x, &gate], [])
            },
            expected: &["Gelu"],
        },
        Case {
            name: "a gelu by tanh of a cube",
            build: |g| {
                let (three, small, root) = (number(g, 3.0), number(g, 0.044_715), number(g, ROOT));
                let cube = g.node("Pow", &["x", &three], []);
                let cube = g.node("Mul", &[&cube, &small], []);
                let sum = g.node("Add", &["x", &cube], []);
                let inside = g.node("Mul", &[&sum, &root], []);
                let gate = tanh_gate(g, &inside);
                gelu_of(g, &gate, 0.5)
            },
            expected: &["Gelu"],
        },
        Case {
            name: "a gelu by tanh of a product",
            build: |g| {
                let (one, small, root) = (number(g, 1.0), number(g, 0.044_715), number(g, ROOT));
                let y = g.node("Mul", &["x", &small], []);
                let y = g.node("Mul", &[&y, "x"], []);
                let sum = g.node("Add", &[&y, &one], []);
                let x = g.node("Mul", &["x", &root], []);
                let inside = g.node("Mul", &[&x, &sum], []);
                let gate = tanh_gate(g, &inside);
                gelu_of(g, &gate, 0.5)
            },
            expected: &["Gelu"],
        },
        Case {
            name: "no gelu by another factor",
            build: |g| {
                let gate = erf_gate(g);
                gelu_of(g, &gate, 0.4)
            },
            expected: &["Div", "Erf", "Add", "Mul", "Mul"],
        },
        Case {
            name: "no gelu of another value",
            build: |g| {
                let gate = erf_gate(g);
                let half = number(g, 0.5);
                let y = g.node("Mul", &["z", &gate], []);
                g.node("Mul", &[&y, &half], [])
            },
            expected: &["Div", "Erf", "Add", "Mul", "Mul"],
        },
        Case {
            name: "no gelu whose gate is read elsewhere",
            build: |g| {
                let gate = erf_gate(g);
                let y = gelu_of(g, &gate, 0.5);
                g.node("Max", &[&y, &gate], [])
            },
            expected: &["Div", "Erf", "Add", "Mul", "Mul", "Max"],
        },
    ];
    for case in cases {
        let mut graph = tokens(case.build);
        let done = graph.simplify();
        graph.check().unwrap();
        assert_eq!(ops(&graph.nodes), case.expected, "{}: {done:?}", case.name);
        let approximate = graph.nodes[0].text("approximate").unwrap_or("none");
        assert_eq!(approximate == "tanh", case.name.contains("tanh"));
        assert!(!graph.opsets.contains_key(crate::CONTRIB));
    }
}

fn layer_norm(g: &mut Graph, x: &str) -> String {
    let (w, b) = (vector(g), vector(g));
    g.node("LayerNormalization", &[x, &w, &b], [])
}

/// How a test's attention differs from one.
#[derive(Clone, Copy)]
struct Heads {
    /// Where keys are made from.
    keys: &'static str,
    mask: Option<f32>,
    /// Whether the mask is turned over.
    swapped: bool,
    perm: [i64; 4],
}

const HEADS: Heads = Heads {
    keys: "x",
    mask: None,
    swapped: false,
    perm: [0, 2, 3, 1],
};

/// Self-attention of two heads of four; the shares and what comes of them.
fn attention(g: &mut Graph, heads: Heads) -> [String; 2] {
    let cut = ints(g, &[0, 0, 2, 4]);
    // Equal ones would become one.
    let part = |g: &mut Graph, x: &str, perm: [i64; 4], first: f32| {
        let mut elements = vec![0.5; 64];
        elements[0] = first;
        let w = g.initializer(Tensor::f32("w", &[8, 8], elements));
        let b = vector(g);
        let y = g.node("MatMul", &[x, &w], []);
        let y = g.node("Add", &[&y, &b], []);
        let y = g.node("Reshape", &[&y, &cut], []);
        g.node("Transpose", &[&y], [("perm", perm.into())])
    };
    let q = part(g, "x", [0, 2, 1, 3], 1.0);
    let k = part(g, heads.keys, heads.perm, 2.0);
    let v = part(g, "x", [0, 2, 1, 3], 3.0);
    let (root, back) = (number(g, 2.0), ints(g, &[0, 0, 8]));
    let mut scores = g.node("MatMul", &[&q, &k], []);
    scores = g.node("Div", &[&scores, &root], []);
    if let Some(fill) = heads.mask {
        let (axes, zero, fill) = (ints(g, &[1, 2]), number(g, 0.0), number(g, fill));
        let mask = g.node("Unsqueeze", &["mask", &axes], []);
        let bool = i64::from(DType::Bool.code());
        let keep = g.node("Cast", &[&mask], [("to", bool.into())]);
        let bias = match heads.swapped {
            false => g.node("Where", &[&keep, &zero, &fill], []),
            true => g.node("Where", &[&keep, &fill, &zero], []),
        };
        scores = g.node("Add", &[&scores, &bias], []);
    }
    let shares = g.node("Softmax", &[&scores], []);
    let y = g.node("MatMul", &[&shares, &v], []);
    let y = g.node("Transpose", &[&y], [("perm", [0, 2, 1, 3].into())]);
    let y = g.node("Reshape", &[&y, &back], []);
    [shares, y]
}

#[test]
fn operators_of_onnx_runtime_take_what_they_mean_and_no_more() {
    struct Case {
        name: &'static str,
        build: Build,
        /// Operators that must be there, and how often.
        expected: &'static [(&'static str, usize)],
    }
    const SKIP: &str = "SkipLayerNormalization";
    let cases = [
        Case {
            name: "a sum that is normalised",
            build: |g| {
                let sum = g.node("Add", &["x", "z"], []);
                layer_norm(g, &sum)
            },
            expected: &[(SKIP, 1), ("Add", 0)],
        },
        Case {
            name: "a sum that is read before and behind",
            build: |g| {
                let sum = g.node("Add", &["x", "z"], []);
                let before = g.node("Relu", &[&sum], []);
                let y = layer_norm(g, &sum);
                let y = g.node("Max", &[&before, &y], []);
                g.node("Min", &[&y, &sum], [])
            },
            expected: &[(SKIP, 1), ("Add", 0), ("Relu", 1)],
        },
        Case {
            name: "two norms of one sum: one of them",
            build: |g| {
                let sum = g.node("Add", &["x", "z"], []);
                let (a, b) = (layer_norm(g, &sum), layer_norm(g, "x"));
                let w = vector(g);
                let c = g.node("LayerNormalization", &[&sum, &w], []);
                let y = g.node("Max", &[&a, &b, &c], []);
                g.node("Relu", &[&y], [])
            },
            expected: &[(SKIP, 1), ("LayerNormalization", 2), ("Add", 0)],
        },
        Case {
            name: "a sum that spreads",
            build: |g| {
                let row = vector(g);
                let sum = g.node("Add", &["x", &row], []);
                layer_norm(g, &sum)
            },
            expected: &[("Add", 1), ("LayerNormalization", 1)],
        },
        Case {
            name: "a sum of unknown sizes",
            build: |g| {
                let found = g.node("NonZero", &["mask"], []);
                let rows = g.node("GatherND", &["z", &found], []);
                let sum = g.node("Add", &["x", &rows], []);
                layer_norm(g, &sum)
            },
            expected: &[("Add", 1), ("LayerNormalization", 1)],
        },
        Case {
            name: "an axis that is not the last",
            build: |g| {
                let sum = g.node("Add", &["x", "z"], []);
                let w = vector(g);
                g.node("LayerNormalization", &[&sum, &w], [("axis", 1.into())])
            },
            expected: &[("Add", 1), ("LayerNormalization", 1)],
        },
        Case {
            name: "attention",
            build: |g| attention(g, HEADS)[1].clone(),
            expected: &[("Attention", 1), ("MatMul", 0), ("Transpose", 0)],
        },
        Case {
            name: "attention with a mask",
            build: |g| {
                let mask = Some(f32::MIN);
                attention(g, Heads { mask, ..HEADS })[1].clone()
            },
            expected: &[("Attention", 1), ("Where", 0), ("Cast", 2)],
        },
        Case {
            name: "attention whose shares are read",
            build: |g| {
                let [shares, y] = attention(g, HEADS);
                let most = ints(g, &[1, 3]);
                let keep = [("keepdims", 0.into())];
                let shares = g.node("ReduceMax", &[&shares, &most], keep);
                let last = ints(g, &[-1]);
                let shares = g.node("Unsqueeze", &[&shares, &last], []);
                g.node("Max", &[&y, &shares], [])
            },
            expected: &[("Attention", 0), ("Softmax", 1)],
        },
        Case {
            name: "attention over the width of a head",
            build: |g| {
                let perm = [0, 2, 1, 3];
                attention(g, Heads { perm, ..HEADS })[1].clone()
            },
            expected: &[("Attention", 0), ("Softmax", 1)],
        },
        Case {
            name: "attention to something else",
            build: |g| attention(g, Heads { keys: "z", ..HEADS })[1].clone(),
            expected: &[("Attention", 0), ("Softmax", 1)],
        },
        Case {
            name: "attention with a mask that hides what is there",
            build: |g| {
                let (mask, swapped) = (Some(f32::MIN), true);
                let heads = Heads {
                    mask,
                    swapped,
                    ..HEADS
                };
                attention(g, heads)[1].clone()
            },
            expected: &[("Attention", 0), ("Softmax", 1)],
        },
        Case {
            name: "attention with a mask that hides little",
            build: |g| {
                let mask = Some(-1.0);
                attention(g, Heads { mask, ..HEADS })[1].clone()
            },
            expected: &[("Attention", 0), ("Softmax", 1)],
        },
    ];
    for case in cases {
        let mut graph = tokens(case.build);
        let values = graph.outputs[0].name.clone();
        graph.simplify();
        let done = graph.fuse();
        graph.check().unwrap();
        let found = ops(&graph.nodes);
        for (op, count) in case.expected {
            let times = found.iter().filter(|found| *found == op).count();
            assert_eq!(times, *count, "{}: {op} of {found:?}, {done:?}", case.name);
        }
        let contrib = graph.opsets.contains_key(crate::CONTRIB);
        let fused = graph.nodes.iter().any(|n| n.domain() == crate::CONTRIB);
        assert_eq!(contrib, fused, "{}", case.name);
        assert_eq!(graph.outputs[0].name, values);
        assert!(graph.fuse().found.is_empty(), "{}", case.name);
    }
}
