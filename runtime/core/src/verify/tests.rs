//! An encoder that adds 1 and a decoder that adds its ids and what it has seen to that.

use bevel_onnx::{DType, Dim, Graph, Tensor as Constant};

use super::*;
use crate::tensors::TensorData;

const CLOSE: Tolerance = Tolerance {
    atol: 1e-6,
    rtol: 0.0,
    cosine: None,
};

fn named<const R: usize>(names: [&str; R]) -> [Dim; R] {
    names.map(Dim::named)
}

fn encoder() -> Graph {
    let mut g = Graph::new("encoder");
    let x = g.input("input_values", DType::F32, named(["batch", "time"]));
    let one = g.initializer(Constant::scalar("one", 1.0));
    let y = g.node("Add", &[&x, &one], []);
    g.output(
        &y,
        "last_hidden_state",
        DType::F32,
        named(["batch", "time"]),
    );
    g
}

/// `logits` N×T: ids + mask + positions + encoder; `present` is the past, which is empty.
fn decoder() -> Graph {
    let mut g = Graph::new("decoder");
    let rows = || named(["batch", "time"]);
    let to = || [("to", i64::from(DType::F32.code()).into())];
    let mut sum = g.input("encoder_hidden_states", DType::F32, rows());
    for name in ["input_ids", "attention_mask", "position_ids"] {
        let x = g.input(name, DType::I64, rows());
        let x = g.node("Cast", &[&x], to());
        sum = g.node("Add", &[&sum, &x], []);
    }
    let cache = |length| {
        [
            Dim::named("batch"),
            Dim::Fixed(2),
            Dim::named(length),
            Dim::Fixed(3),
        ]
    };
    let past = g.input("past_key_values.0.key", DType::F32, cache("past"));
    let present = g.node("Identity", &[&past], []);
    g.output(&sum, "logits", DType::F32, rows());
    g.output(&present, "present.0.key", DType::F32, cache("present"));
    g
}

/// Saves graphs and answers where they are.
fn saved(graphs: &[Graph]) -> (tempfile::TempDir, Vec<ModelFile>) {
    let folder = tempfile::tempdir().unwrap();
    let save = |g: &Graph| {
        let path = folder.path().join(format!("{}.onnx", g.name));
        g.save(&path).unwrap();
        path.as_path().into()
    };
    let files = graphs.iter().map(save).collect();
    (folder, files)
}

fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::new(shape.to_vec(), TensorData::F32(values.to_vec())).unwrap()
}

fn i64s(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::new(shape.to_vec(), TensorData::I64(values.to_vec())).unwrap()
}

fn recording<const R: usize>(tensors: [(&str, Tensor); R]) -> Recording {
    let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
    Recording::new(BTreeMap::from(tensors)).unwrap()
}

fn both() -> Recording {
    recording([
        ("input.input_values", f32s(&[1, 2], &[0.5, 1.5])),
        ("input.decoder_input_ids", i64s(&[1, 2], &[10, 20])),
        (
            "output.encoder_last_hidden_state",
            f32s(&[1, 2], &[1.5, 2.5]),
        ),
        // Ids, a mask of ones, positions 0 and 1, and the encoder's answer.
        ("output.logits", f32s(&[1, 2], &[12.5, 24.5])),
    ])
}

#[test]
fn graphs_run_when_their_inputs_are_known() {
    let (_folder, files) = saved(&[decoder(), encoder()]);
    // Alphabetically the decoder comes first, and waits.
    let graphs = BTreeMap::from([("decoder", &files[0]), ("encoder", &files[1])]);
    let verified = verify(&graphs, None, &both(), &Options::default(), CLOSE).unwrap();
    assert_eq!(verified.graphs, ["encoder", "decoder"]);
    assert_eq!(verified.outputs.len(), 2);
    assert!(
        verified.outputs.iter().all(|o| o.ok),
        "{:?}",
        verified.outputs
    );
    // A graph that the recording does not speak of is told, not run.
    let other = BTreeMap::from([("decoder", &files[0]), ("encoder", &files[1])]);
    let alone = recording([
        ("input.input_values", f32s(&[1, 1], &[0.0])),
        ("output.last_hidden_state", f32s(&[1, 1], &[1.0])),
    ]);
    let verified = verify(&other, None, &alone, &Options::default(), CLOSE).unwrap();
    assert_eq!(verified.idle, ["decoder"]);
}

#[test]
fn one_graph_is_fed_what_the_others_should_have_given() {
    let (_folder, files) = saved(&[decoder()]);
    let mut wrong = both();
    let verified = verify_one("decoder", &files[0], &wrong, &Options::default(), CLOSE).unwrap();
    let names: Vec<_> = verified.outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["logits"]);
    assert!(verified.outputs[0].ok);
    wrong
        .outputs
        .insert("logits".into(), f32s(&[1, 2], &[12.5, 24.4]));
    let verified = verify_one("decoder", &files[0], &wrong, &Options::default(), CLOSE).unwrap();
    assert!(!verified.outputs[0].ok);
    assert!((verified.outputs[0].max_abs - 0.1).abs() < 1e-5);
}

