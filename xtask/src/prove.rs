//! The repeats and long runs. A part that has passed for this commit is not run again, so that `prove` can be
//! stopped and taken up.

use std::fmt::Write as _;
use std::time::Instant;

use crate::run::{cargo, program, root, run, say};
use crate::{build, tools};

/// A name, cargo's arguments and the environment.
type Part = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What is run.
const PARTS: [Part; 4] = [
    (
        "rollback against the serial reference, 200,000 seeds",
        "test --release --package interplay-rollback",
        &[("INTERPLAY_SEEDS", "200000")],
    ),
    (
        "sessions in virtual time, 20,000 seeds",
        "test --release --package interplay-sim",
        &[("INTERPLAY_SEEDS", "20000")],
    ),
    (
        "power loss, 2,000 crashes",
        "test --release --package interplay-store",
        &[("INTERPLAY_CRASHES", "2000")],
    ),
    (
        "kill -9 of the server, 50 times",
        "test --release --package interplay-server --test scenarios durability",
        &[("INTERPLAY_KILLS", "50")],
    ),
];

pub(crate) fn prove() -> anyhow::Result<()> {
    build::all()?;
    let commit = program("git").args(["rev-parse", "--short", "HEAD"]).output()?.stdout;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let path = root().join("docs/proof.md");
    let mut log = std::fs::read_to_string(&path)?;
    for (name, arguments, environment) in PARTS {
        if log.lines().any(|line| line.contains(name) && line.contains(&commit)) {
            say("Passed", &format!("{name} (before)"));
            continue;
        }
        say("Proving", name);
        let start = Instant::now();
        run(cargo(arguments).envs(environment.iter().copied()))?;
        writeln!(log, "| {name} | {commit} | passed | {:.0} s |", start.elapsed().as_secs_f64())?;
        std::fs::write(&path, &log)?;
    }
    tools::browsers()
}
