mod fusions;

use super::*;
use crate::proto::{AttributeProto, GraphProto, ValueInfoProto};
use crate::{Attribute, DType, Dim};

type Build = fn(&mut Graph) -> String;

/// A graph over `x`, f32 N×4×6×6 where not said otherwise.
fn graph(dims: Vec<Dim>, build: Build) -> Graph {
    let mut graph = Graph::new("g");
    graph.input("x", DType::F32, dims);
    let y = build(&mut graph);
    graph.output(&y, "y", DType::F32, vec![Dim::Unknown; 4]);
    graph
}

fn picture() -> Vec<Dim> {
    vec![Dim::named("n"), Dim::Fixed(4), Dim::Fixed(6), Dim::Fixed(6)]
}

fn ops(nodes: &[NodeProto]) -> Vec<&str> {
    nodes.iter().map(NodeProto::op_type).collect()
}

fn weight(graph: &mut Graph, dims: &[usize]) -> String {
    let count: usize = dims.iter().product();
    let values = (0..count).map(|i| (i % 7) as f32 * 0.5 - 1.0).collect();
    graph.initializer(Tensor::f32("w", dims, values))
}

fn ints(graph: &mut Graph, values: &[i64]) -> String {
    graph.initializer(Tensor::i64s("i", values))
}

fn conv(graph: &mut Graph, x: &str) -> String {
    let w = weight(graph, &[3, 4, 1, 1]);
    graph.node("Conv", &[x, &w], [])
}

/// Values that a session would hardly make equal by chance.
fn norm(graph: &mut Graph, x: &str, channels: usize) -> String {
    let [s, b, m, v] = [1.5, -0.5, 0.25, 2.0]
        .map(|value| graph.initializer(Tensor::f32("n", &[channels], vec![value; channels])));
    graph.node("BatchNormalization", &[x, &s, &b, &m, &v], [])
}

