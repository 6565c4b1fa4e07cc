//! Has libFuzzer run `src/guard.rs`.
#![no_main]

#[path = "../src/guard.rs"]
mod guard;
#[path = "../../it/guard/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    guard::run(data);
});
