//! Sound in, transcripts out: `bevel run` over pipes and broken recordings, and what it writes. Needs
//! `models/.cache/moonshine-tiny` and `../shared/data/speech`.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use bevel::speech::{Pcm, Progress, Sound};
use bevel::{Bundle, Options, Transcribe};
use bevel_tests::{arg, bevel, needs, pulled, root, shared, success};

const CHILD: &str = "The child almost hurt the small dog.";

/// The model's folder and the recordings, where both are there.
fn models() -> Option<(PathBuf, PathBuf)> {
    Some((pulled("moonshine-tiny")?, shared("data/speech")?))
}

/// Runs with these bytes on standard input.
fn piped(arguments: &[&str], bytes: &[u8]) -> Output {
    let mut command = bevel();
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who refuses the first bytes does not read the others.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

/// The 16-bit samples of a WAV file with the shortest header.
fn samples(wav: &Path) -> Vec<i16> {
    let bytes = std::fs::read(wav).unwrap();
    assert_eq!(&bytes[36..40], b"data");
    let pairs = bytes[44..].as_chunks::<2>().0.iter();
    pairs.map(|b| i16::from_le_bytes(*b)).collect()
}

/// A WAV file of 16 bits.
fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let size = samples.len() as u32 * 2;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + size).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(channels) * 2).to_le_bytes());
    out.extend((channels * 2).to_le_bytes());
    out.extend(b"\x10\0data");
    out.extend(size.to_le_bytes());
    out.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    out
}

