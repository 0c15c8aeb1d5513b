use super::*;

const MINIMAL: &str = r#"
format_version = 1
name = "m"
task = "detect"
family = "yolox"
variant = "fp32"
[input]
kind = "image"
width = 416
height = 416
resize = { mode = "letterbox", anchor = "top-left", fill = 114 }
channels = "bgr"
[decode]
kind = "detect"
head = { layout = "yolox-grid", strides = [8, 16, 32] }
labels = "labels.txt"
min_score = 0.3
iou = 0.45
max_boxes = 100
[[variants]]
name = "fp32"
scheme = "fp32"
graphs = { model = "model.onnx" }
"#;

#[test]
fn the_hash_is_sha_256() {
    // FIPS 180-2, appendix B.1.
    let entry = FileEntry::of("abc.txt", &b"abc"[..]).unwrap();
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((entry.size_bytes, entry.sha256.as_str()), (3, expected));
}

#[test]
fn written_text_is_read_back_equal() {
    let manifest = Manifest::from_toml(MINIMAL).unwrap();
    assert_eq!(
        Manifest::from_toml(&manifest.to_toml().unwrap()).unwrap(),
        manifest
    );
}

#[test]
fn what_is_wrong_is_named() {
    struct Case {
        name: &'static str,
        from: &'static str,
        to: &'static str,
        says: &'static str,
    }
    let cases = [
        Case {
            name: "newer format",
            from: "version = 1",
            to: "version = 9",
            says: "version 9",
        },
        Case {
            name: "unknown key",
            from: "family",
            to: "famly",
            says: "famly",
        },
        Case {
            name: "nested key",
            from: "iou",
            to: "iuo",
            says: "iuo",
        },
        Case {
            name: "image key",
            from: "channels",
            to: "chanels",
            says: "chanels",
        },
        Case {
            name: "no variant",
            from: "variant = \"fp32\"",
            to: "variant = \"x\"",
            says: "`x`",
        },
        Case {
            name: "parent path",
            from: "labels.txt",
            to: "../labels.txt",
            says: "../labels",
        },
        Case {
            name: "root path",
            from: "model.onnx",
            to: "/etc/passwd",
            says: "/etc/passwd",
        },
        Case {
            name: "score range",
            from: "0.3",
            to: "1.3",
            says: "min_score",
        },
        Case {
            name: "task",
            from: "\"detect\"",
            to: "\"detekt\"",
            says: "detekt",
        },
        Case {
            name: "not toml",
            from: "[input]",
            to: "[input",
            says: "line",
        },
        Case {
            name: "zero width",
            from: "width = 416",
            to: "width = 0",
            says: "width",
        },
    ];
    for case in cases {
        let text = MINIMAL.replacen(case.from, case.to, 1);
        assert_ne!(text, MINIMAL, "{}: the case changes nothing", case.name);
        let error = Manifest::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(case.says), "{}: {error}", case.name);
        assert!(
            !error.contains('\n'),
            "{}: more than one line: {error}",
            case.name
        );
    }
}

#[test]
fn a_list_of_words_is_an_input() {
    let (before, rest) = MINIMAL.split_once("[input]").unwrap();
    let (_, variants) = rest.split_once("[[variants]]").unwrap();
    let text = |max_words: usize| {
        format!(
            "{before}[input]\nkind = \"words\"\nvocabulary = \"words.txt\"\nmax_words = {max_words}\n\
             [decode]\nkind = \"embed\"\npooling = \"mean\"\nnormalize = false\n[[variants]]{variants}"
        )
    };
    let manifest = Manifest::from_toml(&text(9)).unwrap();
    assert_eq!(manifest.input.kind(), "words");
    assert_eq!(manifest.paths(), ["model.onnx", "words.txt"]);
    let error = Manifest::from_toml(&text(0)).unwrap_err().to_string();
    assert!(error.contains("max_words"), "{error}");
}

#[test]
fn the_moonshine_recipe_is_a_manifest() {
    let text = include_str!("../../../models/transcribe/moonshine-tiny.toml");
    let recipe = Recipe::from_toml(text).unwrap();
    let manifest = recipe.manifest().unwrap();
    assert!(matches!(
        manifest.decode,
        Decode::Transcribe(TranscribeSpec::Moonshine {
            start_id: 1,
            end_id: 2,
            ..
        })
    ));
    assert_eq!(
        manifest.paths(),
        [
            "decoder_model_merged.ort",
            "encoder_model.ort",
            "silero_vad_16k_sequence.onnx",
            "tokenizer.bin"
        ]
    );
    assert_eq!(
        Manifest::from_toml(&manifest.to_toml().unwrap()).unwrap(),
        manifest
    );
}

