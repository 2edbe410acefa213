#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebeam::fuzz::senml(data));
