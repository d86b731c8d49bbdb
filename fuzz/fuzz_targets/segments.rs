#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| assemble_fuzz::run("segments", input));
