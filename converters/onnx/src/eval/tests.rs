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
