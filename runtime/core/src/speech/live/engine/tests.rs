use std::sync::{Arc, Mutex};

use super::*;
use crate::error::Error;
use crate::speech::live::tests::{Fake, input, noise};

/// Feeds sound of `(loud, milliseconds)` in blocks.
fn events(options: &LiveOptions, runs: &[(bool, u64)], block: usize) -> Vec<Event> {
    let calls = Arc::default();
    all(options, runs, block, &calls)
}

fn all(
    options: &LiveOptions,
    runs: &[(bool, u64)],
    block: usize,
    calls: &Arc<Mutex<Vec<usize>>>,
) -> Vec<Event> {
    let model = Box::new(Fake::new(calls));
    let mut engine = Engine::new(Detector::level(), model, &input(4.0), options);
    let mut out = Vec::new();
    let sound = noise(runs);
    for samples in sound.chunks(block) {
        engine.push(samples, 0, &mut out);
        assert!(
            engine
                .recent
                .slice(Span {
                    start: 0,
                    end: u64::MAX
                })
                .len()
                < 5 * 16_000
        );
    }
    engine.finish(&mut out);
    out
}

/// Events in short: `S` started, `P` partial, `E` empty, the words of a final text.
fn short(events: &[Event]) -> Vec<String> {
    let short = |event: &Event| match event {
        Event::Started { .. } => "S".to_owned(),
        Event::Partial { .. } => "P".to_owned(),
        Event::Final { segment, .. } => segment.text.clone(),
        Event::Empty { .. } => "E".to_owned(),
        other => format!("{other:?}"),
    };
    let mut short: Vec<_> = events.iter().map(short).collect();
    short.dedup();
    short
}

fn without_partials() -> LiveOptions {
    LiveOptions {
        partial_every: None,
        ..LiveOptions::default()
    }
}

#[test]
fn pauses_end_utterances() {
    struct Case {
        name: &'static str,
        runs: &'static [(bool, u64)],
        expected: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "silence",
            runs: &[(false, 5_000)],
            expected: &[],
        },
        Case {
            name: "a click",
            runs: &[(false, 500), (true, 150), (false, 1_000)],
            expected: &[],
        },
        Case {
            name: "an utterance",
            runs: &[(false, 500), (true, 1_000), (false, 1_000)],
            expected: &["S", "4 words"],
        },
        Case {
            name: "two with a breath in the first",
            runs: &[
                (false, 500),
                (true, 500),
                (false, 300),
                (true, 500),
                (false, 1_000),
                (true, 1_000),
                (false, 700),
            ],
            expected: &["S", "4 words", "S", "4 words"],
        },
        Case {
            name: "the end of the stream",
            runs: &[(true, 1_000)],
            expected: &["S", "4 words"],
        },
        Case {
            name: "a click before the end of the stream",
            runs: &[(false, 1_000), (true, 150), (false, 300)],
            expected: &[],
        },
        Case {
            name: "the end of the stream in a pause",
            runs: &[(true, 1_000), (false, 300)],
            expected: &["S", "4 words"],
        },
    ];
    for case in cases {
        let found = events(&without_partials(), case.runs, 160);
        assert_eq!(short(&found), case.expected, "{}", case.name);
    }
}

#[test]
fn blocks_change_no_final_text() {
    let runs = [
        (false, 500),
        (true, 1_300),
        (false, 700),
        (true, 900),
        (false, 300),
    ];
    let finals = |block: usize| -> Vec<_> {
        let events = events(&LiveOptions::default(), &runs, block).into_iter();
        let finals = events.filter_map(|event| match event {
            Event::Final { segment, .. } => Some((segment.text, (segment.start * 100.0) as u32)),
            _ => None,
        });
        finals.collect()
    };
    let expected = finals(160);
    assert_eq!(expected.len(), 2, "{expected:?}");
    for block in [1, 511, 512, 1_600, 7_000] {
        assert_eq!(finals(block), expected, "blocks of {block}");
    }
}

/// Times are those of the sound, with the padding of 200 ms around it.
#[test]
fn times_are_those_of_the_stream() {
    let found = events(
        &without_partials(),
        &[(false, 1_024), (true, 1_024), (false, 1_000)],
        160,
    );
    let [
        Event::Started { start },
        Event::Final {
            segment, latency, ..
        },
    ] = &found[..]
    else {
        panic!("{found:?}");
    };
    assert!((start - 0.824).abs() < 1e-9, "{start}");
    assert_eq!(segment.start, *start);
    // The text was made in advance, in the pause.
    assert!((2.24..=2.25).contains(&segment.end), "{segment:?}");
    assert!(latency.after_speech > 0.5, "{latency:?}");
    assert!(latency.after_decision < latency.after_speech, "{latency:?}");
}

