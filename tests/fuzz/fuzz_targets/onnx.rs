#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bevel_fuzz::read(data));
