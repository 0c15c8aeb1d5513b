#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel::speech::Transcript;
use bevel::text::{Embedding, Generated};
use bevel::vision::{Classes, Detection, Found, Label};

use super::truth::{Class, Entity, Thing};
use super::*;

fn classes(indices: &[usize]) -> Answer {
    let labels = indices.iter().map(|&index| Label {
        label: format!("c{index}"),
        index,
        score: 0.5,
    });
    Answer::Classify(Classes {
        labels: labels.collect(),
    })
}

fn class(index: usize) -> Truth {
    Truth::Class(Class {
        index,
        label: format!("c{index}"),
    })
}

fn value(scores: &Scores, name: &str) -> f64 {
    let figure = scores.figures().iter().find(|figure| figure.name == name);
    figure.unwrap_or_else(|| panic!("no {name}")).value.unwrap()
}

fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{found}, expected {expected}"
    );
}

/// The lists of the test in `bevel_prep::score::Tally`, whose figures are scikit-learn's.
fn classified() -> Scores {
    let truth = [0, 0, 0, 0, 1, 1, 2, 2, 2, 3];
    let given = [0, 0, 1, 2, 1, 0, 2, 2, 2, 2];
    let answers: Vec<_> = given.iter().map(|&best| classes(&[best, 3])).collect();
    let truths: Vec<_> = truth.iter().map(|&truth| class(truth)).collect();
    scores_of(&answers, &truths).unwrap()
}

#[test]
fn classes_are_counted() {
    let scores = classified();
    for (name, expected) in [
        ("top1", 0.6),
        ("top5", 0.7),
        ("precision", 0.44166666666666665),
        ("recall", 0.5),
        ("f1", 0.45535714285714285),
    ] {
        close(value(&scores, name), expected);
    }
    let confusion = scores.confusion().unwrap();
    assert_eq!(confusion.labels, ["c0", "c1", "c2", "c3"]);
    assert_eq!(confusion.counts[0], [2, 1, 1, 0]);
    assert_eq!(confusion.counts[3], [0, 0, 1, 0]);
    let per_class = scores.per_class();
    assert_eq!(
        (per_class[0].truths, per_class[0].values[1]),
        (4, ("recall", 0.5))
    );
    assert_eq!(scores.worst(), None);
}

#[test]
fn intervals_hold_the_value_and_are_the_same_every_time() {
    let (first, second) = (classified().main(), classified().main());
    assert_eq!(first, second);
    let (low, high) = (first.low.unwrap(), first.high.unwrap());
    assert!(low < 0.6 && 0.6 < high, "{low} {high}");
    // The spread of a share of ten: 1.96 · sqrt(0.6 · 0.4 / 10) = 0.30.
    assert!(
        (0.2..=0.4).contains(&low) && (0.8..=1.0).contains(&high),
        "{low} {high}"
    );
}

#[test]
fn groups_have_figures_of_their_own_and_a_gap() {
    let mut scores = classified();
    let group = |at: usize| Some(if at < 4 { "a" } else { "b" }.to_string()).filter(|_| at < 9);
    scores.groups = (0..10).map(group).collect();
    let groups = scores.groups().unwrap();
    let values: Vec<_> = groups
        .groups
        .iter()
        .map(|g| (g.group.as_str(), g.figure.value, g.figure.samples))
        .collect();
    assert_eq!(values, [("a", Some(0.5), 4), ("b", Some(0.8), 5)]);
    close(groups.gap.unwrap(), 0.3);
    assert_eq!(classified().groups(), None);
}

#[test]
fn a_change_is_paired() {
    let scores = classified();
    let same = scores.change(&classified()).unwrap();
    assert_eq!(
        (same.value, same.low, same.high),
        (Some(0.0), Some(0.0), Some(0.0))
    );
    let right: Vec<_> = [0, 0, 0, 0, 1, 1, 2, 2, 2, 3].map(|c| classes(&[c])).into();
    let truths: Vec<_> = [0, 0, 0, 0, 1, 1, 2, 2, 2, 3].map(class).into();
    let all = scores_of(&right, &truths).unwrap();
    let change = scores.change(&all).unwrap();
    close(change.value.unwrap(), -0.4);
    assert!(change.low.unwrap() < -0.4 && change.high.unwrap() < 0.0);
    let fewer = scores_of(&right[1..], &truths[1..]).unwrap();
    assert!(scores.change(&fewer).is_err());
}

