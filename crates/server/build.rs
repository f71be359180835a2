//! The page, its client and the demo's environment are inside the binary, so they must be built first.

use std::path::Path;

fn main() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    println!("cargo::rerun-if-changed={}", assets.display());
    // A language that is new is a file that nothing has named yet.
    println!("cargo::rerun-if-changed=../../texts");
    for needed in ["page/index.html", "page/interplay_bg.wasm", "experiments/tag/tag.wasm"] {
        if !assets.join(needed).is_file() {
            println!("cargo::error=assets/{needed} is missing: run `cargo xtask build`, which makes it");
        }
    }
}
