//! The preparation of modules: any bytes are either refused with a reason or become a valid module (which
//! `prepare` makes sure of itself before it returns one).
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|module: &[u8]| {
    match host::prepare::prepare(module) {
        Ok(prepared) => assert!(prepared.starts_with(b"\0asm")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
