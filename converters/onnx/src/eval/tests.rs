use super::*;

fn f32s(values: &[f32]) -> Tensor {
    Tensor::f32("", &[values.len()], values.to_vec())
}

fn run(op: &str, inputs: &[&Tensor]) -> Option<Numbers> {
    let names = vec!["a"; inputs.len()];
    let node = NodeProto::new(op, &names, &["y"], []);
    let inputs = Constants(inputs.iter().map(|t| Some(*t)).collect());
    Numbers::read(&evaluate(&node, &inputs, 1 << 20)?[0])
}

#[test]
fn answers_are_those_of_numpy() {
    struct Case {
        op: &'static str,
        inputs: Vec<Tensor>,
        expected: Option<Numbers>,
    }
    // numpy 2.4: divmod truncates towards zero in ONNX `Div`, `np.mod` has the divisor's sign.
    let ints = |values: &[i64]| Tensor::i64s("", values);
    let cases = [
        Case {
            op: "Div",
            inputs: vec![ints(&[-7, 7]), ints(&[2, -2])],
            expected: Some(Numbers::Int(vec![-3, -3])),
        },
        Case {
            op: "Div",
            inputs: vec![ints(&[1]), ints(&[0])],
            expected: None,
        },
        Case {
            op: "Mod",
            inputs: vec![ints(&[-7, 7, -7]), ints(&[3, -3, -3])],
            expected: Some(Numbers::Int(vec![2, -2, -1])),
        },
        Case {
            op: "Round",
            inputs: vec![f32s(&[0.5, 1.5, -2.5, 2.4])],
            expected: Some(Numbers::Single(vec![0.0, 2.0, -2.0, 2.0])),
        },
        Case {
            op: "Range",
            inputs: vec![
                Tensor::index("", 10),
                Tensor::index("", 0),
                Tensor::index("", -3),
            ],
            expected: Some(Numbers::Int(vec![10, 7, 4, 1])),
        },
        Case {
            op: "Range",
            inputs: vec![
                Tensor::index("", 0),
                Tensor::index("", i64::MAX),
                Tensor::index("", 1),
            ],
            expected: None,
        },
        Case {
            op: "GreaterOrEqual",
            inputs: vec![f32s(&[1.0, f32::NAN]), f32s(&[1.0, 0.0])],
            expected: Some(Numbers::Int(vec![1, 0])),
        },
        Case {
            op: "ReduceProd",
            inputs: vec![ints(&[2, 3, 4])],
            expected: Some(Numbers::Int(vec![24])),
        },
        Case {
            op: "NonZero",
            inputs: vec![ints(&[0, 5, 0, 2])],
            expected: Some(Numbers::Int(vec![1, 3])),
        },
        Case {
            op: "Gather",
            inputs: vec![ints(&[5, 6, 7]), ints(&[-1, 0])],
            expected: Some(Numbers::Int(vec![7, 5])),
        },
        Case {
            op: "Gather",
            inputs: vec![ints(&[5, 6, 7]), ints(&[3])],
            expected: None,
        },
    ];
    for case in cases {
        let inputs: Vec<&Tensor> = case.inputs.iter().collect();
        assert_eq!(
            run(case.op, &inputs),
            case.expected,
            "{} {:?}",
            case.op,
            case.inputs
        );
    }
}

#[test]
fn a_float_that_an_integer_cannot_hold_stays_in_the_graph() {
    let cast = |value: f32, to: DType| {
        let to = i64::from(to.code());
        let node = NodeProto::new("Cast", &["a"], &["y"], [("to", to.into())]);
        let value = f32s(&[value]);
        let tensors = evaluate(&node, &Constants(vec![Some(&value)]), 8)?;
        Numbers::read(&tensors[0])
    };
    assert_eq!(cast(-1.7, DType::I32), Some(Numbers::Int(vec![-1])));
    assert_eq!(cast(300.0, DType::U8), None);
    assert_eq!(cast(f32::NAN, DType::I64), None);
    assert_eq!(cast(1e19, DType::I64), None);
    assert_eq!(
        cast(0.1, DType::F16),
        Some(Numbers::Single(vec![0.099_975_586]))
    );
}

#[test]
fn hostile_shapes_of_constants_are_no_plan_and_no_work() {
    struct Case {
        name: &'static str,
        node: NodeProto,
        inputs: Vec<Tensor>,
        /// Dimensions of the first result; `None` where the node stays.
        expected: Option<&'static [usize]>,
    }
    // 2^61 × 1 × 0 elements are none.
    let wide = || Tensor::f32("", &[1 << 61, 1, 0], vec![]);
    let huge = i64::MAX;
    let cases = [
        Case {
            name: "a slice of one number",
            node: NodeProto::new("Slice", &["a", "b", "c"], &["y"], []),
            inputs: vec![
                Tensor::scalar("", 1.0),
                Tensor::i64s("", &[0]),
                Tensor::i64s("", &[1]),
            ],
            expected: None,
        },
        Case {
            name: "parts whose sum overflows",
            node: NodeProto::new("Split", &["a", "b"], &["x", "y", "z", "w"], []),
            inputs: vec![f32s(&[1.0]), Tensor::i64s("", &[0, huge, huge, huge])],
            expected: None,
        },
        Case {
            name: "gather of nothing",
            node: NodeProto::new("Gather", &["a", "b"], &["y"], [("axis", 1.into())]),
            inputs: vec![wide(), Tensor::i64s("", &[0, 0])],
            expected: Some(&[1 << 61, 2, 0]),
        },
        Case {
            name: "concat of nothing",
            node: NodeProto::new("Concat", &["a", "b"], &["y"], [("axis", 1.into())]),
            inputs: vec![wide(), wide()],
            expected: Some(&[1 << 61, 2, 0]),
        },
    ];
    for case in cases {
        let inputs = Constants(case.inputs.iter().map(Some).collect());
        let found = evaluate(&case.node, &inputs, 1 << 20);
        let dims = found.as_ref().map(|tensors| tensors[0].dims.as_slice());
        assert_eq!(dims, case.expected, "{}", case.name);
    }
}

#[test]
fn no_elements_are_no_reason_to_know_an_operator() {
    let empty = [Tensor::i64s("", &[]), f32s(&[])];
    for tensor in &empty {
        for op in ["ArgMax", "SequenceConstruct", "Erf", "BitShift"] {
            for count in [1, 2] {
                assert_eq!(run(op, &vec![tensor; count]), None, "{op} of {count}");
            }
        }
        assert_eq!(run("Neg", &[tensor]).unwrap().len(), 0);
        assert_eq!(run("Add", &[tensor, tensor]).unwrap().len(), 0);
    }
    let node = NodeProto::new("NonZero", &["a"], &["y"], []);
    let found = evaluate(&node, &Constants(vec![Some(&empty[0])]), 8);
    assert_eq!(found.unwrap()[0].dims, [1, 0]);
}

#[test]
fn what_only_gets_another_shape_shares_its_bytes() {
    let a = f32s(&[1.0, 2.0]);
    let shape = Tensor::i64s("", &[2, 1]);
    let node = NodeProto::new("Reshape", &["a", "b"], &["y"], []);
    // However little may be made.
    let found = evaluate(&node, &Constants(vec![Some(&a), Some(&shape)]), 0).unwrap();
    assert_eq!(found[0].dims, [2, 1]);
    assert_eq!(found[0].data.as_ptr(), a.data.as_ptr());
}
