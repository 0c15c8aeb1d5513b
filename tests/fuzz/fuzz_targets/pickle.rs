#![no_main]

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

// The pickle of a PyTorch archive, whose storages 0 to 9 are always there: a mutation that changes
// the length of a member would else be no more than a damaged archive.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| {
        archive.start_file(name, stored).expect("memory");
        archive.write_all(bytes).expect("memory");
    };
    add("m/data.pkl", data);
    for key in 0..10 {
        add(&format!("m/data/{key}"), &[key; 96]);
    }
    let file = archive.finish().expect("memory").into_inner();
    bevel_fuzz::read(&file);
});
