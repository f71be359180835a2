//! Control messages, as a page sends to the server: what is accepted is accepted again when written out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::control::ClientMessage;

fuzz_target!(|json: &[u8]| {
    let Ok(message) = serde_json::from_slice::<ClientMessage>(json) else { return };
    let encoded = serde_json::to_vec(&message).expect("what was decoded can be encoded");
    serde_json::from_slice::<ClientMessage>(&encoded).expect("and decoded again");
});
