use super::super::play::{self, Noise};
use super::super::{Seen, bias};
use super::*;

const SETTINGS: Settings = Settings {
    method: Method::MinMax,
    signed: false,
    stem_channels: 0,
};

const PICTURES: usize = 6;

/// Convolutions with ReLU6, depthwise with ReLU, with SiLU; a sum, pooling, and classes.
fn network() -> Graph {
    let mut g = Graph::new("g");
    let noise = &mut Noise(1);
    let x = play::picture(&mut g, 3);
    let x = play::convolution(&mut g, &x, [16, 3, 3], 1, noise);
    let low = g.initializer(Tensor::scalar("low", 0.0));
    let high = g.initializer(Tensor::scalar("high", 1.5));
    let x = g.node("Clip", &[&x, &low, &high], []);
    let x = play::convolution(&mut g, &x, [16, 16, 3], 16, noise);
    let x = g.node("Relu", &[&x], []);
    let x = play::convolution(&mut g, &x, [32, 16, 1], 1, noise);
    let wide = play::silu(&mut g, &x);
    let x = play::convolution(&mut g, &wide, [32, 32, 1], 1, noise);
    let x = g.node("Add", &[&x, &wide], []);
    let x = g.node("MaxPool", &[&x], [("kernel_shape", [2, 2].into())]);
    let x = g.node("GlobalAveragePool", &[&x], []);
    let x = g.node("Flatten", &[&x], []);
    let weights = Tensor::f32("classes", &[10, 32], noise.take(320));
    let weights = g.initializer(weights);
    let bias = g.initializer(Tensor::f32("bias", &[10], noise.take(10)));
    let x = g.node("Gemm", &[&x, &weights, &bias], [("transB", 1.into())]);
    play::output(&mut g, &x, 2);
    g
}

/// A detection head: boxes in pixels and scores meet, and are decoded.
fn head(box_scale: f32) -> Graph {
    let mut g = Graph::new("g");
    let noise = &mut Noise(3);
    let x = play::picture(&mut g, 8);
    let x = play::convolution(&mut g, &x, [16, 8, 3], 1, noise);
    let x = g.node("Relu", &[&x], []);
    let boxes = play::convolution(&mut g, &x, [4, 16, 3], 1, noise);
    let scale = g.initializer(Tensor::scalar("pixels", box_scale));
    let boxes = g.node("Mul", &[&boxes, &scale], []);
    let scores = play::convolution(&mut g, &x, [80, 16, 3], 1, noise);
    let scores = g.node("Sigmoid", &[&scores], []);
    let both = g.node("Concat", &[&boxes, &scores], [("axis", 1.into())]);
    play::output(&mut g, &both, 4);
    g
}

fn calibrated(graph: &Graph, channels: usize) -> Seen {
    play::record(graph, &wanted(graph), &play::pictures(PICTURES, channels))
}

fn quantized(graph: &Graph, seen: &Seen, settings: &Settings) -> Quantized {
    let quantized = quantize(&Request::all(graph, seen), settings);
    quantized.graph.check().unwrap();
    assert_eq!(quantized.graph.inputs, graph.inputs);
    assert_eq!(quantized.graph.outputs, graph.outputs);
    quantized
}

fn count(graph: &Graph, op: &str) -> usize {
    graph.nodes.iter().filter(|node| node.is(op)).count()
}

/// Decibels of the answers over their difference.
fn signal_to_noise(expected: &[f32], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let signal: f64 = expected.iter().map(|x| square(*x)).sum();
    let noise = expected.iter().zip(found).map(|(a, b)| square(a - b));
    10.0 * (signal / noise.sum::<f64>()).log10()
}

#[test]
fn a_small_network_answers_nearly_the_same() {
    // Rounding to a step is noise of step²/12. With 256 steps over a range of eight standard
    // deviations that is 12·256²/8², or 41 dB, below the signal; each of the 10 roundings and each of
    // the 5 products' weights adds as much.
    let bound = 10.0 * (12.0f64 * 256.0 * 256.0 / 64.0 / 15.0).log10();
    let graph = network();
    let seen = calibrated(&graph, 3);
    let pictures = play::pictures(PICTURES, 3);
    let expected = &play::answers(&graph, &pictures)["y0"];
    for signed in [false, true] {
        for method in [Method::MinMax, Method::Percentile(99.99), Method::Mse] {
            let settings = Settings {
                method,
                signed,
                ..SETTINGS
            };
            let mut int8 = quantized(&graph, &seen, &settings);
            let found = play::answers(&int8.graph, &pictures);
            let before = signal_to_noise(expected, &found["y0"]);
            assert!(before > bound, "{settings:?}: {before} dB of {bound}");
            // The clamps have vanished, and all products read codes.
            let ops = ["Clip", "Relu"].map(|op| count(&int8.graph, op));
            assert_eq!((ops, int8.nodes.len()), ([0, 0], 11), "{settings:?}");
            assert!(int8.covered > 0.95, "{}", int8.covered);

            let own = play::record(&int8.graph, &bias::wanted(&int8.graph), &pictures);
            bias::correct_bias(&mut int8.graph, &seen, &own);
            let found = play::answers(&int8.graph, &pictures);
            let after = signal_to_noise(expected, &found["y0"]);
            assert!(
                after > before.min(bound + 3.0),
                "{settings:?}: {before} became {after}"
            );
        }
    }
}

