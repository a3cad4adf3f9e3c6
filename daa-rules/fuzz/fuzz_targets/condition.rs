#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| daa_rules_fuzz::rules::condition(bytes));
