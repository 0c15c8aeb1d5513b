use super::*;
use crate::speech::Word;

/// A segment with its words, each as long as the next begins, `gap` seconds apart.
fn spoken(start: f64, words: &[&str], each: f64, gap: f64, between: &str) -> Segment {
    let word = |(i, text): (usize, &&str)| Word {
        start: start + i as f64 * (each + gap),
        end: start + i as f64 * (each + gap) + each,
        text: (*text).to_owned(),
        score: 1.0,
    };
    let words: Vec<_> = words.iter().enumerate().map(word).collect();
    Segment {
        start,
        end: words.last().map_or(start, |w| w.end),
        text: words
            .iter()
            .map(|w| w.text.as_str())
            .collect::<Vec<_>>()
            .join(between),
        words,
    }
}

fn whole(start: f64, end: f64, text: &str) -> Segment {
    Segment {
        start,
        end,
        text: text.into(),
        words: Vec::new(),
    }
}

fn written(format: Format, segments: &[Segment]) -> String {
    let transcript = Transcript {
        segments: segments.to_vec(),
        ..Transcript::default()
    };
    let mut text = String::new();
    format.write(&transcript, &mut text).unwrap();
    text
}

#[test]
fn formats_are_written_as_their_readers_expect() {
    let segments = [
        whole(0.0, 1.5, "Tom & Jerry <say> a --> b."),
        whole(3661.0014, 3662.9996, "Two\n\nlines\tand a tab"),
    ];
    for (format, expected) in [
        (
            Format::Srt,
            "1\n00:00:00,000 --> 00:00:01,500\nTom & Jerry <say> a -> b.\n\n\
             2\n01:01:01,001 --> 01:01:03,000\nTwo lines and a tab\n\n",
        ),
        (
            Format::Vtt,
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nTom &amp; Jerry &lt;say&gt; a --&gt; b.\n\n\
             01:01:01.001 --> 01:01:03.000\nTwo lines and a tab\n\n",
        ),
        (
            Format::Tsv,
            "start\tend\ttext\n0\t1500\tTom & Jerry <say> a --> b.\n\
             3661001\t3663000\tTwo lines and a tab\n",
        ),
        (
            Format::Text,
            "Tom & Jerry <say> a --> b.\nTwo lines and a tab\n",
        ),
    ] {
        assert_eq!(written(format, &segments), expected, "{format:?}");
    }
    for (format, expected) in [
        (Format::Srt, ""),
        (Format::Vtt, "WEBVTT\n\n"),
        (Format::Tsv, "start\tend\ttext\n"),
        (Format::Text, ""),
    ] {
        assert_eq!(written(format, &[]), expected, "{format:?}, silence");
        assert_eq!(format.ending().parse::<Format>().unwrap(), format);
    }
    assert!("pdf".parse::<Format>().is_err());
}

#[test]
fn long_segments_are_divided_where_a_reader_pauses() {
    struct Case {
        name: &'static str,
        segment: Segment,
        expected: &'static [(u64, u64, &'static str)],
    }
    let sentences = [
        "Ask", "not", "what", "it", "can", "do.", "Ask", "what", "you", "can", "do.",
    ];
    let cases = [
        Case {
            name: "short",
            segment: spoken(0.0, &["Ask", "not."], 0.5, 0.0, " "),
            expected: &[(0, 1_000, "Ask not.")],
        },
        Case {
            name: "11 s in two sentences",
            segment: spoken(2.0, &sentences, 1.0, 0.0, " "),
            expected: &[
                (2_000, 8_000, "Ask not what it can do."),
                (8_000, 13_000, "Ask what you can do."),
            ],
        },
        Case {
            name: "no words",
            segment: whole(0.0, 20.0, "Nobody knows where its words are."),
            expected: &[(0, 20_000, "Nobody knows where its words are.")],
        },
        Case {
            name: "words of another text",
            segment: Segment {
                text: "Something else that is said.".into(),
                ..spoken(0.0, &sentences, 1.0, 0.0, " ")
            },
            expected: &[(0, 11_000, "Something else that is said.")],
        },
        Case {
            name: "no sentence, no clause: like lengths",
            segment: spoken(0.0, &["one"; 10], 1.0, 0.0, " "),
            expected: &[
                (0, 5_000, "one one one one one"),
                (5_000, 10_000, "one one one one one"),
            ],
        },
        Case {
            name: "no spaces",
            segment: spoken(
                0.0,
                &["今日は", "天気が", "いい。", "明日も", "いい。"],
                2.0,
                0.0,
                "",
            ),
            expected: &[
                (0, 6_000, "今日は天気がいい。"),
                (6_000, 10_000, "明日もいい。"),
            ],
        },
        Case {
            name: "one word that never ends",
            segment: spoken(0.0, &["Aah", "oh"], 10.0, 0.0, " "),
            expected: &[(0, 10_000, "Aah"), (10_000, 20_000, "oh")],
        },
    ];
    for Case {
        name,
        segment,
        expected,
    } in cases
    {
        let found: Vec<_> = cues(std::slice::from_ref(&segment)).collect();
        let found: Vec<_> = found
            .iter()
            .map(|c| (c.start_ms, c.end_ms, c.text.as_str()))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn nothing_is_lost_and_time_goes_forwards() {
    let text = "it was the best of times, it was the worst of times; it was the age of wisdom: it was \
        the age of foolishness. it was the epoch of belief, it was the epoch of incredulity";
    let words: Vec<_> = text.split(' ').collect();
    for (each, gap) in [(0.05, 0.0), (0.3, 0.0), (0.3, 0.4), (2.0, 1.0), (0.0, 0.0)] {
        let segments = [
            spoken(0.0, &words, each, gap, " "),
            spoken(0.0, &words, each, gap, " "),
        ];
        let found: Vec<_> = cues(&segments).collect();
        let joined: Vec<_> = found.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(joined.join(" "), format!("{text} {text}"), "{each} {gap}");
        for cue in &found {
            assert!(cue.text.chars().count() <= 84, "{cue:?}");
            assert!(cue.start_ms < cue.end_ms, "{cue:?}");
        }
        assert!(found.is_sorted_by_key(|c| c.start_ms));
    }
}
