//! Draw lists, as an environment makes them: every point of every accepted command can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(commands) = wire::draw::parse(bytes) else { return };
    assert!(format!("{commands:?}").len() > commands.len());
});
