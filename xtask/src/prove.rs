//! The repeats and long runs. A part that has passed for this commit is not run again, so that `prove` can be
//! stopped and taken up.

use std::fmt::Write as _;
use std::time::Instant;

use crate::run::{cargo, program, root, run, say};
use crate::{build, tools};

/// A name, cargo's arguments and the environment.
type Part = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What is run.
const PARTS: [Part; 7] = [
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
        "the whole system in virtual time, 100,000 seeds",
        "test --release --package interplay-sim --test whole whatever_fails",
        &[("INTERPLAY_SEEDS", "100000")],
    ),
    (
        "links under silence, restarts and lane failures, 100,000 seeds",
        "test --release --package interplay-link --test schedules",
        &[("INTERPLAY_SEEDS", "100000")],
    ),
    (
        "rooms against a model that forgets nothing, 2,000,000 seeds",
        "test --release --package interplay-room --test log",
        &[("INTERPLAY_SEEDS", "2000000")],
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

/// Journeys that do more: name, file and variable.
const JOURNEYS: [(&str, &str, (&str, &str)); 5] = [
    ("the direct lane cut 20 times at 30 frames a second", "cut_at_30_fps", ("INTERPLAY_CUTS", "20")),
    (
        "the direct lane cut 20 times at 60 frames a second, hot and warm",
        "cut_at_60_fps",
        ("INTERPLAY_CUTS", "20"),
    ),
    (
        "everything that may fail in mid-game, two people, 5 times",
        "vanish_and_return_two",
        ("INTERPLAY_TIMES", "5"),
    ),
    (
        "everything that may fail in mid-game, three people, 5 times",
        "vanish_and_return_three",
        ("INTERPLAY_TIMES", "5"),
    ),
    (
        "the HTTP API against its description, 500 examples an operation",
        "http_api",
        ("INTERPLAY_EXAMPLES", "500"),
    ),
];

pub(crate) fn prove() -> anyhow::Result<()> {
    build::all()?;
    tools::postgres()?;
    let commit = program("git").args(["rev-parse", "--short", "HEAD"]).output()?.stdout;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let path = root().join("docs/proof.md");
    let mut log = std::fs::read_to_string(&path)?;
    let mut prove = |name: &str, part: &dyn Fn() -> anyhow::Result<()>| -> anyhow::Result<()> {
        if log.lines().any(|line| line.contains(name) && line.contains(&commit)) {
            say("Passed", &format!("{name} (before)"));
            return Ok(());
        }
        say("Proving", name);
        let start = Instant::now();
        part()?;
        writeln!(log, "| {name} | {commit} | passed | {:.0} s |", start.elapsed().as_secs_f64())?;
        Ok(std::fs::write(&path, &log)?)
    };
    for (name, arguments, environment) in PARTS {
        prove(name, &|| run(cargo(arguments).envs(environment.iter().copied())))?;
    }
    for (name, journey, (variable, value)) in JOURNEYS {
        prove(name, &|| crate::test::repeated(journey, variable, value)?.into_result())?;
    }
    Ok(())
}
