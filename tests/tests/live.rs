//! Live speech in the library, on Moonshine tiny and real recordings. Needs
//! `models/.cache/moonshine-tiny` and `../shared/data/speech`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use bevel::speech::{Event, Live, LiveOptions};
use bevel::{Bundle, Options, Transcribe};
use bevel_prep::audio::Resampler;
use bevel_prep::score::{Edits, normalize_words, word_errors};
use bevel_tests::{needs, pulled, root, shared};

fn model() -> Option<(PathBuf, PathBuf)> {
    Some((pulled("moonshine-tiny")?, shared("data/speech")?))
}

fn bundle(model: &Path) -> Bundle {
    let recipe = root().join("models/transcribe/moonshine-tiny.toml");
    Bundle::load_with_recipe(model, &recipe).unwrap()
}

fn live(model: &Path, change: impl FnOnce(&mut LiveOptions)) -> Live {
    let mut options = LiveOptions::default();
    change(&mut options);
    Live::load(&bundle(model), &Options::default(), &options).unwrap()
}

/// The samples of a plain WAV of 16-bit integers.
fn samples(wav: &Path) -> Vec<f32> {
    let bytes = std::fs::read(wav).unwrap();
    let samples = bytes[44..].chunks_exact(2);
    samples
        .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0)
        .collect()
}

/// Everything that is heard in samples.
fn hear(live: &mut Live, samples: &[f32]) -> Vec<Event> {
    for block in samples.chunks(441) {
        while live.room() < block.len() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(live.push(block), block.len());
    }
    live.finish()
}

fn text(events: &[Event]) -> String {
    let texts: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Final { segment, .. } => Some(segment.text.as_str()),
            _ => None,
        })
        .collect();
    texts.join(" ")
}

fn silence(seconds: f32) -> Vec<f32> {
    vec![0.0; (seconds * 16_000.0) as usize]
}

#[test]
fn short_clips_are_heard_as_well_as_files_at_any_rate() {
    let (model, speech) = needs!(model());
    let mut transcribe = Transcribe::load(&bundle(&model), &Options::default()).unwrap();
    let transcripts = std::fs::read_to_string(speech.join("transcripts.tsv")).unwrap();
    let clips: Vec<_> = transcripts
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(file, _)| file.starts_with("spk1"))
        .map(|(file, expected)| (samples(&speech.join(file)), expected))
        .collect();
    assert_eq!(clips.len(), 6);
    for rate in [16_000, 48_000, 44_100] {
        let mut live = live(&model, |options| options.sample_rate_hz = rate);
        let [mut now, mut whole] = [Edits::default(); 2];
        for (clip, expected) in &clips {
            let sound = [silence(0.3), clip.clone(), silence(1.0)].concat();
            let mut resampled = Vec::new();
            let mut resampler = Resampler::new(16_000, rate).unwrap();
            resampler.push(&sound, &mut resampled).unwrap();
            resampler.finish(&mut resampled).unwrap();
            let text = text(&hear(&mut live, &resampled));
            now += word_errors(expected, &normalize_words(&text));
            let text = transcribe.run(&sound, 16_000).unwrap().text;
            whole += word_errors(expected, &normalize_words(&text));
        }
        assert!(
            now.total() <= whole.total(),
            "{rate} Hz: {now:?}, files {whole:?}"
        );
    }
}

#[test]
fn long_speech_is_cut_and_nothing_lost() {
    let (model, _) = needs!(model());
    let sound = samples(&model.join("two_cities.wav"));
    // 48 kHz, as the header says.
    let mut live = live(&model, |options| {
        options.sample_rate_hz = 48_000;
        // Nobody makes a pause that long: it is cut where it has to be.
        options.min_silence = Duration::from_secs(3);
    });
    let events = hear(&mut live, &sound);
    let mut end = 0.0;
    for event in &events {
        if let Event::Final { segment, .. } = event {
            assert!(segment.start >= end - 1e-6, "{events:#?}");
            assert!(segment.end - segment.start <= 20.0, "{segment:?}");
            end = segment.end;
        }
    }
    let mut transcribe = Transcribe::load(&bundle(&model), &Options::default()).unwrap();
    let whole = transcribe.run_file(&model.join("two_cities.wav")).unwrap();
    let expected = normalize_words(&whole.text);
    let edits = word_errors(&expected, &normalize_words(&text(&events)));
    assert!(edits.rate() <= 0.05, "{edits:?}: {}", text(&events));
}

#[test]
fn silence_noise_and_tones_are_no_events() {
    let (model, _) = needs!(model());
    let mut live = live(&model, |_| {});
    let mut seed = 1_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let noise = (0..160_000).map(|_| 0.05 * random()).collect();
    let tone = |i: u16| 0.2 * (f32::from(i) / 16_000.0 * 2_764.6).sin();
    for (name, sound) in [
        ("silence", silence(10.0)),
        ("noise", noise),
        ("a tone", (0..48_000).map(tone).collect::<Vec<_>>()),
    ] {
        assert_eq!(hear(&mut live, &sound), [], "{name}");
        let level = live.level_db();
        assert_eq!(level < -90.0, name == "silence", "{name}: {level} dB");
    }
}

#[test]
fn pushing_allocates_nothing() {
    let (model, speech) = needs!(model());
    let mut live = live(&model, |options| options.sample_rate_hz = 44_100);
    let sound = samples(&speech.join("spk1_snt1.wav"));
    let counted = allocation_counter::measure(|| {
        for _ in 0..20 {
            for block in sound.chunks(441) {
                live.push(block);
            }
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    live.reset();
}
