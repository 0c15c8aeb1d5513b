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
    all(Sound::open(&path)?)
}

/// The same of a pipe.
fn read_pipe(bytes: &[u8], raw: Option<Pcm>) -> Result<(u32, Vec<f32>)> {
    all(Sound::from_reader(
        "the pipe",
        Trickle(bytes.to_vec(), 0),
        raw,
    )?)
}

fn all(mut sound: Sound) -> Result<(u32, Vec<f32>)> {
    let mut samples = Vec::new();
    while sound.read(&mut samples)? {}
    Ok((sound.sample_rate_hz(), samples))
}

/// Gives odd numbers of bytes, as a pipe may.
struct Trickle(Vec<u8>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(777).min(self.0.len() - self.1);
        buffer[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
        self.1 += count;
        Ok(count)
    }
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

/// Golden files, their rates, and frames that their coders may add around the sound: MP3 and Vorbis say
/// how many, AAC may not, blocks of ADPCM are filled.
const FILES: [(&str, u32, i64); 19] = [
    ("tone.flac", 16_000, 0),
    ("tone.mp3", 44_100, 0),
    ("tone.ogg", 48_000, 0),
    ("tone.m4a", 44_100, 2_048),
    ("tone.aac", 22_050, 2_048),
    ("tone.aiff", 22_050, 0),
    ("tone.mp2", 32_000, 1_152),
    ("alaw.wav", 8_000, 0),
    ("mulaw.wav", 8_000, 0),
    ("ima.wav", 11_025, 2_048),
    ("ms.wav", 11_025, 2_048),
    ("alac.m4a", 44_100, 0),
    ("alac.caf", 16_000, 0),
    ("8k.mp3", 8_000, 0),
    ("8k.aac", 8_000, 2_048),
    ("96k.m4a", 96_000, 2_048),
    ("24bit.flac", 96_000, 0),
    ("8ch.flac", 11_025, 0),
    ("6ch.ogg", 11_025, 0),
];

#[test]
fn every_format_is_read() {
    for (name, rate, most_added) in FILES {
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
fn a_pipe_is_read_as_a_file_is() {
    let names = FILES.map(|(name, ..)| name);
    for name in names
        .into_iter()
        .filter(|n| !n.ends_with("m4a") && !n.ends_with("caf"))
    {
        assert_eq!(
            read_pipe(&golden(name), None).unwrap(),
            read(&golden(name)).unwrap(),
            "{name}"
        );
    }
    // Their index is behind the sound.
    for name in ["tone.m4a", "alac.caf"] {
        let error = read_pipe(&golden(name), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("give the file"), "{error}");
    }
}

#[test]
fn samples_without_a_header_are_read() {
    let pcm = |text: &str| Some(text.parse::<Pcm>().unwrap());
    for (text, tag, bits, channels, rate) in [
        ("s16le", 1, 16, 1, 16_000),
        ("u8:8000", 1, 8, 1, 8_000),
        ("s32le:44100:2", 1, 32, 2, 44_100),
        ("f32le:192000:8", 3, 32, 8, 192_000),
    ] {
        let wav = tone_wav(tag, bits, channels, rate);
        let expected = read(&wav.bytes()).unwrap();
        let mut data = wav.data.clone();
        assert_eq!(read_pipe(&data, pcm(text)).unwrap(), expected, "{text}");
        // Half a frame at the end is left out.
        let frame = usize::from(bits / 8 * channels);
        data.extend(&vec![0; frame - 1]);
        assert_eq!(
            read_pipe(&data, pcm(text)).unwrap(),
            expected,
            "{text}, odd end"
        );
        // A header says more than a caller.
        let noticed = read_pipe(&wav.bytes(), pcm("s16le:48000:2")).unwrap();
        assert_eq!(noticed, expected, "{text}, a WAV");
    }
    // The first sample is -1, which looks like the start of an MP3 frame; then silence.
    let quiet = [&[0xff, 0xff][..], &[0; 1998]].concat();
    assert_eq!(read_pipe(&quiet, pcm("s16le")).unwrap().1.len(), 1_000);
}

#[test]
fn descriptions_of_samples_are_checked() {
    for (text, says) in [
        ("", "no encoding ``"),
        ("mp3", "no encoding `mp3`"),
        ("s16le:", "no number"),
        ("s16le:0", "between 1000 and"),
        ("s16le:16000:0", "between 1 and 64"),
        ("s16le:16000:1:1", "too many"),
    ] {
        let error = text.parse::<Pcm>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(says), "{text}: {error}");
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
    let wav = tone_wav(1, 16, 1, 16_000).bytes();
    for (name, riff, data) in [
        ("FFmpeg", u32::MAX, u32::MAX),
        ("SoX", 0x7fff_f024, 0x7fff_f000),
        ("arecord", 0x8000_0024, 0x8000_0000),
        ("both 0", 0, 0),
        ("never finished", 36, 0),
        ("no size of the whole", 0, 16_000),
        ("a wrong size of the whole", 7, 16_000),
    ] {
        let mut bytes = wav.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[40..44].copy_from_slice(&data.to_le_bytes());
        assert_eq!(read(&bytes).unwrap(), read(&wav).unwrap(), "{name}");
        assert_eq!(
            read_pipe(&bytes, None).unwrap(),
            read(&wav).unwrap(),
            "{name}, piped"
        );
    }
    // Of a FLAC encoder that could not go back: no number of samples, no checksum of them.
    let mut flac = golden("tone.flac");
    flac[21] &= 0xf0;
    flac[22..42].fill(0);
    assert_eq!(read(&flac).unwrap(), read(&golden("tone.flac")).unwrap());
}

/// EBU Tech 3306, for more than 4 GiB.
#[test]
fn a_64_bit_wav_is_read() {
    let wav = tone_wav(1, 16, 1, 16_000).bytes();
    let with_size = |bytes: u64| {
        let mut out = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
        out.extend((bytes + 72).to_le_bytes());
        out.extend(bytes.to_le_bytes());
        out.extend((bytes / 2).to_le_bytes());
        out.extend([0; 4]);
        out.extend(&wav[12..40]);
        out.extend([0xff; 4]);
        out.extend(&wav[44..]);
        out
    };
    let notes = [with_size(16_000), b"LIST\x04\0\0\0INFO".to_vec()].concat();
    assert_eq!(read(&notes).unwrap(), read(&wav).unwrap());
    let error = read(&with_size(3 << 32)).unwrap_err().to_string();
    assert!(
        error.contains("promises 402653.2 s, 0.5 s could"),
        "{error}"
    );
}

/// Pictures of a podcast stand in front of its sound.
#[test]
fn a_large_tag_is_passed_over() {
    let mut bytes = b"ID3\x03\0\0\0\x60\0\0".to_vec();
    bytes.resize(10 + (0x60 << 14), 7);
    bytes.extend(golden("tone.mp3"));
    let expected = read(&golden("tone.mp3")).unwrap();
    assert_eq!(read(&bytes).unwrap(), expected);
    assert_eq!(read_pipe(&bytes, None).unwrap(), expected);
}

#[test]
fn what_is_loud_or_quiet_is_sound() {
    let data = |sample: fn(u32) -> i16| (0..8_000).flat_map(move |i| sample(i).to_le_bytes());
    let square: fn(u32) -> i16 = |i| if i / 20 % 2 == 0 { i16::MAX } else { i16::MIN };
    for (name, sample) in [
        ("silence", (|_| 0) as fn(u32) -> i16),
        ("a clipped square", square),
    ] {
        let wav = Wav {
            data: data(sample).collect(),
            ..tone_wav(1, 16, 1, 16_000)
        };
        let (_, samples) = read(&wav.bytes()).unwrap();
        assert_eq!(samples.len(), 8_000, "{name}");
        assert!(samples.iter().all(|s| s.abs() <= 1.0), "{name}");
    }
}

#[test]
fn lengths_are_known_before_the_end() {
    for (name, rate, added) in FILES {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, golden(name)).unwrap();
        let Some(seconds) = Sound::open(&path).unwrap().seconds() else {
            assert!(name.ends_with("aac") || name.ends_with("mp2"), "{name}");
            continue;
        };
        // What a coder adds may be counted.
        let most = 0.5 + (added + 2_400) as f64 / f64::from(rate);
        assert!((0.499..most).contains(&seconds), "{name}: {seconds}");
    }
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
            "promises 8388.6 s, 0.5 s could be read",
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
        (
            "AAC of 6 channels",
            golden("5.1.m4a"),
            Unsupported,
            "too complex",
        ),
        (
            "a cut tag",
            b"ID3\x03\0\0\0\x60\0\0TIT2".to_vec(),
            Input,
            "",
        ),
        ("Opus", golden("tone.opus"), Unsupported, "Opus"),
        (
            "Matroska",
            b"\x1a\x45\xdf\xa3\0".to_vec(),
            Unsupported,
            "WebM",
        ),
        (
            "cut AIFF header",
            b"FORM\0\0\0\x60AIFF".to_vec(),
            Input,
            "truncated",
        ),
        (
            "cut CAF header",
            b"caff\0\x01\0\0desc".to_vec(),
            Input,
            "truncated",
        ),
        ("A-law", with(20, &[6, 0]), Input, ""),
    ];
    for (name, bytes, kind, says) in cases {
        // A pipe says the same, under its name.
        if !matches!(name, "cut M4A" | "cut CAF header" | "AAC of 6 channels") {
            let piped = read_pipe(&bytes, None).unwrap_err();
            let text = piped.to_string();
            assert!(
                text.contains(says) && text.contains("the pipe"),
                "{name}: {text}"
            );
            assert_eq!(piped.kind(), kind, "{name}: {text}");
        }
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
        let error = Sound::open(&path).err().unwrap();
        assert!(matches!(error, Error::InputFile { .. }), "{error}");
    }
}

/// Broken files end in an answer or an error, never in a panic or without end.
#[test]
fn damaged_files_do_no_harm() {
    let mut files = vec![tone_wav(1, 16, 2, 44_100).bytes()];
    files.extend(FILES.map(|(name, ..)| golden(name)));
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for file in files {
        for _ in 0..60 {
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
            let _ = read_pipe(&bytes, None);
        }
    }
}