#[test]
fn agreement_takes_the_other_ones_word_for_it() {
    let vector = |embedding: [f32; 2]| {
        Answer::Embed(Embedding {
            embedding: embedding.into(),
        })
    };
    let a = [
        vector([1.0, 0.0]),
        vector([3.0, 4.0]),
        vector([f32::NAN, 1.0]),
    ];
    let b = [vector([2.0, 0.0]), vector([4.0, 3.0]), vector([1.0, 1.0])];
    let truths: Vec<_> = b.iter().map(|answer| Truth::of(answer).unwrap()).collect();
    let scores = scores_of(&a, &truths).unwrap();
    // A vector that is no number agrees with nothing.
    close(value(&scores, "cosine"), (1.0 + 0.96 + 0.0) / 3.0);
    assert_eq!(scores.worst(), Some(0.0));

    let text = |ids: &[u32]| {
        Answer::Generate(Generated {
            text: String::new(),
            ids: ids.into(),
        })
    };
    let truths = [
        Truth::of(&text(&[1, 2, 3, 4])).unwrap(),
        Truth::of(&text(&[])).unwrap(),
    ];
    let scores = scores_of(&[text(&[1, 2, 9]), text(&[])], &truths).unwrap();
    close(value(&scores, "token"), 0.75);

    let strange = scores_of(&a, &[class(0), class(1), class(2)])
        .err()
        .unwrap();
    assert!(
        format!("{strange:#}").contains("sample 1: the truth is a class"),
        "{strange:#}"
    );
    assert!(scores_of(&a, &[]).is_err() && scores_of(&[], &[]).is_err());
}

/// `jiwer.wer` and `jiwer.cer` of jiwer 4.0.0 over both texts, lower case and without punctuation.
#[test]
fn words_are_compared_without_case_and_punctuation() {
    let heard = |text: &str| {
        Answer::Transcribe(Transcript {
            text: text.into(),
            ..Transcript::default()
        })
    };
    let said = |text: &str| Truth::Speech(text.into());
    let scores = scores_of(
        &[
            heard("The child almost hurt the dog."),
            heard("Two three four five!"),
        ],
        &[
            said("the child almost hurt the small dog"),
            said("ONE, TWO, THREE"),
        ],
    )
    .unwrap();
    close(value(&scores, "wer"), 0.4);
    close(value(&scores, "cer"), 0.4166666666666667);
    assert_eq!(scores.worst(), Some(1.0));
}

/// `precision_score`, `recall_score`, `f1_score` of seqeval 1.2.2 with `mode="strict", scheme=IOB2` on
/// the tags of these entities, one word a character; per label `classification_report`.
#[test]
fn entities_are_right_with_label_and_both_ends() {
    let wanted = [
        vec![("PER", 0, 2), ("LOC", 3, 4), ("LOC", 5, 6)],
        vec![("ORG", 0, 1), ("PER", 2, 4)],
    ];
    let given = [
        vec![("PER", 0, 2), ("ORG", 3, 4), ("LOC", 5, 6)],
        vec![("ORG", 0, 1), ("PER", 2, 3), ("PER", 3, 4)],
    ];
    let truths: Vec<_> = wanted
        .iter()
        .map(|entities| {
            let entities = entities.iter().map(|&(label, start, end)| Entity {
                label: label.into(),
                start,
                end,
            });
            Truth::Entities(entities.collect())
        })
        .collect();
    let answers: Vec<_> = given
        .iter()
        .map(|entities| {
            let entities = entities
                .iter()
                .map(|&(label, start, end)| bevel::text::Entity {
                    label: label.into(),
                    text: String::new(),
                    start,
                    end,
                    score: 0.5,
                });
            Answer::Tag(bevel::text::Entities {
                entities: entities.collect(),
            })
        })
        .collect();
    let scores = scores_of(&answers, &truths).unwrap();
    for (name, expected) in [
        ("f1", 0.5454545454545454),
        ("precision", 0.5),
        ("recall", 0.6),
    ] {
        close(value(&scores, name), expected);
    }
    let per_class = scores.per_class();
    let labels: Vec<_> = per_class
        .iter()
        .map(|class| (class.label.as_str(), class.truths))
        .collect();
    assert_eq!(labels, [("LOC", 2), ("ORG", 1), ("PER", 2)]);
    close(per_class[0].values[2].1, 0.6666666666666666);
    let own: Vec<_> = answers
        .iter()
        .map(|answer| Truth::of(answer).unwrap())
        .collect();
    close(
        scores_of(&answers, &own).unwrap().main().value.unwrap(),
        1.0,
    );
}

/// Two of the cases of the test in `bevel_prep::score::answer_f1`.
#[test]
fn answers_are_held_to_the_closest_right_one() {
    let answer = |answer: &str| {
        Answer::Answer(bevel::text::Span {
            answer: answer.into(),
            start: 0,
            end: 0,
            score: 0.5,
        })
    };
    let right =
        |right: &[&str]| Truth::Answers(right.iter().map(|text| text.to_string()).collect());
    let scores = scores_of(
        &[answer("the Eiffel Tower"), answer("in Paris, France")],
        &[
            right(&["Eiffel tower"]),
            right(&["Paris", "the city of Paris"]),
        ],
    )
    .unwrap();
    close(value(&scores, "f1"), 0.75);
    close(value(&scores, "exact_match"), 0.5);
    assert_eq!(scores.worst(), Some(0.5));
}

