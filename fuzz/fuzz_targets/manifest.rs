//! Manifests, as an environment says of itself: what is accepted is accepted again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::manifest::Manifest;

fuzz_target!(|json: &[u8]| {
    let Ok(manifest) = Manifest::parse(json) else { return };
    let encoded = serde_json::to_vec(&manifest).expect("what was decoded can be encoded");
    Manifest::parse(&encoded).expect("and decoded again");
});
