use std::sync::Mutex;
use std::time::Instant;

use bevel_manifest::AudioInput;

use super::*;
use crate::pipeline::Timing;
use crate::session::Session;
use crate::speech::model::{Heard, Model};

/// Hears a word in each quarter of a second that is loud.
pub(super) struct Fake {
    /// Samples of each piece.
    calls: Arc<Mutex<Vec<usize>>>,
    /// Hears nothing while somebody holds it.
    gate: Arc<Mutex<()>>,
    pub(super) fail_first: bool,
}

impl Fake {
    pub(super) fn new(calls: &Arc<Mutex<Vec<usize>>>) -> Self {
        Self {
            calls: Arc::clone(calls),
            gate: Arc::default(),
            fail_first: false,
        }
    }
}

impl Model for Fake {
    fn sessions(&self) -> Vec<&Session> {
        Vec::new()
    }

    fn write_down(&mut self, pieces: &[&[f32]], _: &mut Timing) -> Result<Vec<Heard>> {
        if std::mem::take(&mut self.fail_first) {
            return Err(Error::Input("a failure".into()));
        }
        let heard = pieces.iter().map(|samples| {
            self.calls.lock().unwrap().push(samples.len());
            drop(self.gate.lock().unwrap());
            let loud = samples.iter().filter(|s| s.abs() > 0.01).count();
            let words = (loud + 2_000) / 4_000;
            Heard::whole(format!("{words} words"), samples)
        });
        Ok(heard.collect())
    }
}

