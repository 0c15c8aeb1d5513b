//! Smoothing through ONNX Runtime.

use bevel::tensors::Named;

use super::super::trial::{constant, f32s, floats, input, noise, output, run, see};
use super::*;

const D: usize = 128;

/// A constant of noise in which one feature in eight is twenty times as large.
fn outliers(graph: &mut Graph, name: &str, seed: u32) -> String {
    let mut elements = noise(D, seed);
    elements.iter_mut().step_by(8).for_each(|x| *x *= 20.0);
    graph.initializer(Tensor::f32(name, &[D], elements))
}

fn normal(graph: &mut Graph, x: &str, seed: u32) -> String {
    let scale = outliers(graph, "scale", seed);
    let bias = outliers(graph, "bias", seed + 1);
    graph.node("LayerNormalization", &[x, &scale, &bias], [])
}

fn product(graph: &mut Graph, x: &str, seed: u32) -> String {
    let weight = constant(graph, "w", &[D, D], seed);
    graph.node("MatMul", &[x, &weight], [])
}

fn gemm(graph: &mut Graph, x: &str, seed: u32) -> String {
    let weight = constant(graph, "w", &[D, D], seed);
    let bias = constant(graph, "b", &[D], seed + 1);
    graph.node("Gemm", &[x, &weight, &bias], [("transB", 1.into())])
}

struct Case {
    name: &'static str,
    build: fn(&mut Graph, &str) -> Vec<String>,
    /// How many activations are smoothed, and how many nodes that takes.
    smoothed: usize,
    more: usize,
}

const CASES: &[Case] = &[
    Case {
        name: "a normalisation before two products",
        build: |g, x| {
            let x = normal(g, x, 1);
            vec![product(g, &x, 3), gemm(g, &x, 4)]
        },
        smoothed: 1,
        more: 0,
    },
    Case {
        name: "a normalisation that a sum reads too",
        build: |g, x| {
            let x = normal(g, x, 1);
            let y = product(g, &x, 3);
            vec![g.node("Add", &[&x, &y], [])]
        },
        smoothed: 1,
        more: 1,
    },
    Case {
        name: "a normalisation that is an output",
        build: |g, x| {
            let x = normal(g, x, 1);
            vec![product(g, &x, 3), x]
        },
        smoothed: 1,
        more: 1,
    },
    Case {
        name: "a normalisation of a sum, which is read on",
        build: |g, x| {
            let scale = outliers(g, "scale", 1);
            let bias = outliers(g, "bias", 2);
            let w = product(g, x, 3);
            let [normal, _, _, sum] = g.node_in(
                bevel_onnx::CONTRIB,
                "SkipLayerNormalization",
                &[x, &w, &scale, &bias],
                [],
            );
            // The second and third result are of training.
            if let Some(node) = g.nodes.last_mut() {
                node.output[1].clear();
                node.output[2].clear();
            }
            vec![product(g, &normal, 4), sum]
        },
        smoothed: 1,
        more: 0,
    },
    Case {
        name: "product, bias, Relu, product: the first product reads an input",
        build: |g, x| {
            let x = product(g, x, 1);
            let bias = outliers(g, "b", 2);
            let x = g.node("Add", &[&bias, &x], []);
            let x = g.node("Relu", &[&x], []);
            vec![product(g, &x, 3)]
        },
        smoothed: 1,
        more: 0,
    },
    Case {
        name: "a chain of products",
        build: |g, x| {
            let x = normal(g, x, 1);
            let x = gemm(g, &x, 3);
            let x = gemm(g, &x, 5);
            vec![product(g, &x, 7)]
        },
        smoothed: 3,
        more: 0,
    },
    Case {
        name: "a gate",
        build: |g, x| {
            let gate = product(g, x, 1);
            let gate = g.node("Sigmoid", &[&gate], []);
            let up = product(g, x, 2);
            let x = g.node("Mul", &[&up, &gate], []);
            vec![product(g, &x, 3)]
        },
        smoothed: 1,
        more: 0,
    },
    Case {
        name: "what is no constant away",
        build: |g, x| {
            let x = product(g, x, 1);
            let x = g.node("Gelu", &[&x], []);
            vec![product(g, &x, 3)]
        },
        smoothed: 0,
        more: 0,
    },
    Case {
        name: "a shared weight",
        build: |g, x| {
            let weight = constant(g, "w", &[D, D], 3);
            let x = normal(g, x, 1);
            let x = g.node("MatMul", &[&x, &weight], []);
            let x = normal(g, &x, 5);
            vec![g.node("MatMul", &[&x, &weight], [])]
        },
        smoothed: 0,
        more: 0,
    },
];

