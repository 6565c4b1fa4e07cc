//! Has libFuzzer run `src/module.rs`.
#![no_main]

#[path = "../src/module.rs"]
mod module;

libfuzzer_sys::fuzz_target!(|data: &[u8]| module::run(data));
