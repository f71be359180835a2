//! What a room's member sends, as text and as bytes: names that are understood are within their bounds, and nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::room::{ClientFrame, MAX_NAME_BYTES};

fuzz_target!(|data: &[u8]| {
    let text = core::str::from_utf8(data).ok().map(ClientFrame::of_text);
    for frame in text.into_iter().chain([ClientFrame::of_binary(data)]).flatten() {
        match frame {
            ClientFrame::Send(send) => {
                assert!(send.payload.len() <= data.len());
                assert!(send.to.is_none_or(|to| to.as_str().len() <= MAX_NAME_BYTES));
            }
            ClientFrame::Join(join) => {
                assert!(join.sender.is_none_or(|sender| sender.as_str().len() <= MAX_NAME_BYTES));
            }
            _ => {}
        }
    }
});