fn graph(case: &Case) -> Graph {
    let mut g = Graph::new("g");
    let x = input(&mut g, "x", &[0, D]);
    let results = (case.build)(&mut g, &x);
    for (i, result) in results.iter().enumerate() {
        output(&mut g, result, &format!("y{i}"), 2);
    }
    g
}

#[test]
fn the_graph_answers_the_same_and_its_activations_are_even() {
    for case in CASES {
        let g = graph(case);
        let wanted = wanted(&g);
        assert_eq!(wanted.len(), case.smoothed, "{}: {wanted:?}", case.name);
        let named = Named::from([("x".into(), f32s(&[16, D], noise(16 * D, 9)))]);
        let seen = see(&g, &wanted, &named);
        let expected = run(&g, &named);
        for alpha in [0.3, 0.5, 0.85] {
            let smoothed = smooth(&g, &seen, alpha);
            assert_eq!(
                smoothed.nodes.len(),
                g.nodes.len() + case.more,
                "{}",
                case.name
            );
            let found = run(&smoothed, &named);
            for name in expected.keys() {
                let (a, b) = (floats(&expected, name), floats(&found, name));
                let scale = a.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                for (a, b) in a.iter().zip(&b) {
                    let same = (a - b).abs() <= 1e-5 * scale;
                    assert!(same, "{} α {alpha}: {a} became {b}", case.name);
                }
            }
            let matrices = Matrices::of(&smoothed);
            let products = smoothed.nodes.iter().filter_map(|n| matrices.product(n));
            let read: Vec<String> = products.map(|p| p.x.to_owned()).collect();
            let after = see(&smoothed, &read, &named);
            for (before, after) in wanted.iter().filter_map(|x| {
                let after = after.get(x).or_else(|| after.get(&format!("{x}/Mul")))?;
                Some((seen.get(x)?, after))
            }) {
                let (before, after) = (spread(before), spread(after));
                assert!(after < before, "{}: {before} to {after}", case.name);
            }
        }
    }
}

/// The largest feature to the geometric mean of all.
fn spread(observed: &super::super::seen::Observed) -> f32 {
    let largest = &observed.features.as_ref().unwrap().largest;
    let live = || largest.iter().filter(|x| **x > 0.0);
    let mean = live().map(|x| x.ln()).sum::<f32>() / live().count() as f32;
    live().fold(0.0f32, |m, x| m.max(*x)) / mean.exp()
}

#[test]
fn without_calibration_nothing_changes() {
    for case in CASES {
        let g = graph(case);
        assert_eq!(smooth(&g, &Seen::default(), 0.5), g, "{}", case.name);
    }
}

#[test]
fn dead_features_and_hostile_figures_keep_their_scale() {
    let cases = [
        ("dead feature", vec![0.0, 1.0], vec![1.0, 1.0]),
        ("no weight", vec![1.0, 1.0], vec![1.0, 0.0]),
        ("all dead", vec![0.0, 0.0], vec![0.0, 0.0]),
        ("too large", vec![f32::INFINITY, f32::MAX], vec![1.0, 1.0]),
    ];
    for (name, largest, weights) in cases {
        let found = factors(&largest, &weights, 0.5);
        let sane = |s: &f32| s.is_finite() && (1.0 / MAX_FACTOR..=MAX_FACTOR).contains(s);
        assert!(found.iter().all(sane), "{name}: {found:?}");
    }
}