#[test]
fn standard_input_is_heard() {
    let (model, speech) = needs!(models());
    let file = speech.join("spk1_snt1.wav");
    let bytes = std::fs::read(&file).unwrap();
    let samples = samples(&file);
    let floats: Vec<_> = samples
        .iter()
        .flat_map(|s| (f32::from(*s) / 32_768.0).to_le_bytes())
        .collect();
    let stereo: Vec<_> = samples
        .iter()
        .flat_map(|s| [*s, *s])
        .flat_map(i16::to_le_bytes)
        .collect();
    let odd = [&bytes[44..], &[7]].concat();
    let mut endless = bytes.clone();
    // As arecord says it does not know.
    endless[4..8].copy_from_slice(&0x8000_0024_u32.to_le_bytes());
    endless[40..44].copy_from_slice(&0x8000_0000_u32.to_le_bytes());
    for (name, bytes, pcm) in [
        ("a WAV", &bytes[..], None),
        ("a WAV without an end", &endless, None),
        ("16 bits", &bytes[44..], Some("s16le")),
        ("16 bits and a byte", &odd, Some("s16le:16000:1")),
        ("floats", &floats, Some("f32le:16000")),
        ("stereo", &stereo, Some("s16le:16000:2")),
    ] {
        let mut arguments = vec!["run", arg(&model), "-", "--format", "text"];
        arguments.extend(pcm.iter().flat_map(|pcm| ["--pcm", pcm]));
        let output = piped(&arguments, bytes);
        let text = success(&output);
        assert_eq!(text.trim(), CHILD, "{name}");
    }
    for (bytes, pcm, says) in [
        (&b""[..], None, "standard input is empty"),
        (b"Dear diary", None, "--pcm"),
        (&bytes[..40_000], None, "truncated"),
        (&[], Some("s16le"), "0 s long"),
        (&[0; 1], Some("s16le"), "0 s long"),
        (&[0xff; 8], Some("f32le"), "NaN"),
    ] {
        let mut arguments = vec!["run", arg(&model), "-", "--json"];
        arguments.extend(pcm.iter().flat_map(|pcm| ["--pcm", pcm]));
        let output = piped(&arguments, bytes);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{says}: {error}");
        assert!(
            error.contains(says) && error.contains("standard input"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

/// A microphone never ends; who has read enough of what it hears does.
#[test]
fn an_endless_stream_ends_with_its_reader() {
    let (model, speech) = needs!(models());
    let mut command = bevel();
    command.args([
        "run",
        arg(&model),
        "-",
        "--pcm",
        "s16le",
        "--format",
        "text",
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let wav = std::fs::read(speech.join("spk1_snt1.wav")).unwrap();
    let turn = [&wav[44..], &vec![0; 128_000]].concat();
    let feed = std::thread::spawn(move || while input.write_all(&turn).is_ok() {});
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), CHILD);
    drop(output);
    assert!(child.wait().unwrap().success());
    feed.join().unwrap();
}

#[test]
fn transcripts_are_written_in_every_format() {
    let (model, speech) = needs!(models());
    let file = speech.join("spk1_snt1.wav");
    let run = |more: &[&str]| {
        let arguments = [&["run", arg(&model), arg(&file)], more].concat();
        success(&bevel().args(arguments).output().unwrap())
    };
    let srt = format!("1\n00:00:00,000 --> 00:00:02,870\n{CHILD}\n\n");
    let vtt = format!("WEBVTT\n\n00:00:00.000 --> 00:00:02.870\n{CHILD}\n\n");
    let tsv = format!("start\tend\ttext\n0\t2870\t{CHILD}\n");
    let text = format!("{CHILD}\n");
    let formats = [
        ("srt", "srt", srt),
        ("vtt", "vtt", vtt),
        ("tsv", "tsv", tsv),
        ("text", "txt", text),
    ];
    for (format, _, expected) in &formats {
        assert_eq!(run(&["--format", format]), *expected);
    }
    let json = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
    let object = json(&run(&["--format", "json"]));
    assert_eq!(object["text"], CHILD);

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let all = "srt,vtt,tsv,text,json";
    let again = ["--output", arg(&out), "--format", all, "--json", arg(&file)];
    assert_eq!(run(&again).lines().count(), 2);
    for (_, ending, expected) in &formats {
        // The same name twice: both are kept.
        for name in ["spk1_snt1", "spk1_snt1-2"] {
            let path = out.join(format!("{name}.{ending}"));
            assert_eq!(
                std::fs::read_to_string(path).unwrap(),
                *expected,
                "{name} {ending}"
            );
        }
    }
    let kept = std::fs::read_to_string(out.join("spk1_snt1.json")).unwrap();
    assert_eq!(json(&kept)["segments"], object["segments"]);
    // Nothing half-written is left.
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 10);
}

#[test]
fn formats_that_do_not_go_together_are_told() {
    let (model, speech) = needs!(models());
    let file = speech.join("spk1_snt1.wav");
    let (model, file) = (arg(&model), arg(&file));
    let coffee = root().join("docs/coffee.jpg");
    let yolox = needs!(pulled("yolox-nano"));
    for (arguments, says) in [
        (&[model, file, file, "--format", "srt"][..], "--output"),
        (&[model, file, "--format", "srt,vtt"], "--output"),
        (&[model, file, "--json", "--format", "srt"], "contradict"),
        (
            &[model, file, "--format", "docx"],
            "expected text, json, srt",
        ),
        (&[model, file, "--pcm", "s16le"], "`-`"),
        (&[model, "-", "--pcm", "mp3"], "no encoding `mp3`"),
        (
            &[arg(&yolox), arg(&coffee), "--format", "srt"],
            "use text or json",
        ),
        (
            &[arg(&yolox), arg(&coffee), "--json", "--format", "text"],
            "contradict",
        ),
    ] {
        let output = bevel().arg("run").args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(says), "{says}: {error}");
    }
}

/// Recordings as they should not be, and are: an answer, or one line that names the file.
#[test]
fn odd_recordings() {
    let (model, speech) = needs!(models());
    let folder = tempfile::tempdir().unwrap();
    let spoken = samples(&speech.join("spk1_snt1.wav"));
    let eight: Vec<_> = spoken.iter().flat_map(|s| [*s; 8]).collect();
    let fast: Vec<_> = spoken.iter().flat_map(|s| [*s; 12]).collect();
    let slow: Vec<_> = spoken.chunks(2).map(|s| s[0]).collect();
    let loud: Vec<_> = spoken.iter().map(|s| s.saturating_mul(4)).collect();
    let square: Vec<_> = (0..32_000)
        .map(|i| if i / 40 % 2 == 0 { i16::MAX } else { i16::MIN })
        .collect();
    let noisy = wav(16_000, 1, &square);
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0".repeat(50);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".repeat(20);
    let mut huge = wav(16_000, 1, &spoken);
    huge[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    huge[32..34].copy_from_slice(&u16::MAX.to_le_bytes());
    let flac = std::fs::read(speech.join("jfk.flac")).unwrap();
    for (name, bytes, expected) in [
        ("8-channels.wav", wav(16_000, 8, &eight), Ok(CHILD)),
        ("192-khz.wav", wav(192_000, 1, &fast), Ok(CHILD)),
        ("a-wav.mp3", wav(16_000, 1, &spoken), Ok(CHILD)),
        ("8-khz.wav", wav(8_000, 1, &slow), Ok("dog")),
        ("clipped.wav", wav(16_000, 1, &loud), Ok("dog")),
        ("silent.wav", wav(16_000, 1, &[0; 32_000]), Ok("")),
        ("square.wav", noisy, Ok("")),
        ("no-samples.wav", wav(16_000, 1, &[]), Err(2)),
        ("zip.wav", zip, Err(2)),
        ("png.wav", png, Err(2)),
        ("65535-channels.wav", huge, Err(2)),
        (
            "opus.ogg",
            std::fs::read(root().join("tests/golden/audio/tone.opus")).unwrap(),
            Err(6),
        ),
        ("cut-1.flac", flac[..1].to_vec(), Err(2)),
        ("cut-50.flac", flac[..50].to_vec(), Err(2)),
        ("cut-5000.flac", flac[..5_000].to_vec(), Err(2)),
        ("cut-end.flac", flac[..flac.len() - 1].to_vec(), Err(2)),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let arguments = ["run", arg(&model), arg(&path), "--format", "text"];
        let output = bevel().args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        match expected {
            Ok(text) => {
                let found = success(&output);
                let fits = match text {
                    "" => found.is_empty(),
                    text => found.contains(text),
                };
                assert!(fits, "{name}: {found}");
            }
            Err(code) => {
                assert_eq!(output.status.code(), Some(code), "{name}: {error}");
                let line = error.lines().find(|l| l.starts_with("error: "));
                assert!(line.unwrap().contains(name), "{name}: {error}");
                assert!(output.stdout.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn progress_is_told_without_harm_to_the_answer() {
    let (model, speech) = needs!(models());
    let recipe = root().join("models/transcribe/moonshine-tiny.toml");
    let bundle = Bundle::load_with_recipe(&model, &recipe).unwrap();
    let mut transcribe = Transcribe::load(&bundle, &Options::default()).unwrap();
    let file = model.join("beckett.wav");
    let expected = transcribe.run_file(&file).unwrap();
    let (mut segments, mut positions) = (Vec::new(), Vec::new());
    let sound = Sound::open(&file).unwrap();
    let found = transcribe.run_sound(sound, &mut |told| match told {
        Progress::Segment(segment) => segments.push(segment.clone()),
        Progress::Position { seconds, of } => positions.push((seconds, of)),
        _ => {}
    });
    let found = found.unwrap();
    assert_eq!((&found, &segments), (&expected, &expected.segments));
    assert!(positions.is_sorted_by(|a, b| a.0 <= b.0), "{positions:?}");
    assert!(positions.len() as f64 > found.duration, "{positions:?}");
    let (seconds, of) = *positions.last().unwrap();
    assert_eq!((seconds, of), (found.duration, Some(found.duration)));

    // Raw samples, whose end nobody knows.
    let pcm: Pcm = "s16le".parse().unwrap();
    let wav = std::fs::read(speech.join("spk1_snt1.wav")).unwrap();
    let raw = std::io::Cursor::new(wav[44..].to_vec());
    let sound = Sound::from_reader("a test", raw, Some(pcm)).unwrap();
    let mut told = 0;
    let found = transcribe.run_sound(sound, &mut |progress| {
        told += i32::from(matches!(progress, Progress::Position { of: None, .. }));
    });
    assert_eq!(found.unwrap().text, CHILD);
    assert!(told > 3);
}
