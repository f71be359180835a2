//! Batches of records, as a page uploads them: what is accepted is within its bounds and is the same after another
//! round.
#![no_main]

use base::{MAX_INPUT_BYTES, MAX_SEATS};
use libfuzzer_sys::fuzz_target;
use wire::batch::{MAX_BATCH_EVENTS, MAX_BATCH_FRAMES, RecordBatch};

fuzz_target!(|data: (u8, u8, &[u8])| {
    let (seats, size, bytes) = data;
    let (seats, size) = (seats % (MAX_SEATS as u8 + 1), usize::from(size) % (MAX_INPUT_BYTES + 1));
    let Ok(batch) = RecordBatch::decode(bytes, seats, size) else { return };
    assert!(batch.frames.len() <= MAX_BATCH_FRAMES && batch.events.len() <= MAX_BATCH_EVENTS);
    let encoded = batch.encode().expect("what was decoded can be encoded");
    assert_eq!(RecordBatch::decode(&encoded, seats, size).expect("and decoded again"), batch);
});
