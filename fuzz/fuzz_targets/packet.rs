//! Game packets (N4): what is accepted is within its bounds and is the same after another round.
#![no_main]

use base::MAX_INPUT_BYTES;
use libfuzzer_sys::fuzz_target;
use wire::packet::{MAX_PACKET_BYTES, MAX_PACKET_FRAMES, Packet};

fuzz_target!(|data: (u8, &[u8])| {
    let (size, bytes) = data;
    let size = usize::from(size) % (MAX_INPUT_BYTES + 1);
    let Ok(packet) = Packet::decode(bytes, size) else { return };
    assert!(packet.inputs(size).count() <= MAX_PACKET_FRAMES);
    let mut buffer = [0; MAX_PACKET_BYTES];
    let encoded = packet.encode(&mut buffer).expect("what was decoded can be encoded");
    assert_eq!(Packet::decode(encoded, size).expect("and decoded again"), packet);
});
