//! Runs the whole system in virtual time: many seeds, or one with its trace.

use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sim::whole::{Many, Plan, check, many, run, shrink};

/// How many seeds are run between two lines.
const PART: u64 = 20_000;

const HELP: &str = "sim [--seeds N] [--from S]   run N seeds [1000] from S [0] on
sim --seed S [--trace]       run one seed; a failing one is made shorter";

struct Arguments {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    trace: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments { seeds: 1000, from: 0, seed: None, trace: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().ok_or(format!("{argument} needs a number"))?;
            value.replace('_', "").parse::<u64>().map_err(|_| format!("{value:?} is no number"))
        };
        match argument.as_str() {
            "--seeds" => parsed.seeds = number()?,
            "--from" => parsed.from = number()?,
            "--seed" => parsed.seed = Some(number()?),
            "--trace" => parsed.trace = true,
            _ => return Err(format!("there is no {argument:?}\n{HELP}")),
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let passed = match arguments.seed {
        Some(seed) => one(seed, arguments.trace),
        None => range(arguments.from, arguments.seeds),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, trace: bool) -> bool {
    let plan = Plan::of(seed);
    let outcome = run(&plan, trace);
    if trace {
        print!("{plan}");
        println!("{}", outcome.trace.join("\n"));
    }
    let Err(violation) = check::all(&outcome) else {
        println!("seed {seed} passes: {:?} virtual, counts {:?}", outcome.lasted, outcome.counts());
        return true;
    };
    println!("seed {seed} fails: {violation}");
    if let Some((plan, violation)) = shrink(&plan) {
        println!("made shorter: {violation}\n{plan}");
        let outcome = run(&plan, true);
        let quiet = |line: &&String| trace || !line.contains("hears");
        for line in outcome.trace.iter().filter(quiet).take(if trace { usize::MAX } else { 60 }) {
            println!("{line}");
        }
    }
    false
}

/// Runs a range, a part at a time: when it is stopped, what has passed has been told.
fn range(from: u64, count: u64) -> bool {
    let start = Instant::now();
    // What panicked is told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let end = from.saturating_add(count);
    let mut all = Many::default();
    let mut next = from;
    while next < end {
        let part = next..next.saturating_add(PART).min(end);
        let found = many(part.clone());
        for (seed, failure) in found.failures.iter().take(20) {
            println!("  --seed {seed}: {failure}");
        }
        all.add(found);
        next = part.end;
        tell(from..next, &all, start.elapsed());
    }
    all.failures.is_empty()
}

fn tell(seeds: Range<u64>, so_far: &Many, real: Duration) {
    let Many { failures, virtually, counts } = so_far;
    let [pauses, resumes, reloads, repairs, restarts, frames, transfers] = counts;
    println!(
        "seeds {} to {}: {} failed; {:.1} virtual hours in {:.0} s ({:.0} times real time); {pauses} pauses, {resumes} \
         resumed, {reloads} reloads, {transfers} states taken from a peer, {repairs} repairs, {restarts} server restarts, \
         {frames} frames",
        seeds.start,
        seeds.end - 1,
        failures.len(),
        virtually.as_secs_f64() / 3600.0,
        real.as_secs_f64(),
        virtually.as_secs_f64() / real.as_secs_f64(),
    );
}
