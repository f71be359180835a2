//! Builds, runs and tests the workspace: `cargo xtask COMMAND`.
//!
//! Every command installs what it lacks and says so.

mod build;
mod check;
mod fuzz;
mod page;
mod prove;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

const HELP: &str = "cargo xtask COMMAND

  demo [ARGS]        build everything and serve a game of tag at http://127.0.0.1:8080
  test               checks, unit, property, durability and browser tests, each once
  build              environments, page and binary
  check              formatting, lints, licences, leftovers
  e2e [NAME ...]     journeys in real browsers, all or some
  netlab TOPOLOGY    two browsers on a network to play with; netlab --help lists topologies and commands
  sim [ARGS]         the whole system in virtual time: --seeds N [--from S], or --seed S [--trace]
  bench              measurements; the numbers are in docs/performance.md
  prove              the repeats and long runs; results go to docs/proof.md
  fuzz TARGET [S]    fuzz a decoder for S seconds [60]
  dist               the binary for release, and the page's size

What follows `demo` goes to `interplay demo`: cargo xtask demo --players 3";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let done = match command.as_str() {
        "demo" => run::demo(&rest),
        "test" => test::test(),
        "build" => build::all(),
        "check" => check::check(),
        "e2e" => test::journeys(&rest).and_then(test::Count::into_result),
        "netlab" => test::netlab(&rest),
        "sim" => run::sim(&rest),
        "bench" => test::bench(),
        "prove" => prove::prove(),
        "fuzz" => fuzz::fuzz(&rest),
        "dist" => build::dist(),
        "" | "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("xtask: there is no command {command:?}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