const WHISPER: &str = r#"
format_version = 1
name = "w"
task = "transcribe"
family = "whisper"
variant = "fp32"
[input]
kind = "audio"
sample_rate_hz = 16000
max_piece_s = 30.0
mel = { window_samples = 400, hop_samples = 160, bins = 80, frames = 3000 }
[decode]
kind = "transcribe"
model = "whisper"
tokenizer = "tokenizer.json"
start_id = 50258
end_id = 50257
transcribe_id = 50359
no_timestamps_id = 50363
language = "en"
max_tokens = 448
suppress_ids = [1, 2]
languages = { en = 50259, de = 50261 }
[[variants]]
name = "fp32"
scheme = "fp32"
graphs = { encoder = "encoder.onnx", decoder = "decoder.onnx" }
"#;

#[test]
fn a_whisper_manifest_is_held_to_its_ranges() {
    let manifest = Manifest::from_toml(WHISPER).unwrap();
    let files = ["decoder.onnx", "encoder.onnx", "tokenizer.json"];
    assert_eq!(manifest.paths(), files);
    let text = manifest.to_toml().unwrap();
    assert_eq!(Manifest::from_toml(&text).unwrap(), manifest);
    for (name, from, to, says) in [
        (
            "window",
            "window_samples = 400",
            "window_samples = 0",
            "mel.window",
        ),
        ("hop", "hop_samples = 160", "hop_samples = 401", "mel.hop"),
        ("bins", "bins = 80", "bins = 0", "mel.bins"),
        ("frames", "frames = 3000", "frames = 2999", "max_piece_s"),
        ("too many", "frames = 3000", "frames = 3000000", "at most"),
        ("mel key", "bins", "bin", "bin"),
        ("language", "language = \"en\"", "language = \"xx\"", "`xx`"),
        ("job", "transcribe_id", "translate_id", "transcribe_id"),
        (
            "no room",
            "max_tokens = 448",
            "max_tokens = 4",
            "max_tokens",
        ),
        ("decode key", "suppress_ids", "supress_ids", "supress_ids"),
    ] {
        let text = WHISPER.replacen(from, to, 1);
        assert_ne!(text, WHISPER, "{name}: the case changes nothing");
        let error = Manifest::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
}

#[test]
fn a_recipe_names_files_of_its_folder_only() {
    let text = include_str!("../../../models/transcribe/whisper-base.toml");
    let recipe = Recipe::from_toml(text).unwrap();
    assert_eq!(recipe.join["model.bin"].parts.len(), 2);
    for (name, from, to) in [
        ("source", "= \"config.json\"", "= \"../config.json\""),
        ("whole", "[join.\"model.bin\"]", "[join.\"/model.bin\"]"),
        ("part", "parts = [\"model", "parts = [\"../model"),
        ("detector", "graph = \"silero", "graph = \"../silero"),
        ("checkpoint", "checkpoint = \"", "checkpoint = \"../"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{name}: the case changes nothing");
        let error = Recipe::from_toml(&other).unwrap_err().to_string();
        assert!(error.contains("leaves"), "{name}: {error}");
    }
}

#[test]
fn a_manifest_that_generates_is_held_to_its_ranges() {
    let text = r#"
format_version = 1
name = "g"
task = "generate"
family = "llama"
variant = "fp32"
[input]
kind = "text"
tokenizer = "tokenizer.json"
max_tokens = 2048
pad_id = 0
[decode]
kind = "generate"
max_tokens = 2048
end_ids = [2, 32000]
start_id = 1
repetition_penalty = 1.1
sampling = { temperature = 0.7, top_k = 20 }
chat_template = "chat_template.jinja"
[[variants]]
name = "fp32"
scheme = "fp32"
graphs = { model = "model.onnx" }
"#;
    let manifest = Manifest::from_toml(text).unwrap();
    let files = ["chat_template.jinja", "model.onnx", "tokenizer.json"];
    assert_eq!(manifest.paths(), files);
    let written = manifest.to_toml().unwrap();
    assert_eq!(Manifest::from_toml(&written).unwrap(), manifest);
    for (name, from, to, says) in [
        (
            "no room",
            "2048\nend_ids",
            "1\nend_ids",
            "max_tokens must be at least 2",
        ),
        (
            "penalty",
            "penalty = 1.1",
            "penalty = 0.0",
            "repetition_penalty",
        ),
        ("key", "start_id", "starts_id", "starts_id"),
        ("sampling key", "top_k", "top_x", "top_x"),
        (
            "outside",
            "\"chat_template.jinja",
            "\"../chat_template.jinja",
            "leaves the bundle",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{name}: the case changes nothing");
        let error = Manifest::from_toml(&changed).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
}
