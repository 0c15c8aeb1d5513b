//! "No telemetry" is a promise of the README: a run leaves nothing behind in an empty HOME.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

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
    const SWITCH: &str = "ORT_DISABLE_TELEMETRY";
    const INNER: &str = "BEVEL_TEST_INNER";
    if std::env::var_os(INNER).is_none() {
        // Cargo and make set the variable for this process; whether Bevel does, only a process
        // without it can show. Such a one runs this test again.
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "the_switch_is_set_before_the_library_loads"]);
        test.env_remove(SWITCH).env(INNER, "1");
        assert!(success(&test.output().unwrap()).contains("1 passed"));
        return;
    }
    assert_eq!(std::env::var_os(SWITCH), None);
    let library = root().join("target/onnxruntime/host/libonnxruntime.so");
    let mut options = bevel::RuntimeOptions::default();
    options.library = Some(library);
    bevel::Runtime::start(&options).unwrap();
    assert_eq!(std::env::var(SWITCH).as_deref(), Ok("1"));
}
