use bevel_weights::Checkpoint;

use super::*;
use crate::testing::{Shapes, write_safetensors};
use crate::weights::Weights;

/// A network whose only weight is `w.weight`.
fn with_weight<T>(
    dims: &[usize],
    check: impl FnOnce(&mut Net<'_>, &Map) -> T,
    channels: usize,
) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    write_safetensors(&path, &Shapes::from([("w.weight".into(), dims.to_vec())]));
    let checkpoint = Checkpoint::open(&path).unwrap();
    let weights = Weights::new(&checkpoint, "toy");
    let mut net = Net::new("toy", &weights);
    let x = net.picture("x", channels, None);
    check(&mut net, &x)
}

#[test]
fn groups_share_channels_evenly() {
    struct Case {
        name: &'static str,
        channels: usize,
        weight: [usize; 4],
        conv: Conv2d<'static>,
        /// The groups of the node, or what the error says.
        expected: Result<i64, &'static str>,
    }
    let cases = [
        Case {
            name: "as many as the weight asks for",
            channels: 64,
            weight: [8, 16, 1, 1],
            conv: Conv2d::PLAIN.grouped(),
            expected: Ok(4),
        },
        Case {
            name: "one a channel",
            channels: 4,
            weight: [8, 1, 3, 3],
            conv: Conv2d::PLAIN.depthwise(),
            expected: Ok(4),
        },
        Case {
            name: "channels that are no multiple",
            channels: 64,
            weight: [21, 3, 1, 1],
            conv: Conv2d::PLAIN.grouped(),
            expected: Err("[21, 3, 1, 1], expected [21, 64, 1, 1]"),
        },
        Case {
            name: "a number that does not divide",
            channels: 64,
            weight: [21, 3, 1, 1],
            conv: Conv2d::PLAIN.groups(21),
            expected: Err("[21, 3, 1, 1], expected [21, 64, 1, 1]"),
        },
        Case {
            name: "outputs that are no multiple",
            channels: 4,
            weight: [6, 1, 3, 3],
            conv: Conv2d::PLAIN.grouped(),
            expected: Err("`w.weight` has 6 outputs"),
        },
    ];
    for case in cases {
        let check = |net: &mut Net<'_>, x: &Map| match net.conv2d(x, "w", case.conv) {
            Ok(map) => {
                assert_eq!(map.channels, case.weight[0], "{}", case.name);
                let node = net.graph.nodes.iter().find(|node| node.is("Conv"));
                Ok(node.unwrap().int("group").unwrap())
            }
            Err(error) => Err(error.to_string()),
        };
        match (
            with_weight(&case.weight, check, case.channels),
            case.expected,
        ) {
            (Ok(groups), Ok(expected)) => assert_eq!(groups, expected, "{}", case.name),
            (Err(error), Err(says)) => assert!(error.contains(says), "{}: {error}", case.name),
            (found, _) => panic!("{}: {found:?}", case.name),
        }
    }
}

#[test]
fn only_squares_of_the_stride_spread() {
    let cases = [
        ([4, 2, 2, 2], None),
        (
            [4, 2, 4, 4],
            Some("`w.weight` is [4, 2, 4, 4], expected [4, 2, 2, 2]"),
        ),
        (
            [4, 2, 2, 3],
            Some("`w.weight` is [4, 2, 2, 3], expected [4, 2, 2, 2]"),
        ),
    ];
    for (weight, says) in cases {
        let check = |net: &mut Net<'_>, x: &Map| net.spread2d(x, "w", 2).map(|map| map.channels);
        match (with_weight(&weight, check, 4), says) {
            (Ok(channels), None) => assert_eq!(channels, 2),
            (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
            (found, _) => panic!("{weight:?}: {found:?}"),
        }
    }
}