#[test]
fn weights_are_stored_in_8_bits() {
    let graph = network();
    let int8 = quantized(&graph, &calibrated(&graph, 3), &SETTINGS).graph;
    assert!(int8.weight_bytes() * 2 < graph.weight_bytes());
    let large = int8.initializers.iter().filter(|t| t.len() > 64);
    assert!(large.clone().all(|tensor| tensor.dtype == DType::I8));
    assert_eq!(large.count(), 5);
}

#[test]
fn only_what_leads_to_a_product_is_taken() {
    struct Case {
        name: &'static str,
        graph: Graph,
        channels: usize,
        /// Operators of the taken nodes, and their number.
        taken: Vec<(&'static str, usize)>,
    }
    let cases = [
        Case {
            name: "boxes beside scores",
            graph: head(100.0),
            channels: 8,
            taken: vec![("Conv", 3)],
        },
        Case {
            name: "of one range, but with nothing behind",
            graph: head(0.1),
            channels: 8,
            taken: vec![("Conv", 3)],
        },
        Case {
            name: "boxes beside scores, taken apart before a product",
            graph: {
                let mut g = head(100.0);
                g.rename("y0", "both");
                g.outputs.clear();
                let moved = g.node("Transpose", &["both"], [("perm", [0, 1, 3, 2].into())]);
                let x = play::convolution(&mut g, &moved, [16, 84, 1], 1, &mut Noise(5));
                play::output(&mut g, &x, 4);
                g
            },
            channels: 8,
            taken: vec![("Conv", 4)],
        },
        Case {
            name: "mixed by a product",
            graph: {
                let mut g = head(100.0);
                g.rename("y0", "both");
                g.outputs.clear();
                let x = play::convolution(&mut g, "both", [16, 84, 1], 1, &mut Noise(5));
                play::output(&mut g, &x, 4);
                g
            },
            channels: 8,
            // The constant of `Mul` was not seen.
            taken: vec![("Concat", 1), ("Conv", 4), ("Sigmoid", 1)],
        },
        Case {
            name: "no product",
            graph: {
                let mut g = Graph::new("g");
                let x = play::picture(&mut g, 3);
                let y = play::silu(&mut g, &x);
                play::output(&mut g, &y, 4);
                g
            },
            channels: 3,
            taken: vec![],
        },
    ];
    for case in cases {
        let seen = calibrated(&case.graph, case.channels);
        let int8 = quantized(&case.graph, &seen, &SETTINGS);
        let mut taken: Vec<(&str, usize)> = Vec::new();
        let of = |name: &String| case.graph.nodes.iter().find(|n| n.result() == name);
        let mut ops: Vec<&str> = int8
            .nodes
            .iter()
            .filter_map(of)
            .map(|n| n.op_type())
            .collect();
        ops.sort_unstable();
        for op in ops {
            match taken.last_mut().filter(|last| last.0 == op) {
                Some(last) => last.1 += 1,
                None => taken.push((op, 1)),
            }
        }
        assert_eq!(taken, case.taken, "{}", case.name);
        if case.taken.is_empty() {
            assert_eq!(int8.graph, case.graph, "{}", case.name);
        }
        play::answers(&int8.graph, &play::pictures(1, case.channels));
    }
}

#[test]
fn what_is_not_known_stays_in_float() {
    let graph = network();
    let known = calibrated(&graph, 3);
    let all = quantized(&graph, &known, &SETTINGS).nodes;
    assert_eq!(quantized(&graph, &Seen::default(), &SETTINGS).graph, graph);

    // The sum and what reads it.
    let sum = all
        .iter()
        .find(|name| name.contains("Add"))
        .unwrap()
        .clone();
    let unseen: Vec<String> = wanted(&graph).into_iter().filter(|v| *v != sum).collect();
    let unseen = play::record(&graph, &unseen, &play::pictures(1, 3));
    let mut infinite = calibrated(&graph, 3);
    infinite.note(&sum, &[1, 1], &[f32::INFINITY]);
    for (name, seen) in [("unseen", unseen), ("not finite", infinite)] {
        let int8 = quantized(&graph, &seen, &SETTINGS);
        assert!(!int8.nodes.contains(&sum), "{name}");
        // `MaxPool`, which reads the sum, and what is fed by it.
        assert_eq!(int8.nodes.len(), 7, "{name}: {:?}", int8.nodes);
    }

    let may = |node: &NodeProto| node.result() != sum;
    let request = Request {
        graph: &graph,
        seen: &known,
        may: &may,
    };
    let int8 = quantize(&request, &SETTINGS);
    assert!(
        int8.graph
            .nodes
            .iter()
            .any(|node| node.is("Add") && node.result() == sum)
    );
}

#[test]
fn the_first_convolutions_stay_in_float() {
    let graph = network();
    let seen = calibrated(&graph, 3);
    for (stem_channels, taken) in [(0, 5), (2, 5), (3, 4), (16, 2), (64, 1)] {
        let settings = Settings {
            stem_channels,
            ..SETTINGS
        };
        let int8 = quantized(&graph, &seen, &settings);
        let products = int8
            .nodes
            .iter()
            .filter(|n| n.contains("Conv") || *n == "y0");
        assert_eq!(products.count(), taken, "{stem_channels}: {:?}", int8.nodes);
        play::answers(&int8.graph, &play::pictures(1, 3));
    }
}

#[test]
fn zeros_around_a_picture_stay_zeros() {
    // All ones: a result counts the taps inside of the picture, which is −3 all over.
    let mut graph = Graph::new("g");
    let x = play::picture(&mut graph, 4);
    let weights = graph.initializer(Tensor::f32("ones", &[16, 4, 3, 3], vec![1.0; 16 * 36]));
    let y = graph.node("Conv", &[&x, &weights], [("pads", [1, 1, 1, 1].into())]);
    play::output(&mut graph, &y, 4);
    let pictures = [vec![-3.0; 4 * play::SIDE * play::SIDE]];
    let seen = play::record(&graph, &wanted(&graph), &pictures);
    let int8 = quantized(&graph, &seen, &SETTINGS);
    assert_eq!(int8.nodes.len(), 1);
    let found = &play::answers(&int8.graph, &pictures)["y0"];
    let step = 3.0 * 36.0 / 255.0;
    for (at, taps) in [(0, 4.0), (1, 6.0), (play::SIDE + 1, 9.0)] {
        let expected = -3.0 * 4.0 * taps;
        assert!(
            (found[at] - expected).abs() <= step,
            "{at}: {} for {expected}",
            found[at]
        );
    }
}

#[test]
fn a_bias_too_large_for_its_scale_fits() {
    let mut graph = Graph::new("g");
    let x = play::picture(&mut graph, 4);
    // The second channel is all bias.
    let weights: Vec<f32> = Noise(2)
        .take(64)
        .into_iter()
        .flat_map(|w| [w, w, w, w * 1e-12])
        .collect();
    let weights = Tensor::f32("weight", &[4, 64, 1, 1], {
        let mut by_channel = vec![0.0; 256];
        for (i, w) in weights.iter().enumerate() {
            by_channel[i % 4 * 64 + i / 4] = *w;
        }
        by_channel
    });
    let mut noise = Noise(9);
    let x = play::convolution(&mut graph, &x, [64, 4, 1], 1, &mut noise);
    let weights = graph.initializer(weights);
    let bias = graph.initializer(Tensor::f32("bias", &[4], vec![0.5, -0.5, 0.0, 3.0]));
    let y = graph.node("Conv", &[&x, &weights, &bias], []);
    play::output(&mut graph, &y, 4);
    let pictures = play::pictures(2, 4);
    let seen = play::record(&graph, &wanted(&graph), &pictures);
    let int8 = quantized(&graph, &seen, &SETTINGS);
    let (expected, found) = (
        play::answers(&graph, &pictures),
        play::answers(&int8.graph, &pictures),
    );
    let (low, high) = expected["y0"]
        .iter()
        .fold((0.0f32, 0.0f32), |(l, h), x| (l.min(*x), h.max(*x)));
    let each = play::SIDE * play::SIDE;
    for (i, x) in found["y0"]
        .iter()
        .enumerate()
        .filter(|(i, _)| i / each % 4 == 3)
    {
        assert!((x - 3.0).abs() <= (high - low) / 255.0, "{i}: {x}");
    }
}

#[test]
fn branches_of_one_range_are_copied() {
    let mut graph = Graph::new("g");
    let noise = &mut Noise(4);
    let x = play::picture(&mut graph, 8);
    let x = play::convolution(&mut graph, &x, [16, 8, 1], 1, noise);
    let x = graph.node("Relu", &[&x], []);
    let pool = |graph: &mut Graph, x: &str| {
        let around: [(&str, bevel_onnx::Attribute); 2] = [
            ("kernel_shape", [3, 3].into()),
            ("pads", [1, 1, 1, 1].into()),
        ];
        graph.node("MaxPool", &[x], around)
    };
    let near = pool(&mut graph, &x);
    let far = pool(&mut graph, &near);
    let all = graph.node("Concat", &[&x, &near, &far], [("axis", 1.into())]);
    let y = play::convolution(&mut graph, &all, [16, 48, 1], 1, noise);
    play::output(&mut graph, &y, 4);
    let int8 = quantized(&graph, &calibrated(&graph, 8), &SETTINGS).graph;
    // The picture, what is pooled, the result.
    let zeros = int8.initializers.iter().filter(|t| t.dtype == DType::U8);
    assert_eq!(zeros.count(), 3);
}