fn detection(label: &str, index: usize, score: f32, xyxy: [f32; 4]) -> Detection {
    Detection {
        label: label.into(),
        index,
        score,
        xyxy,
    }
}

/// The pictures of the test in `bevel_prep::score::Matches`, whose figures are pycocotools'.
#[test]
fn boxes_are_matched() {
    let picture = |boxes: &[(f32, [f32; 4])]| {
        let boxes = boxes
            .iter()
            .map(|&(score, xyxy)| detection("a", 0, score, xyxy));
        Answer::Detect(Found {
            width: 100,
            height: 100,
            boxes: boxes.collect(),
        })
    };
    let truth = |boxes: &[([f64; 4], bool)]| {
        let things = boxes.iter().map(|&(bbox, iscrowd)| Thing {
            label: "a".into(),
            annotation: hotcoco::Annotation {
                bbox: Some(bbox),
                iscrowd,
                ..hotcoco::Annotation::default()
            },
        });
        Truth::Things(things.collect())
    };
    let answers = [
        picture(&[
            (0.9, [0.0, 0.0, 10.0, 10.0]),
            (0.8, [40.0, 0.0, 50.0, 10.0]),
            (0.3, [21.0, 0.0, 31.0, 10.0]),
        ]),
        picture(&[(0.8, [0.0, 0.0, 10.0, 8.0])]),
        picture(&[
            (0.7, [55.0, 55.0, 65.0, 65.0]),
            (0.6, [0.0, 0.0, 10.0, 6.0]),
        ]),
    ];
    let truths = [
        truth(&[
            ([0.0, 0.0, 10.0, 10.0], false),
            ([20.0, 0.0, 10.0, 10.0], false),
        ]),
        truth(&[([0.0, 0.0, 10.0, 10.0], false)]),
        truth(&[
            ([0.0, 0.0, 10.0, 10.0], false),
            ([50.0, 50.0, 40.0, 40.0], true),
        ]),
    ];
    let scores = scores_of(&answers, &truths).unwrap();
    close(value(&scores, "mAP50"), 0.8514851485148514);
    close(value(&scores, "mAP75"), 0.5709570957095709);
    let per_class = scores.per_class();
    assert_eq!((per_class.len(), per_class[0].truths), (1, 4));
    // Nothing true, nothing measured; and nothing found is 0.
    let nothing = scores_of(&answers, &[truth(&[]), truth(&[]), truth(&[])]).unwrap();
    assert_eq!(nothing.main().value, None);
    let blind = scores_of(&[picture(&[]), picture(&[]), picture(&[])], &truths).unwrap();
    assert_eq!(blind.main().value, Some(0.0));
    // A model agrees with itself where it is sure.
    let own: Vec<_> = answers
        .iter()
        .map(|answer| Truth::of(answer).unwrap())
        .collect();
    close(
        scores_of(&answers, &own).unwrap().main().value.unwrap(),
        1.0,
    );
}

#[test]
fn masks_that_cannot_be_drawn_are_told() {
    use hotcoco::Segmentation::{CompressedRle, Polygon, UncompressedRle};
    let answer = Answer::Instances(Found {
        width: 20,
        height: 10,
        boxes: Vec::new(),
    });
    let size = [10, 20];
    let counts = |counts: &str| counts.to_string();
    for (name, mask, says) in [
        (
            "two corners",
            Polygon(vec![vec![0.0; 4]]),
            "three or more corners",
        ),
        (
            "half a corner",
            Polygon(vec![vec![0.0; 7]]),
            "three or more corners",
        ),
        ("no polygon", Polygon(Vec::new()), "three or more corners"),
        (
            "far outside",
            Polygon(vec![vec![0.0, 0.0, 1e18, 0.0, 1e18, 1e18]]),
            "in the picture",
        ),
        (
            "of another picture",
            UncompressedRle {
                size: [20, 10],
                counts: vec![200],
            },
            "is 10 × 20, the picture 20 × 10",
        ),
        (
            "too long",
            UncompressedRle {
                size,
                counts: vec![5, 1_000_000],
            },
            "cannot be read",
        ),
        (
            "no runs",
            CompressedRle {
                size,
                counts: counts("zzzzzzzzzzzzzzzz~~"),
            },
            "cannot be read",
        ),
    ] {
        let thing = Thing {
            label: "cat".into(),
            annotation: hotcoco::Annotation {
                bbox: Some([0.0, 0.0, 5.0, 5.0]),
                segmentation: Some(mask),
                ..hotcoco::Annotation::default()
            },
        };
        let error = scores_of(std::slice::from_ref(&answer), &[Truth::Things(vec![thing])]);
        let error = format!(
            "{:#}",
            error.err().unwrap_or_else(|| panic!("{name} passes"))
        );
        assert!(
            error.contains(says) && error.contains("thing 1 (cat)"),
            "{name}: {error}"
        );
    }
}
