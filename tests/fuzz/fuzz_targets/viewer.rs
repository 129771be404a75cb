#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| openrtmp_fuzz_targets::viewer::run(data));
