//! What nodes read of a room from a store that others may have written to: a snapshot and entries after it. What is taken up has
//! states that are the same after another round.
#![no_main]

use base::WallTime;
use libfuzzer_sys::fuzz_target;
use room::replica::{Entry, NodeId, Opened, Origin, Replica, Snapshot, Stored};

fuzz_target!(|data: (Vec<u8>, Vec<u8>, u64)| {
    let (snapshot, entries, at) = data;
    let origin = Origin { node: NodeId(1), opening: 1 };
    let Ok(mut replica) = Replica::open(origin, &Opened { snapshot, entries: Vec::new() }) else { return };
    let entries = postcard::from_bytes::<Vec<Entry>>(&entries).unwrap_or_default();
    for entry in entries {
        let position = replica.applied();
        let Some(version) = position.version.checked_add(1) else { return };
        replica.apply(&Stored { epoch: position.epoch, version, at: WallTime(at >> 12), entry });
    }
    let bytes = replica.snapshot().to_bytes();
    assert_eq!(Snapshot::of_bytes(&bytes).expect("what was written can be read").to_bytes(), bytes);
});
