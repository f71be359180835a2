//! Fuzzes the decoders, with cargo-fuzz.

use anyhow::bail;

use crate::run::{cargo, root, run, say};
use crate::tools;

const TARGETS: [&str; 10] = [
    "packet",
    "batch",
    "control_client",
    "control_server",
    "draw",
    "manifest",
    "prepare",
    "room_frames",
    "room_log",
    "transfer",
];

pub(crate) fn fuzz(arguments: &[String]) -> anyhow::Result<()> {
    let seconds = arguments.get(1).map_or("60", String::as_str);
    let target = arguments.first().map_or("all", String::as_str);
    let targets: Vec<_> = TARGETS.iter().filter(|name| target == "all" || **name == target).collect();
    if targets.is_empty() {
        bail!("there is no target {target:?}; they are all, {}", TARGETS.join(", "));
    }
    tools::cargo_tool("cargo-fuzz", "0.13.2")?;
    for target in targets {
        say("Fuzzing", &format!("{target} for {seconds} s"));
        // The sanitizers' flags are not stable; the released compiler takes them when it is told to.
        let mut command = cargo(&format!("fuzz run --sanitizer none {target} -- -max_total_time={seconds}"));
        run(command.current_dir(root()).env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}
