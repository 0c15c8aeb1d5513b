use super::*;

fn named(name: &str) -> Dim {
    Dim::named(name)
}

/// What is known of the result of `build` over `x`, f32 N×C×H×W with N open, and `t`, f32 N×T×8.
fn dims(build: fn(&mut Graph) -> String) -> Option<Vec<Dim>> {
    let mut graph = Graph::new("g");
    graph.input(
        "x",
        DType::F32,
        [named("n"), Dim::Fixed(4), Dim::Fixed(9), Dim::Fixed(6)],
    );
    graph.input("t", DType::F32, [named("n"), named("t"), Dim::Fixed(8)]);
    let y = build(&mut graph);
    graph.infer().dims(&y).map(<[Dim]>::to_vec)
}

fn weight(graph: &mut Graph, dims: &[usize]) -> String {
    graph.initializer(Tensor::f32("w", dims, vec![0.5; dims.iter().product()]))
}

fn ints(graph: &mut Graph, values: &[i64]) -> String {
    graph.initializer(Tensor::i64s("i", values))
}

#[test]
fn shapes_follow_from_shapes() {
    struct Case {
        name: &'static str,
        build: fn(&mut Graph) -> String,
        expected: Option<Vec<Dim>>,
    }
    // Sizes are what onnx.shape_inference of onnx 1.23.2 says, where it says any.
    let cases = [
        Case {
            name: "a convolution with stride",
            build: |g| {
                let w = weight(g, &[5, 4, 3, 3]);
                let attributes = [("strides", [2, 2].into()), ("pads", [1, 1, 1, 1].into())];
                g.node("Conv", &["x", &w], attributes)
            },
            expected: Some(vec![
                named("n"),
                Dim::Fixed(5),
                Dim::Fixed(5),
                Dim::Fixed(3),
            ]),
        },
        Case {
            name: "pooling that rounds up",
            build: |g| {
                let attributes = [
                    ("kernel_shape", [2, 2].into()),
                    ("strides", [2, 2].into()),
                    ("ceil_mode", 1.into()),
                ];
                g.node("MaxPool", &["x"], attributes)
            },
            expected: Some(vec![
                named("n"),
                Dim::Fixed(4),
                Dim::Fixed(5),
                Dim::Fixed(3),
            ]),
        },
        Case {
            name: "a transposed convolution",
            build: |g| {
                let w = weight(g, &[4, 3, 2, 2]);
                let attributes = [("strides", [2, 2].into()), ("group", 2.into())];
                g.node("ConvTranspose", &["x", &w], attributes)
            },
            expected: Some(vec![
                named("n"),
                Dim::Fixed(6),
                Dim::Fixed(18),
                Dim::Fixed(12),
            ]),
        },
        Case {
            name: "heads of attention, from sizes",
            build: |g| {
                let s = g.node("Shape", &["t"], []);
                let lead = {
                    let (a, e) = (ints(g, &[0]), ints(g, &[2]));
                    g.node("Slice", &[&s, &a, &e], [])
                };
                let tail = ints(g, &[2, -1]);
                let to = g.node("Concat", &[&lead, &tail], [("axis", 0.into())]);
                let r = g.node("Reshape", &["t", &to], []);
                g.node("Transpose", &[&r], [("perm", [0, 2, 1, 3].into())])
            },
            expected: Some(vec![named("n"), Dim::Fixed(2), named("t"), Dim::Fixed(4)]),
        },
        Case {
            name: "a product over batches",
            build: |g| {
                let k = g.node("Transpose", &["t"], [("perm", [0, 2, 1].into())]);
                g.node("MatMul", &["t", &k], [])
            },
            expected: Some(vec![named("n"), named("t"), named("t")]),
        },
        Case {
            name: "all but the batch flattened",
            build: |g| g.node("Flatten", &["x"], [("axis", (-3).into())]),
            expected: Some(vec![named("n"), Dim::Fixed(216)]),
        },
        Case {
            name: "sizes that double",
            build: |g| {
                let scales = Tensor::f32("s", &[4], vec![1.0, 1.0, 2.0, 1.5]);
                let scales = g.initializer(scales);
                g.node("Resize", &["x", "", &scales], [])
            },
            expected: Some(vec![
                named("n"),
                Dim::Fixed(4),
                Dim::Fixed(18),
                Dim::Fixed(9),
            ]),
        },
        Case {
            name: "the mean over a picture",
            build: |g| {
                let axes = ints(g, &[-1, -2]);
                g.node("ReduceMean", &["x", &axes], [("keepdims", 0.into())])
            },
            expected: Some(vec![named("n"), Dim::Fixed(4)]),
        },
        Case {
            name: "what is not zero among nothing",
            build: |g| {
                let none = ints(g, &[]);
                g.node("NonZero", &[&none], [])
            },
            expected: Some(vec![Dim::Fixed(1), Dim::Unknown]),
        },
        Case {
            name: "an operator that is not known",
            build: |g| {
                let [y] = g.node_in("my.domain", "Strange", &["x"], []);
                g.node("Relu", &[&y], [])
            },
            expected: None,
        },
    ];
    for case in cases {
        assert_eq!(dims(case.build), case.expected, "{}", case.name);
    }
}

#[test]
fn sizes_that_no_machine_has_are_not_calculated() {
    for (op, values) in [
        ("ConstantOfShape", &[i64::MAX, i64::MAX][..]),
        ("ConstantOfShape", &[-1, 3]),
        ("Expand", &[1 << 40, 1 << 40]),
    ] {
        let mut graph = Graph::new("g");
        graph.input("x", DType::F32, [Dim::Fixed(1)]);
        let shape = ints(&mut graph, values);
        let inputs = if op == "Expand" {
            vec!["x", &shape]
        } else {
            vec![shape.as_str()]
        };
        let y = graph.node(op, &inputs, []);
        let z = graph.node("Size", &[&y], []);
        graph.output(&z, "z", DType::I64, []);
        graph.simplify();
        assert!(graph.node_count() > 0, "{op} {values:?}");
    }
}
