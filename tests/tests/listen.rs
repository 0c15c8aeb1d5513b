//! `bevel listen` from standard input, a file and a sound card that is none: an ALSA device whose
//! samples come out of a named pipe. Needs `models/.cache/moonshine-tiny` and `../shared/data/speech`;
//! the sound card also needs ALSA and the feature `microphone`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bevel_tests::{arg, bevel, needs, pulled, shared, success};
use serde_json::Value;

/// As `bevel run` writes them down.
const TEXTS: [&str; 2] = [
    "The child almost hurt the small dog.",
    "The pencils have all been used.",
];

fn model() -> Option<(PathBuf, PathBuf)> {
    Some((pulled("moonshine-tiny")?, shared("data/speech")?))
}

/// The two clips with silence around, as 16-bit samples at 16 kHz.
fn sound(speech: &Path) -> Vec<u8> {
    let silence = |ms: usize| vec![0; ms * 32];
    // Behind the 44 bytes of a plain WAV header.
    let clip = |name: &str| std::fs::read(speech.join(name)).unwrap().split_off(44);
    [
        silence(500),
        clip("spk1_snt1.wav"),
        silence(1_200),
        clip("spk1_snt6.wav"),
        silence(1_000),
    ]
    .concat()
}

fn finals(events: &[Value]) -> Vec<&str> {
    let finals = events.iter().filter(|e| e["event"] == "final");
    finals.map(|e| e["text"].as_str().unwrap()).collect()
}

/// Every utterance is begun, guessed at and ended in order, and what is agreed stays.
fn check(events: &[Value]) {
    let mut agreed: Option<String> = None;
    for event in events {
        match event["event"].as_str().unwrap() {
            "started" => assert_eq!(agreed.replace(String::new()), None, "{events:#?}"),
            "partial" => {
                let now = event["agreed"].as_str().unwrap();
                let before = agreed.replace(now.into()).unwrap();
                assert!(now.starts_with(&before), "{events:#?}");
            }
            "final" => {
                assert!(agreed.take().is_some(), "{events:#?}");
                assert!(event["latency"]["after_decision"].as_f64().unwrap() >= 0.0);
                assert!(event["start"].as_f64().unwrap() < event["end"].as_f64().unwrap());
            }
            other => panic!("{other}: {events:#?}"),
        }
    }
    assert_eq!(agreed, None, "{events:#?}");
}

fn interrupt(child: &Child) {
    let mut kill = Command::new("kill");
    kill.args(["-INT", &child.id().to_string()]);
    assert!(kill.status().unwrap().success());
}

#[test]
fn standard_input_becomes_text_and_subtitles() {
    let (model, speech) = needs!(model());
    let folder = tempfile::tempdir().unwrap();
    let srt = folder.path().join("said.srt");
    let mut listen = bevel();
    listen.args(["listen", arg(&model), "--input", "-", "--srt", arg(&srt)]);
    listen.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = listen.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&sound(&speech)).unwrap();
    drop(stdin);
    let text = success(&child.wait_with_output().unwrap());
    assert_eq!(text.lines().collect::<Vec<_>>(), TEXTS);
    let srt = std::fs::read_to_string(srt).unwrap();
    let blocks: Vec<_> = srt.split("\n\n").filter(|b| !b.trim().is_empty()).collect();
    assert_eq!(blocks.len(), 2, "{srt}");
    for (i, (block, text)) in blocks.iter().zip(TEXTS).enumerate() {
        let lines: Vec<_> = block.trim().lines().collect();
        assert_eq!(lines[0], (i + 1).to_string());
        assert!(lines[1].contains(" --> "), "{srt}");
        assert_eq!(lines[2], text);
    }
}

#[test]
fn an_interrupt_ends_it_with_what_was_said_so_far() {
    let (model, speech) = needs!(model());
    let mut listen = bevel();
    listen.args(["listen", arg(&model), "--input", "-", "--json"]);
    listen
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = listen.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // In the middle of a sentence, and the pipe stays open.
    stdin.write_all(&sound(&speech)[..64_000]).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["event"], "started");
    interrupt(&child);
    let mut events = vec![first];
    for line in lines {
        events.push(serde_json::from_str(&line.unwrap()).unwrap());
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(finals(&events).len(), 1, "{events:#?}");
    check(&events);
}

/// ALSA's configuration, where this build and this machine can record.
fn alsa() -> Option<PathBuf> {
    let help = success(&bevel().args(["listen", "--help"]).output().unwrap());
    let stock = PathBuf::from("/usr/share/alsa/alsa.conf");
    (help.contains("--device-name") && stock.exists()).then_some(stock)
}

#[test]
fn a_microphone_becomes_text() {
    let (model, speech) = needs!(model());
    let stock = needs!(alsa());
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("mic.fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let conf = folder.path().join("asound.conf");
    let text = format!(
        "<{}>\n\
         pcm.pipe {{ type file slave.pcm \"null\" file \"/dev/null\" infile \"{}\" format \"raw\" }}\n\
         pcm.!default {{ type plug slave {{ pcm \"pipe\" format S16_LE rate 16000 channels 1 }} }}\n",
        arg(&stock),
        arg(&fifo)
    );
    std::fs::write(&conf, text).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    // Both ends, so that nobody waits for the other and nothing is lost between two openings.
    let pipe = OpenOptions::new().read(true).write(true).open(&fifo);
    let feeder = feed(pipe.unwrap(), sound(&speech), Arc::clone(&done));

    let mut listen = bevel();
    // A bound for a machine on which nothing comes; the test ends it earlier.
    listen.args(["listen", arg(&model), "--json", "--seconds", "100"]);
    listen.env("ALSA_CONFIG_PATH", &conf);
    listen.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = listen.spawn().unwrap();
    let mut events: Vec<Value> = Vec::new();
    let mut ended = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        events.push(serde_json::from_str(&line.unwrap()).unwrap());
        if finals(&events).len() == 2 && !std::mem::replace(&mut ended, true) {
            interrupt(&child);
        }
    }
    success(&child.wait_with_output().unwrap());
    // Not before: without a writer the device would give old sound again, at full speed.
    done.store(true, Relaxed);
    feeder.join().unwrap();
    assert_eq!(finals(&events), TEXTS, "{events:#?}");
    check(&events);
}

/// Writes samples as fast as a sound card has them, then silence.
fn feed(mut pipe: File, sound: Vec<u8>, done: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let silence = [0; 640];
        let mut blocks = sound.chunks(silence.len());
        while !done.load(Relaxed) {
            pipe.write_all(blocks.next().unwrap_or(&silence)).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    })
}