#[test]
fn partial_texts_only_grow_where_they_are_agreed() {
    let runs = [(true, 1_500), (false, 150), (true, 1_000), (false, 1_000)];
    let found = events(&LiveOptions::default(), &runs, 160);
    let mut before = String::new();
    let mut count = 0;
    for event in &found {
        if let Event::Partial { agreed, rest, .. } = event {
            assert!(agreed.starts_with(&before), "{agreed:?} after {before:?}");
            assert!(!(agreed.clone() + rest).is_empty());
            before = agreed.clone();
            count += 1;
        }
    }
    assert!((2..=10).contains(&count), "{count}: {found:?}");
    assert!(!before.is_empty());
    assert_eq!(short(&found), ["S", "P", "10 words"]);
}

/// The text of an utterance is made once, in its pause; and anew where speech went on.
#[test]
fn the_final_text_is_made_in_advance() {
    struct Case {
        name: &'static str,
        runs: &'static [(bool, u64)],
        advance_ms: u64,
        calls: usize,
    }
    let cases = [
        Case {
            name: "a pause",
            runs: &[(true, 1_000), (false, 1_000)],
            advance_ms: 200,
            calls: 1,
        },
        Case {
            name: "speech goes on",
            runs: &[(true, 1_000), (false, 400), (true, 600), (false, 1_000)],
            advance_ms: 200,
            calls: 2,
        },
        Case {
            name: "never in advance",
            runs: &[(true, 1_000), (false, 400), (true, 600), (false, 1_000)],
            advance_ms: 10_000,
            calls: 1,
        },
    ];
    for case in cases {
        let options = LiveOptions {
            advance_after: Duration::from_millis(case.advance_ms),
            ..without_partials()
        };
        let calls = Arc::default();
        all(&options, case.runs, 160, &calls);
        assert_eq!(calls.lock().unwrap().len(), case.calls, "{}", case.name);
    }
}

/// Speech longer than the model takes: several utterances, nothing lost, none too long.
#[test]
fn endless_speech_is_cut() {
    let calls = Arc::default();
    let runs = [(true, 2_500), (false, 200), (true, 10_000), (false, 1_000)];
    let found = all(&without_partials(), &runs, 160, &calls);
    let calls = calls.lock().unwrap();
    assert!(calls.iter().all(|samples| *samples <= 64_000), "{calls:?}");
    let mut end = 0.0;
    let mut words = 0;
    for event in &found {
        if let Event::Final { segment, .. } = event {
            assert!(segment.start >= end - 1e-9, "{found:?}");
            // At the pause, the first time.
            assert!(end > 0.0 || (2.5..2.7).contains(&segment.end), "{found:?}");
            end = segment.end;
            let count = segment.text.split(' ').next().unwrap();
            words += count.parse::<usize>().unwrap();
        }
    }
    assert!((46..=50).contains(&words), "{words} of 50: {found:?}");
}

#[test]
fn what_is_late_gives_no_partial_text() {
    let model = Box::new(Fake::new(&Arc::default()));
    let options = LiveOptions::default();
    let mut engine = Engine::new(Detector::level(), model, &input(4.0), &options);
    let mut out = Vec::new();
    for samples in noise(&[(true, 3_000), (false, 1_000)]).chunks(160) {
        engine.push(samples, 16_000, &mut out);
    }
    assert_eq!(short(&out), ["S", "12 words"]);
}

#[test]
fn a_model_that_fails_is_told_and_the_stream_goes_on() {
    let mut fake = Fake::new(&Arc::default());
    fake.fail_first = true;
    let options = without_partials();
    let mut engine = Engine::new(Detector::level(), Box::new(fake), &input(4.0), &options);
    let mut out = Vec::new();
    let late = noise(&[(true, 1_000), (false, 600), (true, 1_000), (false, 600)]);
    // All at once, so that nothing is made in advance and tried again.
    engine.push(&late, 0, &mut out);
    let [
        Event::Started { .. },
        Event::Error { what, .. },
        Event::Empty { .. },
        ..,
    ] = &out[..]
    else {
        panic!("{out:?}");
    };
    assert_eq!(*what, Error::Input("a failure".into()).to_string());
    assert_eq!(short(&out[3..]), ["S", "4 words"]);
}
