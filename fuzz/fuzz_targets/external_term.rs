#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reexternal_term::fuzz::external_term(data));
