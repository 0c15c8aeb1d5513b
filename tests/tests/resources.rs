//! What a host can hold a model to: time, memory, processors. Each test is a process of its own, because
//! ONNX Runtime starts once.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use bevel::{
    Bundle, Cancel, Embed, Error, Options, Pipeline, Runtime, RuntimeOptions, Sample, Transcribe,
};
use bevel_manifest::ErrorKind;
use bevel_tests::{bevel, bundle, needs, root, shared};

/// Every thread of this process: its processors and its niceness.
fn threads() -> Vec<(String, i64)> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        let status = std::fs::read_to_string(folder.join("status")).unwrap();
        let allowed = status.lines().find(|l| l.starts_with("Cpus_allowed_list"));
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap();
        let fields: Vec<_> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let allowed = allowed.unwrap().split_whitespace().nth(1).unwrap();
        found.push((allowed.to_string(), fields[16].parse().unwrap()));
    }
    found
}

#[test]
fn a_run_ends_when_it_is_cancelled_and_the_model_goes_on() {
    let directory = needs!(bundle("whisper-base"));
    let sound = needs!(shared("data/speech/jfk.flac"));
    let mut options = Options::default();
    let cancel = Cancel::default();
    options.cancel = cancel.clone();
    let mut whisper = Transcribe::open(&directory, &options).unwrap();
    let whole = whisper.run_file(&sound).unwrap();
    for wait_ms in [0, 5, 40, 90] {
        let other = cancel.clone();
        let stop = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(wait_ms));
            other.cancel();
        });
        // A transcript of the recording takes longer, over and over again.
        let error = loop {
            if let Err(error) = whisper.run_file(&sound) {
                break error;
            }
        };
        stop.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
        // And so does whatever is asked until it is reset.
        let again = whisper.run_file(&sound).unwrap_err();
        assert!(matches!(again, Error::Cancelled), "{again}");
        cancel.reset();
        assert_eq!(whisper.run_file(&sound).unwrap(), whole);
    }
}

#[test]
fn cancelling_before_a_model_is_open_holds() {
    let directory = needs!(bundle("all-minilm-l6-v2"));
    let options = Options::default();
    options.cancel.cancel();
    let mut embed = Pipeline::<Embed>::open(&directory, &options).unwrap();
    let error = embed.run(&["x"]).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    options.cancel.reset();
    embed.run(&["x"]).unwrap();
}

