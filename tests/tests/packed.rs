//! A bundle in one file, or in memory, is the bundle: its graphs find the weights beside them, too.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use bevel::vision::{ImageView, load_image};
use bevel::{Answer, Bundle, Options, Sample};
use bevel_manifest::ErrorKind;
use bevel_tests::{bundle, needs, root, shared};

/// The directory as an archive, as `tar -C DIRECTORY .` writes it.
fn pack(directory: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", directory).unwrap();
    builder.into_inner().unwrap()
}

fn answer(bundle: &Bundle, variant: &str, sample: Sample<'_>) -> Answer {
    let mut options = Options::default();
    options.variant = Some(variant.into());
    let mut pipeline = bevel::open(bundle, &options).unwrap();
    pipeline.run(&[sample]).unwrap().remove(0)
}

/// Every variant answers the same from a directory, from an archive on disk and from memory.
fn same_answers(directory: &Path, sample: Sample<'_>) {
    let archive = pack(directory);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.tar");
    std::fs::write(&path, &archive).unwrap();
    let plain = Bundle::load(directory).unwrap();
    let on_disk = Bundle::load(&path).unwrap();
    let in_memory = Bundle::from_bytes(&archive).unwrap();
    // What is needed was copied.
    drop(archive);
    for variant in &plain.manifest().variants {
        let name = variant.name.as_str();
        let expected = answer(&plain, name, sample);
        assert_eq!(answer(&on_disk, name, sample), expected, "{name}");
        assert_eq!(answer(&in_memory, name, sample), expected, "{name}");
    }
}

#[test]
fn of_text_answers_the_same() {
    let directory = needs!(bundle("all-minilm-l6-v2"));
    same_answers(&directory, Sample::Text("The train is late."));
}

#[test]
fn of_pictures_answers_the_same() {
    let directory = needs!(bundle("efficientnet-lite0"));
    let picture = load_image(&root().join("docs/coffee.jpg")).unwrap();
    let view = ImageView::from_rgb(picture.as_raw(), picture.width(), picture.height()).unwrap();
    same_answers(&directory, Sample::Image(view));
}

#[test]
fn of_speech_answers_the_same() {
    let directory = needs!(bundle("whisper-base"));
    let sound = needs!(shared("data/speech/jfk.flac"));
    same_answers(&directory, Sample::SoundFile(&sound));
}

#[test]
fn archives_that_are_none_are_refused_in_words() {
    struct Case {
        name: &'static str,
        archive: Vec<u8>,
        says: &'static str,
    }
    let member = |name: &str, size: u64, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        // Past the checks of the library, as an attacker would.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        [header.as_bytes().as_slice(), content].concat()
    };
    let cases = [
        Case {
            name: "nothing",
            archive: Vec::new(),
            says: "not a bundle",
        },
        Case {
            name: "no archive",
            archive: vec![b'x'; 4096],
            says: "neither a bundle directory nor one packed by tar",
        },
        Case {
            name: "cut off",
            archive: member("bundle.toml", 5000, &[b'#'; 512]),
            says: "bundle.toml",
        },
        Case {
            name: "larger than any memory",
            archive: member("bundle.toml", 1 << 32, &[b'#'; 512]),
            says: "bundle.toml",
        },
        Case {
            name: "out of the bundle",
            archive: member("../bundle.toml", 0, &[]),
            says: "leaves the bundle",
        },
        Case {
            name: "no manifest",
            archive: member("labels.txt", 0, &[]),
            says: "not a bundle",
        },
        Case {
            name: "a manifest of noise",
            archive: [member("bundle.toml", 3, b"\xff\xfe\0"), vec![0; 2000]].concat(),
            says: "not UTF-8",
        },
    ];
    for case in cases {
        let error = Bundle::from_bytes(&case.archive).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model, "{}: {error}", case.name);
        let text = error.to_string();
        assert!(text.contains(case.says), "{}: {text}", case.name);
    }
}