pub(super) fn input(max_piece_s: f32) -> AudioInput {
    AudioInput {
        sample_rate_hz: 16_000,
        max_piece_s,
        ..serde_json::from_str(r#"{"sample_rate_hz": 16000, "max_piece_s": 1.0}"#).unwrap()
    }
}

/// Sound of `(loud, milliseconds)` at 16 kHz.
pub(super) fn noise(runs: &[(bool, u64)]) -> Vec<f32> {
    let samples = |&(loud, ms): &(bool, u64)| {
        (0..ms * 16).map(move |i| match loud {
            true if i % 2 == 0 => 0.2,
            true => -0.2,
            false => 0.0,
        })
    };
    runs.iter().flat_map(samples).collect()
}

fn live(options: &LiveOptions) -> Live {
    gated(options, &Arc::default())
}

/// One whose model waits for a gate.
fn gated(options: &LiveOptions, gate: &Arc<Mutex<()>>) -> Live {
    let mut fake = Fake::new(&Arc::default());
    fake.gate = Arc::clone(gate);
    let engine = Engine::new(Detector::level(), Box::new(fake), &input(4.0), options);
    Live::start(engine, options).unwrap()
}

/// Pushes everything, waiting for room.
fn feed(live: &mut Live, samples: &[f32]) {
    for block in samples.chunks(160) {
        while live.room() < block.len() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(live.push(block), block.len());
    }
}

fn texts(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Final { segment, .. } => Some(segment.text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_pushed_is_polled() {
    let mut live = live(&LiveOptions::default());
    assert_eq!(live.poll(), None);
    feed(
        &mut live,
        &noise(&[(false, 300), (true, 1_000), (false, 1_000)]),
    );
    let mut events = Vec::new();
    while !matches!(events.last(), Some(Event::Final { .. })) {
        events.extend(live.poll_timeout(Duration::from_secs(10)));
    }
    assert_eq!(texts(&events), ["4 words"]);
    assert_eq!(live.poll_timeout(Duration::from_millis(10)), None);
    assert_eq!(live.finish(), []);
    // Two streams behind one another, each from 0 s on.
    for _ in 0..2 {
        feed(
            &mut live,
            &noise(&[(true, 500), (false, 700), (true, 1_000)]),
        );
        let events = live.finish();
        assert_eq!(texts(&events), ["2 words", "4 words"], "{events:?}");
        assert_eq!(events[0], Event::Started { start: 0.0 });
    }
}

#[test]
fn a_stream_is_flushed_reset_and_changes_its_rate() {
    let mut live = live(&LiveOptions::default());
    feed(&mut live, &noise(&[(true, 1_000)]));
    live.flush();
    let flushed = std::iter::from_fn(|| live.poll_timeout(Duration::from_secs(10)));
    let last = flushed
        .into_iter()
        .find(|e| matches!(e, Event::Final { .. }));
    assert!(last.is_some());
    feed(&mut live, &noise(&[(true, 1_000)]));
    live.reset();
    assert_eq!(live.finish(), []);

    let (mut input, output) = live.split();
    assert!(output.change_rate(0).is_err());
    output.change_rate(8_000).unwrap();
    assert_eq!(input.sample_rate_hz(), 8_000);
    let slow: Vec<f32> = (0..8_000).map(|i| (i as f32).sin() * 0.3).collect();
    input.push(&slow);
    let events = output.finish();
    assert_eq!(texts(&events), ["4 words"], "{events:?}");
}

#[test]
fn a_stream_is_ended_by_one_thread_and_closed_under_another() {
    let mut live = live(&LiveOptions::default());
    feed(
        &mut live,
        &noise(&[(true, 500), (false, 700), (true, 1_000)]),
    );
    let (_input, output) = live.split();
    std::thread::scope(|scope| {
        let polled = scope.spawn(|| {
            let mut events = Vec::new();
            while events.last() != Some(&Event::Ended) {
                events.extend(output.poll_timeout(Duration::MAX));
            }
            events
        });
        output.end();
        let events = polled.join().unwrap();
        assert_eq!(texts(&events), ["2 words", "4 words"], "{events:?}");
        let waiting = scope.spawn(|| output.poll_timeout(Duration::MAX));
        output.close();
        assert_eq!(waiting.join().unwrap(), None);
    });
}

/// The stated policy: text is late, never lost; what is lost is told, and where.
#[test]
fn a_slow_device_refuses_the_newest_sound_and_says_so() {
    let options = LiveOptions {
        buffer: Duration::from_secs(1),
        ..LiveOptions::default()
    };
    let gate = Arc::default();
    let mut live = gated(&options, &gate);
    let sound = noise(&[(true, 1_000), (false, 600)].repeat(3));
    let mut taken = 0;
    // Twice the model is busy for longer than the buffer lasts.
    for _ in 0..2 {
        let held = gate.lock().unwrap();
        for block in sound.chunks(320) {
            taken += live.push(block);
        }
        drop(held);
        while live.room() < 16_000 / 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let events = live.finish();
    let seconds = |samples: usize| samples as f64 / 16_000.0;
    let dropped: f64 = events
        .iter()
        .filter_map(|event| match event {
            Event::Dropped { seconds, .. } => Some(*seconds),
            _ => None,
        })
        .sum();
    let places = events.iter().filter(|e| matches!(e, Event::Dropped { .. }));
    assert!(places.count() >= 2, "{events:#?}");
    let expected = seconds(2 * sound.len() - taken);
    assert!(expected > 4.0, "{expected}");
    assert!((dropped - expected).abs() < 1e-6, "{dropped} of {expected}");
    // A final text or none for each utterance, in order, within the stream.
    let (mut open, mut end) = (0, 0.0);
    for event in &events {
        match event {
            Event::Started { .. } => open += 1,
            Event::Final { segment, .. } => {
                open -= 1;
                assert!(segment.start >= end, "{events:#?}");
                end = segment.end;
            }
            Event::Empty { .. } => open -= 1,
            _ => {}
        }
    }
    assert_eq!(open, 0, "{events:#?}");
    assert!(end <= seconds(2 * sound.len()) + 0.01, "{events:#?}");
    // It goes on as if nothing had been.
    feed(&mut live, &noise(&[(true, 1_000)]));
    assert_eq!(texts(&live.finish()), ["4 words"]);
}

#[test]
fn events_that_nobody_polls_are_bounded_and_kept() {
    let options = LiveOptions {
        buffer: Duration::from_secs(1),
        partial_every: None,
        ..LiveOptions::default()
    };
    let mut live = live(&options);
    let (count, mut pushed) = (700, 0);
    let utterance = noise(&[(true, 300), (false, 600)]);
    let deadline = Instant::now() + Duration::from_secs(60);
    // Stops being taken at some time, because nobody polls.
    'fill: for _ in 0..count {
        for block in utterance.chunks(480) {
            while live.room() < block.len() {
                if live.output.shared.mail().is_full() {
                    break 'fill;
                }
                assert!(Instant::now() < deadline);
                std::thread::sleep(Duration::from_millis(1));
            }
            live.push(block);
        }
        pushed += 1;
    }
    assert!(pushed < count, "memory is not bounded");
    let events = live.finish();
    assert!(texts(&events).len() >= pushed, "{pushed} {}", events.len());
}

#[test]
fn pushing_allocates_nothing() {
    let mut live = live(&LiveOptions::default());
    let sound = noise(&[(true, 1_000), (false, 700)].repeat(20));
    let counted = allocation_counter::measure(|| {
        // Also when the buffer is full.
        for block in sound.chunks(441) {
            live.push(block);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    live.reset();
}

#[test]
fn what_is_no_sound_is_told_once_and_the_rest_heard() {
    let mut live = live(&LiveOptions::default());
    feed(&mut live, &[f32::NAN; 3_200]);
    feed(&mut live, &noise(&[(true, 1_000)]));
    let events = live.finish();
    assert!(matches!(events[0], Event::Error { .. }), "{events:?}");
    let errors = events.iter().filter(|e| matches!(e, Event::Error { .. }));
    assert_eq!(errors.count(), 1);
    assert_eq!(texts(&events), ["4 words"]);
}

#[test]
fn options_out_of_range_are_told() {
    struct Case {
        name: &'static str,
        options: LiveOptions,
        says: &'static str,
    }
    let base = LiveOptions::default();
    let cases = [
        Case {
            name: "rate",
            options: LiveOptions {
                sample_rate_hz: 0,
                ..base.clone()
            },
            says: "sample rate is 0 Hz",
        },
        Case {
            name: "threshold",
            options: LiveOptions {
                threshold: Some(f32::NAN),
                ..base.clone()
            },
            says: "threshold is NaN",
        },
        Case {
            name: "pause",
            options: LiveOptions {
                min_silence: Duration::ZERO,
                ..base.clone()
            },
            says: "min_silence is 0 s",
        },
        Case {
            name: "buffer",
            options: LiveOptions {
                buffer: Duration::from_secs(1_000_000),
                ..base.clone()
            },
            says: "buffer is 1000000 s",
        },
    ];
    assert!(base.check().is_ok());
    for case in cases {
        let error = case.options.check().unwrap_err().to_string();
        assert!(error.starts_with(case.says), "{}: {error}", case.name);
    }
}

#[test]
fn events_are_json_objects_with_their_name() {
    let event = Event::Partial {
        start: 0.5,
        end: 1.0,
        agreed: "a".into(),
        rest: " b".into(),
    };
    let json = serde_json::to_value(event).unwrap();
    let expected = r#"{"event": "partial", "start": 0.5, "end": 1.0, "agreed": "a", "rest": " b"}"#;
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(json, expected);
    let last = Event::Final {
        segment: crate::speech::Segment {
            start: 1.0,
            end: 2.0,
            text: "a".into(),
            words: Vec::new(),
        },
        language: None,
        latency: Latency {
            after_decision: 0.25,
            after_speech: 0.75,
        },
    };
    let json = serde_json::to_value(last).unwrap();
    let expected = r#"{"event": "final", "start": 1.0, "end": 2.0, "text": "a",
        "latency": {"after_decision": 0.25, "after_speech": 0.75}}"#;
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(json, expected);
}