#[test]
fn each_pass_finds_its_pattern_and_nothing_like_it() {
    struct Case {
        name: &'static str,
        dims: Vec<Dim>,
        build: Build,
        expected: &'static [&'static str],
    }
    let case = |name, build, expected| Case {
        name,
        dims: picture(),
        build,
        expected,
    };
    let cases = [
        case(
            "a batch norm goes into the convolution",
            |g| {
                let c = conv(g, "x");
                norm(g, &c, 3)
            },
            &["Conv"],
        ),
        case(
            "so do scale and shift behind it",
            |g| {
                let c = conv(g, "x");
                let s = weight(g, &[3, 1, 1]);
                let m = g.node("Mul", &[&s, &c], []);
                let two = g.initializer(Tensor::scalar("two", 2.0));
                g.node("Sub", &[&two, &m], [])
            },
            &["Conv"],
        ),
        case(
            "not where the convolution is read elsewhere",
            |g| {
                let c = conv(g, "x");
                let n = norm(g, &c, 3);
                g.node("Add", &[&c, &n], [])
            },
            &["Conv", "BatchNormalization", "Add"],
        ),
        case(
            "not a scale along another axis",
            |g| {
                let c = conv(g, "x");
                let s = weight(g, &[6]);
                g.node("Mul", &[&c, &s], [])
            },
            &["Conv", "Mul"],
        ),
        case(
            "not behind something else",
            |g| {
                let r = g.node("Relu", &["x"], []);
                norm(g, &r, 4)
            },
            &["Relu", "BatchNormalization"],
        ),
        case(
            "zeros around a picture are the convolution's",
            |g| {
                let pads = ints(g, &[0, 0, 1, 2, 0, 0, 0, 1]);
                let p = g.node("Pad", &["x", &pads], []);
                conv(g, &p)
            },
            &["Conv"],
        ),
        case(
            "others are not",
            |g| {
                let pads = ints(g, &[0, 0, 1, 2, 0, 0, 0, 1]);
                let p = g.node("Pad", &["x", &pads], [("mode", "edge".into())]);
                conv(g, &p)
            },
            &["Pad", "Conv"],
        ),
        case(
            "two transposes are one",
            |g| {
                let a = g.node("Transpose", &["x"], [("perm", [0, 2, 3, 1].into())]);
                g.node("Transpose", &[&a], [("perm", [0, 2, 1, 3].into())])
            },
            &["Transpose"],
        ),
        case(
            "or none",
            |g| {
                let a = g.node("Transpose", &["x"], [("perm", [0, 2, 3, 1].into())]);
                let b = g.node("Transpose", &[&a], [("perm", [0, 3, 1, 2].into())]);
                g.node("Relu", &[&b], [])
            },
            &["Relu"],
        ),
        case(
            "sizes that are calculated are told",
            |g| {
                let s = g.node("Shape", &["x"], []);
                let (at, last) = (ints(g, &[0]), ints(g, &[-1]));
                let n = g.node("Gather", &[&s, &at], []);
                let to = g.node("Concat", &[&n, &last], [("axis", 0.into())]);
                g.node("Reshape", &["x", &to], [])
            },
            &["Reshape"],
        ),
        case(
            "what is equal is calculated once",
            |g| {
                let a = g.node("Exp", &["x"], []);
                let b = g.node("Exp", &["x"], []);
                g.node("Add", &[&a, &b], [])
            },
            &["Exp", "Add"],
        ),
        case(
            "what is drawn is not",
            |g| {
                let a = g.node("RandomNormalLike", &["x"], []);
                let b = g.node("RandomNormalLike", &["x"], []);
                g.node("Add", &[&a, &b], [])
            },
            &["RandomNormalLike", "RandomNormalLike", "Add"],
        ),
        case(
            "plus nothing, times one",
            |g| {
                let (zero, one) = (
                    Tensor::scalar("0", 0.0),
                    Tensor::f32("1", &[4, 1, 1], vec![1.0; 4]),
                );
                let (zero, one) = (g.initializer(zero), g.initializer(one));
                let a = g.node("Add", &[&zero, "x"], []);
                let b = g.node("Mul", &[&a, &one], []);
                let c = g.node("Neg", &[&b], []);
                g.node("Sub", &[&zero, &c], [])
            },
            &["Neg", "Sub"],
        ),
        case(
            "ones that make a value larger stay",
            |g| {
                let ones = g.initializer(Tensor::f32("1", &[2, 1, 1, 1, 1], vec![1.0; 2]));
                g.node("Mul", &["x", &ones], [])
            },
            &["Mul"],
        ),
        case(
            "a slice of everything, a concat of one, a pad of nothing",
            |g| {
                let (a, e, i) = (ints(g, &[0]), ints(g, &[i64::MAX]), ints(g, &[0]));
                let s = g.node("Slice", &["x", &a, &e, &i], []);
                let c = g.node("Concat", &[&s], [("axis", 1.into())]);
                let pads = ints(g, &[0; 8]);
                let p = g.node("Pad", &[&c, &pads], []);
                g.node("Relu", &[&p], [])
            },
            &["Relu"],
        ),
        case(
            "a slice from behind turns the picture",
            |g| {
                let (a, e, i) = (ints(g, &[-1]), ints(g, &[i64::MIN]), ints(g, &[2]));
                let step = ints(g, &[-1]);
                g.node("Slice", &["x", &a, &e, &i, &step], [])
            },
            &["Slice"],
        ),
        case(
            "constants are calculated",
            |g| {
                let (a, b) = (weight(g, &[6]), weight(g, &[6]));
                let c = g.node("Mul", &[&a, &b], []);
                let c = g.node("Exp", &[&c], []);
                g.node("Add", &["x", &c], [])
            },
            &["Add"],
        ),
        case(
            "but not what makes much of little",
            |g| {
                let shape = ints(g, &[200, 4, 36, 36]);
                let c = g.node("ConstantOfShape", &[&shape], []);
                let mean = g.node("GlobalAveragePool", &[&c], []);
                g.node("Add", &["x", &mean], [])
            },
            &["ConstantOfShape", "GlobalAveragePool", "Add"],
        ),
        case(
            "weights that are kept quantised stay so",
            |g| {
                let w = g.initializer(Tensor::i8("q", &[3, 4, 1, 1], vec![7; 12]));
                let scale = g.initializer(Tensor::scalar("s", 0.5));
                let w = g.node("DequantizeLinear", &[&w, &scale], []);
                g.node("Conv", &["x", &w], [])
            },
            &["DequantizeLinear", "Conv"],
        ),
        Case {
            name: "product and sum of matrices",
            dims: vec![Dim::named("n"), Dim::Fixed(4)],
            build: |g| {
                let (w, b) = (weight(g, &[4, 3]), weight(g, &[3]));
                let m = g.node("MatMul", &["x", &w], []);
                let m = g.node("Add", &[&b, &m], []);
                norm(g, &m, 3)
            },
            expected: &["Gemm"],
        },
        Case {
            name: "not of whole numbers, of which sessions have no Gemm",
            dims: vec![Dim::named("n"), Dim::Fixed(4)],
            build: |g| {
                let int = i64::from(DType::I32.code());
                let tensor = |name: &str, dims: &[usize]| {
                    let bytes = vec![1; 4 * dims.iter().product::<usize>()];
                    Tensor::new(name, DType::I32, dims, bytes.into())
                };
                let (w, b) = (tensor("w", &[4, 3]), tensor("b", &[3]));
                let (w, b) = (g.initializer(w), g.initializer(b));
                let x = g.node("Cast", &["x"], [("to", int.into())]);
                let m = g.node("MatMul", &[&x, &w], []);
                let m = g.node("Add", &[&m, &b], []);
                let float = i64::from(DType::F32.code());
                g.node("Cast", &[&m], [("to", float.into())])
            },
            expected: &["Cast", "MatMul", "Add", "Cast"],
        },
        Case {
            name: "not of more dimensions",
            dims: vec![Dim::named("n"), Dim::Fixed(2), Dim::Fixed(4)],
            build: |g| {
                let (w, b) = (weight(g, &[4, 3]), weight(g, &[3]));
                let m = g.node("MatMul", &["x", &w], []);
                g.node("Add", &[&b, &m], [])
            },
            expected: &["MatMul", "Add"],
        },
        Case {
            name: "elementwise between two reshapes",
            dims: vec![Dim::Fixed(2), Dim::Fixed(3), Dim::Fixed(4)],
            build: |g| {
                let (to, back) = (ints(g, &[6, 4]), ints(g, &[2, 3, 4]));
                let r = g.node("Reshape", &["x", &to], []);
                let t = g.node("Tanh", &[&r], []);
                let m = g.node("Mul", &[&r, &t], []);
                g.node("Reshape", &[&m, &back], [])
            },
            expected: &["Tanh", "Mul"],
        },
    ];
    for case in cases {
        let mut graph = graph(case.dims, case.build);
        let values = (graph.inputs.clone(), graph.outputs[0].name.clone());
        let done = graph.simplify();
        graph.check().unwrap();
        assert_eq!(ops(&graph.nodes), case.expected, "{}: {done:?}", case.name);
        assert_eq!(
            (graph.inputs.clone(), graph.outputs[0].name.clone()),
            values
        );
        // A second time there is nothing left to do.
        let again = graph.simplify();
        assert_eq!(
            (again.before, again.found.len()),
            (again.after, 0),
            "{}: {again:?}",
            case.name
        );
    }
}

