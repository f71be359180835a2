//! Every case once.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::run::{cargo, program, run, say};
use crate::{build, check, tools};

/// How many cases passed and failed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    pub(crate) fn into_result(self) -> anyhow::Result<()> {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed > 0 {
            bail!("{} cases failed", self.failed);
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The product's crates, whose features are then always the same: what cargo builds for a package alone would be
/// compiled a second time.
const PRODUCT: &str = "--workspace --exclude xtask";

/// Everything that is tested and measured, in one go.
fn build_all() -> anyhow::Result<()> {
    tools::compiler()?;
    build::assets()?;
    say("Building", "everything");
    run(&mut cargo(&format!("build --release --quiet {PRODUCT} --all-targets")))
}

pub(crate) fn test() -> anyhow::Result<()> {
    check::check()?;
    tools::interpreters()?;
    tools::postgres()?;
    tools::redis()?;
    build_all()?;
    let mut count = Count::default();
    say("Testing", "crates");
    count.add(counted(&mut cargo("test --quiet --package xtask"))?);
    count.add(counted(&mut cargo(&format!("test --release {PRODUCT} --no-fail-fast")))?);
    measure("--quick")?;
    count.add(journeys(&[])?);
    count.into_result()
}

/// Measures; the numbers are printed and kept in docs/performance.md by hand, with the machine named.
pub(crate) fn bench() -> anyhow::Result<()> {
    measure("")
}

fn measure(flags: &str) -> anyhow::Result<()> {
    tools::redis()?;
    build_all()?;
    say("Measuring", "hot paths");
    let benches =
        "--bench rollback --bench environment --bench packet --bench rooms --bench append --bench live";
    run(&mut cargo(&format!("bench --profile release --quiet {PRODUCT} {benches} -- {flags}")))?;
    run(program(crate::run::target().join("release/interplay"))
        .arg("bench")
        .arg("--data")
        .arg(crate::run::target()))
}

/// Journeys in real browsers.
pub(crate) fn journeys(names: &[String]) -> anyhow::Result<Count> {
    journeys_with(names, &[])
}

/// One journey, with a variable that makes it do more.
pub(crate) fn repeated(name: &str, variable: &str, value: &str) -> anyhow::Result<Count> {
    journeys_with(&[name.to_owned()], &[(variable, value)])
}

fn journeys_with(names: &[String], environment: &[(&str, &str)]) -> anyhow::Result<Count> {
    build_all()?;
    tools::browsers()?;
    tools::schemathesis()?;
    say("Testing", "journeys in browsers");
    counted(
        program("node")
            .arg("e2e/run.mjs")
            .args(names)
            .envs(environment.iter().copied())
            .env("INTERPLAY_TARGET", crate::run::target().join("release")),
    )
}

/// Opens a network with a server and two browsers in it, until it is told `end`.
pub(crate) fn netlab(arguments: &[String]) -> anyhow::Result<()> {
    build_all()?;
    tools::browsers()?;
    run(program("node")
        .arg("e2e/lib/by_hand.mjs")
        .args(arguments)
        .env("INTERPLAY_TARGET", crate::run::target().join("release")))
}

/// Runs a test runner, shows what it prints, and sums its `test result: …` or `N passed, N failed` lines.
fn counted(command: &mut Command) -> anyhow::Result<Count> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {command:?}"))?;
    let output = child.stdout.take().context("its output is piped")?;
    let mut count = Count::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        let number = |word: &str| -> u64 {
            let before = line.split(word).next().unwrap_or_default().trim_end();
            before.rsplit([' ', ';']).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
        };
        let summary = line.starts_with("test result:") || line.starts_with("journeys:");
        if summary {
            count.add(Count { passed: number("passed"), failed: number("failed") });
        }
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        bail!("{command:?} failed: {status}");
    }
    Ok(count)
}
