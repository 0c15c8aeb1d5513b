//! "No telemetry" is a promise of the README: a run leaves nothing behind in an empty HOME.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel_tests::{arg, bevel, needs, pulled, root, success};

#[test]
fn a_run_writes_nothing_to_home() {
    let model = needs!(pulled("yolox-nano"));
    let home = tempfile::tempdir().unwrap();
    let picture = root().join("docs/coffee.jpg");
    for arguments in [
        &["run", arg(&model), arg(&picture), "--json"][..],
        &["doctor"],
    ] {
        let mut command = bevel();
        command
            .args(arguments)
            .env("HOME", home.path())
            .env("TMPDIR", home.path());
        command
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_DATA_HOME");
        // What the makers of the library call the switch must be set by us, not by the caller.
        command.env_remove("ORT_DISABLE_TELEMETRY");
        success(&command.output().unwrap());
        let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
        assert!(left.is_empty(), "{arguments:?} left {left:?}");
    }
}

#[test]
fn the_switch_is_set_before_the_library_loads() {
    let library = needs!(
        Some(root().join("target/onnxruntime/host/libonnxruntime.so")).filter(|p| p.exists())
    );
    // Loading happens in this process, which nextest gives to this test alone.
    let mut options = bevel::RuntimeOptions::default();
    options.library = Some(library);
    bevel::Runtime::start(&options).unwrap();
    assert_eq!(std::env::var("ORT_DISABLE_TELEMETRY").as_deref(), Ok("1"));
}
