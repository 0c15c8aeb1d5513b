//! `include/bevel.h` is what cbindgen makes of the C interface; `make header` writes it.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bevel_tests::root;

/// In the order of the header.
const MODULES: [&str; 10] = [
    "status", "start", "log", "options", "tensor", "input", "model", "answer", "parts", "stream",
];

#[test]
fn the_header_is_that_of_the_source() {
    let capi = root().join("runtime/capi");
    let config = cbindgen::Config::from_file(capi.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for module in MODULES {
        builder = builder.with_src(capi.join(format!("src/{module}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let header = String::from_utf8(header).unwrap();
    let path = capi.join("include/bevel.h");
    if std::env::var_os("BEVEL_WRITE_HEADER").is_some() {
        std::fs::write(&path, &header).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == header,
        "{} is old: make header",
        path.display()
    );
}
