//! Formatting, lints, licences, leftovers.

use anyhow::bail;

use crate::run::{cargo, program, root, run, say};
use crate::tools;

/// Words that say that something is not done, put together so that this file is not found.
const LEFTOVERS: [[&str; 2]; 4] = [["to", "do!("], ["unimpl", "emented!("], ["db", "g!("], ["FIX", "ME"]];

pub(crate) fn check() -> anyhow::Result<()> {
    crate::build::assets()?;
    tools::compiler()?;
    say("Checking", "formatting");
    run(&mut cargo("fmt --all --check"))?;
    for folder in ["experiments/tag", "experiments/trials", "fuzz"] {
        run(cargo("fmt --all --check").current_dir(root().join(folder)))?;
    }
    say("Checking", "lints");
    let strict = "--quiet --release --all-targets -- -D warnings";
    run(&mut cargo(&format!("clippy --workspace {strict}")))?;
    run(&mut cargo(
        "clippy --quiet --package interplay-client --profile page --target wasm32-unknown-unknown -- -D warnings",
    ))?;
    say("Checking", "licences and sources of dependencies");
    tools::cargo_tool("cargo-deny", "0.20.2")?;
    run(&mut cargo("deny --log-level error check licenses bans sources"))?;
    say("Checking", "for leftovers");
    for words in LEFTOVERS {
        let found =
            program("git").args(["grep", "-nF", &words.concat(), "--", "*.rs", "*.mjs", "*.js"]).output()?;
        if !found.stdout.is_empty() {
            bail!("left over:\n{}", String::from_utf8_lossy(&found.stdout));
        }
    }
    Ok(())
}