#[test]
fn what_does_not_fit_is_named() {
    struct Case {
        name: &'static str,
        change: fn(&mut Recording),
        says: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "an input nobody takes",
            change: |r| {
                r.inputs.insert("pixels".into(), f32s(&[1], &[0.0]));
            },
            says: &["no graph has an input `pixels`"],
        },
        Case {
            name: "an output nobody gives",
            change: |r| {
                r.outputs.insert("boxes".into(), f32s(&[1], &[0.0]));
            },
            says: &["no output `boxes`", "logits"],
        },
        Case {
            name: "a graph that waits",
            change: |r| {
                r.inputs.remove("decoder_input_ids");
            },
            says: &["`logits`", "graph `decoder` waits for `input_ids`"],
        },
        Case {
            name: "a wrong type",
            change: |r| {
                r.inputs
                    .insert("decoder_input_ids".into(), f32s(&[1, 2], &[0.0, 0.0]));
            },
            says: &["`input_ids`", "float32", "int64"],
        },
    ];
    let (_folder, files) = saved(&[decoder(), encoder()]);
    let graphs = BTreeMap::from([("decoder", &files[0]), ("encoder", &files[1])]);
    for case in cases {
        let mut recording = both();
        (case.change)(&mut recording);
        let error = verify(&graphs, None, &recording, &Options::default(), CLOSE)
            .unwrap_err()
            .to_string();
        for part in case.says {
            assert!(error.contains(part), "{}: {error}", case.name);
        }
    }
    let names = BTreeMap::from([("logits".to_owned(), f32s(&[1], &[0.0]))]);
    assert!(Recording::new(names).is_err());
}

#[test]
fn what_a_decoder_goes_on_with_is_compared_exactly() {
    struct Case {
        name: &'static str,
        /// Of prompt, mask and recording.
        rows: usize,
        ids: &'static [i64],
        mask: &'static [i64],
        recorded: &'static [i64],
        ok: bool,
    }
    // The next token is the sum of tokens and position; 4 ends a text, 7 fills it.
    let spec = GenerateSpec {
        end_ids: vec![4],
        pad_id: Some(7),
        ..GenerateSpec::default()
    };
    let cases = [
        Case {
            name: "one row goes on past its end",
            rows: 1,
            ids: &[1, 2],
            mask: &[1, 1],
            recorded: &[1, 2, 4, 9, 19],
            ok: true,
        },
        Case {
            name: "or is shorter",
            rows: 1,
            ids: &[1, 2],
            mask: &[1, 1],
            recorded: &[1, 2, 4],
            ok: true,
        },
        Case {
            name: "another token",
            rows: 1,
            ids: &[1, 2],
            mask: &[1, 1],
            recorded: &[1, 2, 4, 9, 20],
            ok: false,
        },
        Case {
            name: "rows that end are filled",
            rows: 2,
            ids: &[1, 2, 30, 2],
            mask: &[1, 1, 0, 1],
            recorded: &[1, 2, 4, 7, 7, 30, 2, 2, 5, 11],
            ok: true,
        },
        Case {
            name: "two rows that both end are no longer than that",
            rows: 2,
            ids: &[1, 2, 1, 2],
            mask: &[1, 1, 1, 1],
            recorded: &[1, 2, 4, 7, 1, 2, 4, 7],
            ok: false,
        },
    ];
    let mut graph = crate::decoder::tests::graph();
    graph.name = "model".into();
    let (_folder, files) = saved(&[graph]);
    let graphs = BTreeMap::from([("model", &files[0])]);
    for case in cases {
        let matrix = |ids: &[i64]| i64s(&[case.rows, ids.len() / case.rows], ids);
        let recording = recording([
            ("input.input_ids", matrix(case.ids)),
            ("input.attention_mask", matrix(case.mask)),
            ("output.greedy_ids", matrix(case.recorded)),
        ]);
        let verified =
            verify(&graphs, Some(&spec), &recording, &Options::default(), CLOSE).unwrap();
        assert_eq!(verified.outputs.len(), 1);
        assert_eq!(verified.outputs[0].ok, case.ok, "{}", case.name);
    }
    let short = recording([
        ("input.input_ids", i64s(&[1, 2], &[1, 2])),
        ("output.greedy_ids", i64s(&[1, 1], &[1])),
    ]);
    let error = verify(&graphs, Some(&spec), &short, &Options::default(), CLOSE).unwrap_err();
    assert!(error.to_string().contains("the 1×2 ids"), "{error}");
}

#[test]
fn not_a_number_is_a_breach_unless_it_is_recorded() {
    let cases = [
        ("equal", 1.0, 1.0, true),
        ("both not a number", f32::NAN, f32::NAN, true),
        ("found not a number", f32::NAN, 1.0, false),
        ("recorded not a number", 1.0, f32::NAN, false),
        ("both infinite", f32::INFINITY, f32::INFINITY, true),
        ("of opposite sign", f32::INFINITY, f32::NEG_INFINITY, false),
    ];
    for (name, found, recorded, ok) in cases {
        let row = Compared::new(name, &f32s(&[1], &[found]), &f32s(&[1], &[recorded]), CLOSE);
        assert_eq!(row.ok, ok, "{name}");
    }
    let shapes = Compared::new(
        "shapes",
        &f32s(&[2, 1], &[0.0; 2]),
        &f32s(&[1, 2], &[0.0; 2]),
        CLOSE,
    );
    assert!(!shapes.ok);
}