#[test]
fn weights_calculate_what_followed() {
    let mut folded = graph(picture(), |g| {
        let c = conv(g, "x");
        norm(g, &c, 3)
    });
    let before = folded
        .find_initializer("w")
        .unwrap()
        .as_f32()
        .unwrap()
        .into_owned();
    folded.simplify();
    let conv = &folded.nodes[0];
    let values = |place: usize| {
        let tensor = folded.find_initializer(&conv.input[place]).unwrap();
        tensor.as_f32().unwrap().into_owned()
    };
    // y = (conv − 0.25) · 1.5 / √(2 + 1e-5) − 0.5
    let scale = 1.5 / (2.0f64 + 1e-5).sqrt();
    for (new, old) in values(1).iter().zip(&before) {
        assert!((f64::from(*new) - f64::from(*old) * scale).abs() < 1e-6);
    }
    for bias in values(2) {
        assert!((f64::from(bias) - (-0.25 * scale - 0.5)).abs() < 1e-6);
    }
}

fn branch(value: &str, op: &str) -> GraphProto {
    GraphProto {
        name: Some(op.into()),
        node: vec![NodeProto::new(op, &["x"], &[value], [])],
        output: vec![ValueInfoProto {
            name: Some(value.into()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn body_attribute(name: &str, body: GraphProto) -> AttributeProto {
    let mut attribute = Attribute::Int(0).into_proto(name);
    attribute.g = Some(body);
    attribute.r#type = Some(crate::proto::attribute_proto::AttributeType::Graph.into());
    attribute
}

#[test]
fn a_known_condition_takes_its_branch() {
    let mut known = graph(picture(), |g| {
        let yes = Tensor::new("yes", DType::Bool, &[], bytes::Bytes::from_static(&[1]));
        let yes = g.initializer(yes);
        let mut node = NodeProto::new("If", &[&yes], &["chosen"], []);
        // Both call their value the same.
        node.attribute
            .push(body_attribute("then_branch", branch("v", "Exp")));
        node.attribute
            .push(body_attribute("else_branch", branch("v", "Neg")));
        g.nodes.push(node);
        "chosen".into()
    });
    known.simplify();
    known.check().unwrap();
    assert_eq!(ops(&known.nodes), ["Exp"]);
    assert_eq!(known.nodes[0].output, ["y"]);
}

#[test]
fn an_output_that_is_an_input_or_a_constant_keeps_its_name() {
    let mut through = graph(picture(), |g| g.node("Identity", &["x"], []));
    through.simplify();
    through.check().unwrap();
    assert_eq!(ops(&through.nodes), ["Identity"]);
    let mut constant = graph(picture(), |g| {
        let (a, b) = (weight(g, &[6]), weight(g, &[6]));
        g.node("Add", &[&a, &b], [])
    });
    constant.simplify();
    constant.check().unwrap();
    assert_eq!(constant.node_count(), 0);
    assert!(constant.find_initializer("y").is_some());
}

#[test]
fn a_file_of_few_bytes_does_not_grow() {
    // Each expands what the one before made.
    let mut bomb = graph(picture(), |g| {
        let mut value = weight(g, &[1]);
        for power in 4..20u32 {
            let shape = ints(g, &[1 << power, 1]);
            value = g.node("Expand", &[&value, &shape], []);
        }
        g.node("Add", &["x", &value], [])
    });
    bomb.simplify();
    assert!(bomb.weight_bytes() < 1 << 20, "{}", bomb.weight_bytes());
}

#[test]
fn a_weight_that_many_share_does_not_multiply() {
    // 4 MiB in the file; scaled for each reader, and for each step behind one, 512 MiB.
    let mut shared = graph(vec![Dim::Unknown; 4], |g| {
        let w = weight(g, &[1024, 1024, 1, 1]);
        let scales: Vec<String> = (0..2)
            .map(|i| g.initializer(Tensor::scalar("s", i as f32 + 2.0)))
            .collect();
        let mut value = "x".to_owned();
        for i in 0..64 {
            value = g.node("Conv", &[&value, &w], []);
            value = g.node("Mul", &[&value, &scales[i % 2]], []);
            value = g.node("Mul", &[&value, &scales[0]], []);
        }
        value
    });
    let done = shared.simplify();
    assert!(
        shared.weight_bytes() < 80 << 20,
        "{}",
        shared.weight_bytes()
    );
    assert!(done.found["fold scale and shift"] > 8);
}
