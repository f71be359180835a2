//! Running programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A program that is run in the workspace's folder.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// Cargo, with its arguments separated by spaces.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace());
    command
}

/// Says what is done, as cargo does.
pub(crate) fn say(doing: &str, what: &str) {
    println!("{doing:>12} {what}");
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(())
}

/// Builds everything and serves the demo until it is told to stop.
pub(crate) fn demo(arguments: &[String]) -> anyhow::Result<()> {
    crate::build::all()?;
    run(program(target().join("release/interplay")).arg("demo").args(arguments))
}

/// The whole system in virtual time.
pub(crate) fn sim(arguments: &[String]) -> anyhow::Result<()> {
    run(&mut cargo("build --release --quiet --package interplay-sim"))?;
    run(program(target().join("release/sim")).args(arguments))
}
