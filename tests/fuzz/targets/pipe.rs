//! Has libFuzzer run `src/pipe.rs`.
#![no_main]

#[path = "../src/pipe.rs"]
mod pipe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pipe::run(data));
