use std::collections::BTreeSet;

use super::*;
use crate::proto::NodeProto;
use crate::{DType, Dim};

type Changes = BTreeSet<(String, i64)>;

/// `Op 9 13` to (Op, 9), (Op, 13).
fn read<'t>(lines: impl Iterator<Item = &'t str>) -> Changes {
    let mut changes = Changes::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let op = words.next().unwrap().to_owned();
        changes.extend(words.map(|version| (op.clone(), version.parse().unwrap())));
    }
    changes
}

#[test]
fn every_change_of_the_changelog_is_handled_once() {
    let changelog = read(include_str!("../../testdata/changelog.txt").lines());
    let same = read(SAME.split(';'));
    let rows = steps::STEPS.iter();
    let steps: Changes = rows
        .flat_map(|(ops, at, _)| ops.iter().map(|op| ((*op).to_owned(), *at)))
        .collect();
    assert_eq!(
        same.intersection(&steps).collect::<Vec<_>>(),
        Vec::<&(String, i64)>::new()
    );
    let handled: Changes = same.union(&steps).cloned().collect();
    let missing: Vec<_> = changelog.difference(&handled).collect();
    let unknown: Vec<_> = handled.difference(&changelog).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{missing:?} {unknown:?}"
    );
}

fn of(version: i64, node: NodeProto) -> Graph {
    let mut graph = Graph::new("g");
    let dims = [Dim::Fixed(1), Dim::Fixed(2), Dim::Fixed(4), Dim::Fixed(4)];
    graph.input("x", DType::F32, dims);
    graph.initializer(Tensor::f32("w", &[4], vec![1.0, 1.0, 2.0, 0.5]));
    graph.nodes.push(node);
    graph.output("y", "y", DType::F32, vec![Dim::Unknown; 4]);
    graph.opsets.insert(String::new(), version);
    graph
}

#[test]
fn what_cannot_be_said_any_more_is_refused() {
    struct Case {
        name: &'static str,
        version: i64,
        node: NodeProto,
        says: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "too old",
            version: 6,
            node: NodeProto::new("Relu", &["x"], &["y"], []),
            says: &["operator set 6", "from 7 on"],
        },
        Case {
            name: "statistics of training",
            version: 9,
            node: NodeProto::new(
                "BatchNormalization",
                &["x", "w", "w", "w", "w"],
                &["y", "m"],
                [],
            ),
            says: &[
                "BatchNormalization",
                "of operator set 9",
                "in 14",
                "training",
            ],
        },
        Case {
            name: "each element on its own",
            version: 7,
            node: NodeProto::new(
                "BatchNormalization",
                &["x"],
                &["y"],
                [("spatial", 0.into())],
            ),
            says: &["`spatial`"],
        },
        Case {
            name: "grows and shrinks",
            version: 10,
            node: NodeProto::new("Resize", &["x", "w"], &["y"], [("mode", "nearest".into())]),
            says: &["Resize", "shrinks"],
        },
        Case {
            name: "a scan over batches",
            version: 8,
            node: NodeProto::new("Scan", &["x"], &["y"], []),
            says: &["Scan", "batch axis"],
        },
    ];
    for case in cases {
        let error = of(case.version, case.node)
            .upgrade()
            .unwrap_err()
            .to_string();
        for says in case.says {
            assert!(error.contains(says), "{}: {error}", case.name);
        }
    }
}

#[test]
fn a_newer_model_keeps_its_version() {
    let mut graph = of(24, NodeProto::new("Softmax", &["x"], &["y"], []));
    assert_eq!(graph.upgrade().unwrap(), 24);
    assert_eq!(graph.opsets[""], 24);
    assert_eq!(graph.nodes.len(), 1);
}

#[test]
fn steps_follow_each_other() {
    let scales = crate::proto::AttributeProto {
        name: Some("scales".into()),
        floats: vec![1.0, 1.0, 2.0, 2.0],
        ..Default::default()
    };
    let mut node = NodeProto::new("Upsample", &["x"], &["y"], [("mode", "linear".into())]);
    node.attribute.push(scales);
    let mut graph = of(7, node);
    assert_eq!(graph.upgrade().unwrap(), 7);
    graph.check().unwrap();
    let [resize] = graph.nodes.as_slice() else {
        panic!("{:?}", graph.nodes);
    };
    assert!(resize.is("Resize"));
    assert_eq!(resize.input[1], "");
    let scales = graph.find_initializer(&resize.input[2]).unwrap();
    assert_eq!(scales.as_f32().unwrap().as_ref(), [1.0, 1.0, 2.0, 2.0]);
    assert_eq!(
        resize.text("coordinate_transformation_mode"),
        Some("asymmetric")
    );
}
