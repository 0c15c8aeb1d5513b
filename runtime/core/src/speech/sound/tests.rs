use std::f64::consts::TAU;

use bevel_manifest::ErrorKind;
use tempfile::TempDir;

use super::*;

fn golden(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/audio/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// What is read of a file with these bytes: rate and samples.
fn read(bytes: &[u8]) -> Result<(u32, Vec<f32>)> {
    let folder = TempDir::new().unwrap();
    // A name that says nothing, or lies.
    let path = folder.path().join("sound.txt");
    std::fs::write(&path, bytes).unwrap();
    let mut file = SoundFile::open(&path)?;
    let mut samples = Vec::new();
    while file.read(&mut samples)? {}
    Ok((file.sample_rate_hz(), samples))
}

/// A WAV file: format tag 1 (integer) or 3 (float), bits, channels, rate and the bytes of its data.
struct Wav {
    tag: u16,
    bits: u16,
    channels: u16,
    rate: u32,
    data: Vec<u8>,
}

impl Wav {
    fn bytes(&self) -> Vec<u8> {
        let align = self.channels.wrapping_mul(self.bits / 8);
        let mut out = b"RIFF".to_vec();
        out.extend((36 + self.data.len() as u32).to_le_bytes());
        out.extend(b"WAVEfmt \x10\0\0\0");
        out.extend(self.tag.to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        out.extend(self.rate.wrapping_mul(u32::from(align)).to_le_bytes());
        out.extend(align.to_le_bytes());
        out.extend(self.bits.to_le_bytes());
        out.extend(b"data");
        out.extend((self.data.len() as u32).to_le_bytes());
        out.extend(&self.data);
        out
    }
}

/// Half a second of 440 Hz, amplitude 0.5, in every channel.
fn tone_wav(tag: u16, bits: u16, channels: u16, rate: u32) -> Wav {
    let mut data = Vec::new();
    for i in 0..rate / 2 {
        let value = 0.5 * (TAU * 440.0 * f64::from(i) / f64::from(rate)).sin();
        for _ in 0..channels {
            match (tag, bits) {
                (1, 8) => data.push((value * 127.0 + 128.0) as u8),
                (1, 16) => data.extend(((value * 32_767.0) as i16).to_le_bytes()),
                (1, 24) => data.extend(&((value * 8_388_607.0) as i32).to_le_bytes()[..3]),
                (1, 32) => data.extend(((value * 2_147_483_647.0) as i32).to_le_bytes()),
                (3, 32) => data.extend((value as f32).to_le_bytes()),
                _ => data.extend(value.to_le_bytes()),
            }
        }
    }
    Wav {
        tag,
        bits,
        channels,
        rate,
        data,
    }
}

/// Amplitude of 440 Hz in the middle of half a second.
fn amplitude(samples: &[f32], rate: u32) -> f64 {
    let middle = samples.len() / 4..samples.len() * 3 / 4;
    let (mut sin, mut cos) = (0.0, 0.0);
    for i in middle.clone() {
        let at = TAU * 440.0 * i as f64 / f64::from(rate);
        sin += f64::from(samples[i]) * at.sin();
        cos += f64::from(samples[i]) * at.cos();
    }
    2.0 * sin.hypot(cos) / middle.len() as f64
}

#[test]
fn every_format_is_read() {
    // Frames that coders add around the sound: MP3 and Vorbis say how many, AAC may not.
    for (name, rate, most_added) in [
        ("tone.flac", 16_000, 0),
        ("tone.mp3", 44_100, 0),
        ("tone.ogg", 48_000, 0),
        ("tone.m4a", 44_100, 2_048),
        ("tone.aac", 22_050, 2_048),
    ] {
        let (found, samples) = read(&golden(name)).unwrap();
        assert_eq!(found, rate, "{name}");
        let added = samples.len() as i64 - i64::from(rate / 2);
        assert!((0..=most_added).contains(&added), "{name}: {added}");
        let amplitude = amplitude(&samples, rate);
        // LAME writes everything at 0.95 of its loudness.
        assert!((amplitude - 0.5).abs() < 0.03, "{name}: {amplitude}");
    }
}

#[test]
fn every_depth_rate_and_channel_count_of_wav_is_read() {
    for (tag, bits, channels, rate) in [
        (1, 8, 1, 8_000),
        (1, 16, 1, 16_000),
        (1, 16, 2, 44_100),
        (1, 24, 2, 48_000),
        (1, 32, 1, 96_000),
        (3, 32, 8, 48_000),
        (3, 64, 1, 192_000),
    ] {
        let name = format!("tag {tag}, {bits} bits, {channels} channels, {rate} Hz");
        let (found, samples) = read(&tone_wav(tag, bits, channels, rate).bytes()).unwrap();
        assert_eq!((found, samples.len()), (rate, rate as usize / 2), "{name}");
        assert!((amplitude(&samples, rate) - 0.5).abs() < 0.01, "{name}");
    }
}

#[test]
fn a_recording_of_unknown_length_is_whole() {
    // What ffmpeg writes to a pipe.
    let mut bytes = tone_wav(1, 16, 1, 16_000).bytes();
    bytes[4..8].copy_from_slice(&[0xff; 4]);
    bytes[40..44].copy_from_slice(&[0xff; 4]);
    assert_eq!(read(&bytes).unwrap().1.len(), 8_000);
}

#[test]
fn what_cannot_be_read_is_told() {
    use ErrorKind::{Input, Unsupported};
    let wav = tone_wav(1, 16, 1, 16_000).bytes();
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let with = |at: usize, value: &[u8]| {
        let mut bytes = wav.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    let mut hours = with(40, &[0, 0, 0, 0x10]);
    hours[4..8].copy_from_slice(&[36, 0, 0, 0x10]);
    let float = |value: f32| {
        let mut wav = tone_wav(3, 32, 1, 16_000);
        wav.data[40..44].copy_from_slice(&value.to_le_bytes());
        wav.bytes()
    };
    let silent = Wav {
        data: Vec::new(),
        ..tone_wav(1, 16, 1, 16_000)
    };
    let cases = [
        ("empty", Vec::new(), Input, "empty"),
        (
            "text",
            b"Dear diary, today".to_vec(),
            Input,
            "not a sound file",
        ),
        (
            "picture",
            b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec(),
            Input,
            "not a sound",
        ),
        ("0 s", silent.bytes(), Input, "0 s long"),
        (
            "cut WAV",
            half(&wav),
            Input,
            "promises 0.5 s, 0.2 s could be read",
        ),
        ("cut WAV header", wav[..30].to_vec(), Input, "truncated"),
        (
            "WAV that promises more than its RIFF",
            with(40, &[0, 0, 0, 0x10]),
            Input,
            "broken",
        ),
        (
            "WAV that promises hours",
            hours,
            Input,
            "promises 8388.6 s, 0.5 s could be read",
        ),
        ("cut FLAC", half(&golden("tone.flac")), Input, "truncated"),
        ("cut Ogg", half(&golden("tone.ogg")), Input, "truncated"),
        ("cut M4A", half(&golden("tone.m4a")), Input, "truncated"),
        ("cut MP3", half(&golden("tone.mp3")), Input, "truncated"),
        ("0 Hz", with(24, &[0; 4]), Input, ""),
        ("4 GHz", with(24, &[0xff; 4]), Input, "4294967295 Hz"),
        ("no channels", with(22, &[0; 2]), Input, ""),
        ("65535 channels", with(22, &[0xff; 2]), Input, ""),
        ("NaN", float(f32::NAN), Input, "0.001 s is NaN"),
        ("infinite", float(f32::INFINITY), Input, "is inf"),
        ("integers as floats", float(-20_000.0), Input, "is -20000"),
        ("Opus", golden("tone.opus"), Unsupported, "Opus"),
        ("AIFF", b"FORM\0\0\0\0AIFF".to_vec(), Unsupported, "AIFF"),
        ("A-law", with(20, &[6, 0]), Input, ""),
    ];
    for (name, bytes, kind, says) in cases {
        let error = match read(&bytes) {
            Ok((rate, samples)) => panic!("{name}: read {} at {rate} Hz", samples.len()),
            Err(error) => error,
        };
        let text = error.to_string();
        assert!(
            text.contains("sound.txt"),
            "{name} does not name the file: {text}"
        );
        assert!(text.contains(says), "{name}: {text}");
        assert!(!text.contains('\n'), "{name}: {text}");
        assert_eq!(error.kind(), kind, "{name}: {text}");
    }
}

#[test]
fn folders_and_missing_files_are_told() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_path_buf(), folder.path().join("gone.wav")] {
        let error = SoundFile::open(&path).err().unwrap();
        assert!(matches!(error, Error::InputFile { .. }), "{error}");
    }
}

/// Broken files end in an answer or an error, never in a panic or without end.
#[test]
fn damaged_files_do_no_harm() {
    let mut files = vec![tone_wav(1, 16, 2, 44_100).bytes()];
    files.extend(["tone.flac", "tone.mp3", "tone.ogg", "tone.m4a", "tone.aac"].map(golden));
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for file in files {
        for _ in 0..150 {
            let mut bytes = file.clone();
            for _ in 0..1 + random(8) {
                // Headers are where it hurts.
                let range = [bytes.len().min(256), bytes.len()][random(2)];
                let at = random(range);
                bytes[at] = random(256) as u8;
            }
            if random(4) == 0 {
                let length = random(bytes.len());
                bytes.truncate(length);
            }
            let _ = read(&bytes);
        }
    }
}
