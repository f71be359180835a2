//! States on their way from page to page: what is accepted is what was sent, and is the same after another round.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::transfer::{MAX_STATE_BYTES, StateTransfer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(transfer) = StateTransfer::decode(bytes) else { return };
    assert!(transfer.state.len() <= MAX_STATE_BYTES && transfer.hash == base::hash_state(&transfer.state));
    let again = StateTransfer::decode(&transfer.encode()).expect("what was decoded can be encoded");
    assert_eq!(again.state, transfer.state);
});
