//! Control messages, as the server sends to a page: what is accepted is accepted again when written out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::control::ServerMessage;

fuzz_target!(|json: &[u8]| {
    let Ok(message) = serde_json::from_slice::<ServerMessage>(json) else { return };
    let encoded = serde_json::to_vec(&message).expect("what was decoded can be encoded");
    serde_json::from_slice::<ServerMessage>(&encoded).expect("and decoded again");
});
