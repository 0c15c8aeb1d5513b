//! A decoder whose next token is the sum of the tokens it sees and of its position, so that cache,
//! mask and positions show in every choice.

use bevel_onnx::{DType, Dim, Graph, Tensor};

use super::*;
use crate::pipeline::Options;

const VOCABULARY: usize = 40;

/// `logits[v] = −(v − sum)²`, sum = Σ mask · (past ‖ ids) + position, all N×T×V.
pub(crate) fn graph() -> Graph {
    let mut g = Graph::new("sum");
    let ids = |g: &mut Graph, name: &str, length: &str| {
        let dims = ["batch", length].map(Dim::named);
        let x = g.input(name, DType::I64, dims);
        let to = i64::from(DType::F32.code());
        g.node("Cast", &[&x], [("to", to.into())])
    };
    let cache = |length| {
        let [batch, length] = ["batch", length].map(Dim::named);
        [batch, Dim::Fixed(1), length, Dim::Fixed(1)]
    };
    let new = ids(&mut g, "input_ids", "sequence");
    let mask = ids(&mut g, "attention_mask", "present");
    let places = ids(&mut g, "position_ids", "sequence");
    let past = g.input("past_key_values.0.key", DType::F32, cache("past"));
    let upright = g.initializer(Tensor::i64s("upright", &[0, 1, -1, 1]));
    let flat = g.initializer(Tensor::i64s("flat", &[0, -1]));
    let axis = g.initializer(Tensor::i64s("axis", &[1]));
    let last = g.initializer(Tensor::i64s("last", &[2]));
    let all = Tensor::f32(
        "all",
        &[VOCABULARY],
        (0..VOCABULARY).map(|v| v as f32).collect(),
    );
    let all = g.initializer(all);
    let column = g.node("Unsqueeze", &[&new, &last], []);
    let column = g.node("Reshape", &[&column, &upright], []);
    let present = g.node("Concat", &[&past, &column], [("axis", 2.into())]);
    let seen = g.node("Reshape", &[&present, &flat], []);
    let seen = g.node("Mul", &[&seen, &mask], []);
    let sum = g.node("ReduceSum", &[&seen, &axis], []);
    let sum = g.node("Add", &[&sum, &places], []);
    let sum = g.node("Unsqueeze", &[&sum, &last], []);
    let gap = g.node("Sub", &[&all, &sum], []);
    let gap = g.node("Mul", &[&gap, &gap], []);
    let logits = g.node("Neg", &[&gap], []);
    let [batch, sequence] = ["batch", "sequence"].map(Dim::named);
    let dims = [batch, sequence, Dim::Fixed(VOCABULARY)];
    g.output(&logits, "logits", DType::F32, dims);
    g.output(&present, "present.0.key", DType::F32, cache("present"));
    g
}

#[test]
fn cache_mask_and_positions_grow_with_the_text() {
    struct Case {
        name: &'static str,
        ids: &'static [i64],
        mask: Option<&'static [i64]>,
        rows: usize,
        limit: usize,
        end_ids: &'static [u32],
        expected: &'static [&'static [u32]],
    }
    let cases = [
        Case {
            name: "one row: 1 + 2 + 1, 7 + 2, 16 + 3",
            ids: &[1, 2],
            mask: None,
            rows: 1,
            limit: 3,
            end_ids: &[],
            expected: &[&[4, 9, 19]],
        },
        Case {
            name: "it ends, and the end is told",
            ids: &[1, 2],
            mask: Some(&[1, 1]),
            rows: 1,
            limit: 3,
            end_ids: &[9],
            expected: &[&[4, 9]],
        },
        Case {
            name: "padding is neither seen nor counted",
            ids: &[1, 2, 30, 2],
            mask: Some(&[1, 1, 0, 1]),
            rows: 2,
            limit: 3,
            end_ids: &[],
            // 2 + 0, 4 + 1, 9 + 2
            expected: &[&[4, 9, 19], &[2, 5, 11]],
        },
        Case {
            name: "a row that has ended waits for the others",
            ids: &[1, 2, 30, 2],
            mask: Some(&[1, 1, 0, 1]),
            rows: 2,
            limit: 3,
            end_ids: &[4],
            expected: &[&[4], &[2, 5, 11]],
        },
        Case {
            name: "nothing is asked for",
            ids: &[1],
            mask: None,
            rows: 1,
            limit: 0,
            end_ids: &[],
            expected: &[&[]],
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sum.onnx");
    graph().save(&path).unwrap();
    let load = || Session::load(&path.as_path().into(), &Options::default()).unwrap();
    let mut plain = Decoder::new(load()).unwrap();
    assert_eq!(plain.vocabulary(), Some(VOCABULARY));
    // The way of GPUs, in the CPU's memory.
    let mut bound = load();
    bound.bind_on_cpu();
    let mut bound = Decoder::new(bound).unwrap();
    for (decoder, case) in cases.iter().flat_map(|case| [(false, case), (true, case)]) {
        let decoder = if decoder { &mut bound } else { &mut plain };
        let prompt = Prompt {
            ids: case.ids,
            mask: case.mask,
            rows: case.rows,
            hidden: None,
        };
        let rules = Rules {
            end_ids: case.end_ids.to_vec(),
            ..Rules::default()
        };
        let mut spent = Duration::default();
        let found = decoder.greedy(prompt, &rules, case.limit, &mut spent);
        assert_eq!(found.unwrap(), case.expected, "{}", case.name);
    }
}