#[test]
fn what_is_larger_than_the_memory_cap_is_refused_in_words() {
    let directory = needs!(bundle("all-minilm-l6-v2"));
    let mut options = RuntimeOptions::default();
    // Besides what is mapped from disk the weights take 41 MiB.
    options.memory_cap_bytes = Some(60 << 20);
    Runtime::start(&options).unwrap();
    let bundle = Bundle::load(&directory).unwrap();
    let mut fp32 = Options::default();
    fp32.variant = Some("fp32".into());
    let mut first = bevel::open(&bundle, &fp32).unwrap();
    first
        .run(&[Sample::Text("There is room for one.")])
        .unwrap();
    let second = match bevel::open(&bundle, &fp32) {
        Ok(_) => panic!("two models in the memory of one"),
        Err(error) => error,
    };
    assert_eq!(second.kind(), ErrorKind::Memory, "{second}");
    assert!(second.to_string().contains("60 MiB"), "{second}");
    // The first is none the worse for it.
    first
        .run(&[Sample::Text("There is room for one.")])
        .unwrap();
    // Nor for an input that is too large, after which smaller ones go through.
    let long = "word ".repeat(400);
    let many = vec![Sample::Text(&long); 64];
    let error = first.run(&many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
    first
        .run(&[Sample::Text("There is room for one.")])
        .unwrap();
    // What was given back can be taken again.
    drop(first);
    bevel::open(&bundle, &fp32).unwrap();
}

/// What earlier texts and models left behind takes no room from those that come.
#[test]
fn a_cap_is_as_large_after_an_hour_as_at_the_start() {
    let directory = needs!(bundle("all-minilm-l6-v2"));
    let whisper = needs!(bundle("whisper-base"));
    let mut options = RuntimeOptions::default();
    options.memory_cap_bytes = Some(300 << 20);
    Runtime::start(&options).unwrap();
    let minilm = Bundle::load(&directory).unwrap();
    let mut fp32 = Options::default();
    fp32.variant = Some("fp32".into());
    let mut embed = bevel::open(&minilm, &fp32).unwrap();
    for words in (10..=100).step_by(10) {
        let text = "word ".repeat(words);
        let many = vec![Sample::Text(&text); 32];
        let answers = embed.run(&many);
        assert!(answers.is_ok(), "{words} words: {:?}", answers.err());
    }
    drop(embed);
    let opened = bevel::open(&Bundle::load(&whisper).unwrap(), &Options::default());
    assert!(opened.is_ok(), "{:?}", opened.err());
}

#[test]
fn what_is_started_already_is_not_started_with_other_values() {
    let mut options = RuntimeOptions::default().with_threads(1);
    options.library = Some(root().join("target/onnxruntime/host/libonnxruntime.so"));
    Runtime::start(&options).unwrap();
    Runtime::start(&options).unwrap();
    Runtime::start(&RuntimeOptions::default()).unwrap();
    let mut capped = options.clone();
    capped.memory_cap_bytes = Some(60 << 20);
    let error = Runtime::start(&capped).err().unwrap();
    assert!(error.to_string().contains("no memory cap"), "{error}");
    let mut confined = options.clone();
    confined.cores = Some(vec![0]);
    let error = Runtime::start(&confined).err().unwrap();
    assert!(error.to_string().contains("other cores"), "{error}");
}

#[test]
fn processors_that_are_not_there_are_told() {
    for cores in [vec![0, 900], vec![900], vec![1 << 20]] {
        let mut options = RuntimeOptions::default();
        options.cores = Some(cores);
        let error = options.confine_this_thread().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
}

#[test]
fn threads_of_the_pool_stay_on_their_cores_and_give_way() {
    let directory = needs!(bundle("all-minilm-l6-v2"));
    let before: BTreeSet<_> = threads().into_iter().collect();
    let mut options = RuntimeOptions::default().with_threads(2);
    options.cores = Some(vec![0]);
    options.nice = Some(7);
    Runtime::start(&options).unwrap();
    let mut embed = Pipeline::<Embed>::open(&directory, &Options::default()).unwrap();
    embed.run(&["x"]).unwrap();
    let confined: Vec<_> = threads()
        .into_iter()
        .filter(|thread| !before.contains(thread))
        .collect();
    // Two threads are the caller's and one of the pool, and ONNX Runtime may have some for itself.
    assert!(!confined.is_empty());
    for (cores, nice) in confined {
        assert_eq!((cores.as_str(), nice), ("0", 7));
    }
}

#[test]
fn the_command_line_confines_itself() {
    let directory = needs!(bundle("all-minilm-l6-v2"));
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["--memory-cap", "1GiB", "--cores", "0", "--nice", "5"],
            0,
            "",
        ),
        (
            &["--memory-cap", "20MiB", "--variant", "fp32"],
            8,
            "memory cap of 20 MiB",
        ),
        (&["--cores", "99999"], 2, "no processor 99999"),
        (&["--cores", "1-0"], 2, "1-0"),
        (&["--memory-cap", "much"], 2, "much"),
    ];
    for (flags, code, says) in cases {
        let mut command = bevel();
        let output = command
            .arg("run")
            .arg(&directory)
            .arg("x")
            .args(flags)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {error}");
        assert!(error.contains(says), "{flags:?}: {error}");
        assert!(error.lines().count() <= 1 || code == 2, "{error}");
    }
}
