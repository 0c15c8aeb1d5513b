use super::*;

fn spans(spec: &SegmentSpec, probabilities: &[f32], total: u64) -> Vec<Span> {
    let mut segmenter = Segmenter::new(spec.clone());
    let mut out = Vec::new();
    for p in probabilities {
        let keep = segmenter.keep_from();
        let before = out.len();
        segmenter.push(*p, &mut out);
        assert!(
            out[before..].iter().all(|s| s.start >= keep),
            "a span starts before what was to be kept"
        );
    }
    segmenter.finish(total, &mut out);
    assert_eq!(segmenter.position(), 0);
    out
}

/// Silero's own answers on real speech; see `tests/golden/silero/make.py`.
#[test]
fn real_speech_is_segmented_as_by_silero() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/silero/silero.safetensors"
    );
    let bytes = std::fs::read(path).unwrap();
    let golden = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let i64s = |name: &str| -> Vec<u64> {
        let data = golden.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u64)
            .collect()
    };
    let default = SegmentSpec::silero_16k();
    let sets = [
        ("default", default.clone()),
        (
            "moonshine",
            SegmentSpec {
                min_silence_samples: 8000,
                pad_samples: 6400,
                ..default.clone()
            },
        ),
        (
            "eager",
            SegmentSpec {
                threshold: 0.8,
                exit_threshold: 0.65,
                min_silence_samples: 512,
                pad_samples: 0,
                min_speech_samples: 800,
                ..default.clone()
            },
        ),
        (
            "max10",
            SegmentSpec {
                min_silence_samples: 12_800,
                max_speech_samples: 160_000,
                ..default.clone()
            },
        ),
    ];
    for recording in ["jfk", "lj", "beckett", "cities"] {
        let data = golden
            .tensor(&format!("{recording}.probabilities"))
            .unwrap()
            .data()
            .to_vec();
        let probabilities: Vec<f32> = data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        let total = i64s(&format!("{recording}.samples"))[0];
        for (set, spec) in &sets {
            let expected: Vec<_> = i64s(&format!("{recording}.{set}.spans"))
                .chunks_exact(2)
                .map(|s| Span {
                    start: s[0],
                    end: s[1],
                })
                .collect();
            let found = spans(spec, &probabilities, total);
            assert_eq!(found, expected, "{recording}, {set}");
        }
    }
}

/// Windows of 512 samples: `(probability, windows)`.
fn windows(runs: &[(f32, usize)]) -> Vec<f32> {
    runs.iter()
        .flat_map(|(p, n)| std::iter::repeat_n(*p, *n))
        .collect()
}

#[test]
fn speech_is_found_between_pauses() {
    struct Case {
        name: &'static str,
        runs: &'static [(f32, usize)],
        expected: &'static [[u64; 2]],
    }
    // Minimum 4000 samples of speech, 1600 of silence, padding 480.
    let cases = [
        Case {
            name: "nothing",
            runs: &[],
            expected: &[],
        },
        Case {
            name: "silence",
            runs: &[(0.0, 100)],
            expected: &[],
        },
        Case {
            name: "never sure",
            runs: &[(0.49, 100)],
            expected: &[],
        },
        Case {
            name: "a click",
            runs: &[(0.0, 5), (1.0, 3), (0.0, 50)],
            expected: &[],
        },
        Case {
            name: "all speech",
            runs: &[(1.0, 20)],
            expected: &[[0, 10_240]],
        },
        Case {
            name: "a word",
            runs: &[(0.0, 10), (0.9, 20), (0.0, 20)],
            expected: &[[4640, 15_840]],
        },
        Case {
            name: "held by the exit threshold",
            runs: &[(0.0, 10), (0.9, 20), (0.4, 20), (0.0, 20)],
            expected: &[[4640, 26_080]],
        },
        Case {
            name: "a short pause",
            runs: &[(0.9, 20), (0.0, 3), (0.9, 20)],
            expected: &[[0, 22_016]],
        },
        Case {
            name: "a pause",
            runs: &[(0.9, 20), (0.0, 10), (0.9, 20)],
            expected: &[[0, 10_720], [14_880, 25_600]],
        },
    ];
    for case in cases {
        let probabilities = windows(case.runs);
        let total = 512 * probabilities.len() as u64;
        let found = spans(&SegmentSpec::silero_16k(), &probabilities, total);
        let found: Vec<_> = found.iter().map(|s| [s.start, s.end]).collect();
        assert_eq!(found, case.expected, "{}", case.name);
    }
}

#[test]
fn padding_shares_a_short_pause_and_stays_inside() {
    let spec = SegmentSpec {
        pad_samples: 8000,
        ..SegmentSpec::silero_16k()
    };
    let probabilities = windows(&[(0.9, 20), (0.0, 10), (0.9, 20), (0.0, 4)]);
    let total = 512 * 54 - 100;
    assert_eq!(
        spans(&spec, &probabilities, total),
        [
            Span {
                start: 0,
                end: 12_800
            },
            Span {
                start: 12_800,
                end: total
            }
        ]
    );
}

#[test]
fn speech_that_is_too_long_is_cut_where_it_is_least_likely() {
    let spec = SegmentSpec {
        max_speech_samples: 32_000,
        ..SegmentSpec::silero_16k()
    };
    // No pause at all, but a dip at window 40 (20,480 samples), in the second half.
    let probabilities = windows(&[(1.0, 10), (0.4, 1), (1.0, 29), (0.45, 1), (1.0, 60)]);
    let found = spans(&spec, &probabilities, 512 * 101);
    assert_eq!(
        found[0],
        Span {
            start: 0,
            end: 20_480
        }
    );
    assert_eq!(found[1].start, 20_480);
    assert_eq!(found.last().unwrap().end, 512 * 101);
    for pair in found.windows(2) {
        assert_eq!(pair[0].end, pair[1].start, "nothing is lost");
    }
    for span in &found {
        assert!(span.samples() <= 32_000, "{span:?}");
    }
}

#[test]
fn later_pauses_are_remembered_after_a_cut() {
    let spec = SegmentSpec {
        max_speech_samples: 64_000,
        min_silence_samples: 16_000,
        ..SegmentSpec::silero_16k()
    };
    // Pauses of 8 and of 5 windows; the longer one is cut at first.
    let probabilities = windows(&[
        (1.0, 30),
        (0.0, 8),
        (1.0, 60),
        (0.0, 5),
        (1.0, 75),
        (0.0, 60),
    ]);
    let found = spans(&spec, &probabilities, 512 * 238);
    let starts: Vec<_> = found.iter().map(|s| s.start).collect();
    assert_eq!(starts, [0, 38 * 512 - 480, 103 * 512 - 480]);
}
