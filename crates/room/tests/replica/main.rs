//! A room on several nodes, whose members move among them while connections die half-open, answers are lost, nodes
//! are killed, and the store is away, is emptied or loses its last writes: every member gets every message once and
//! in order, or an explicit gap; what is sent is sent once; replicas of a version are equal; no number is used twice;
//! and when faults cease, everything comes right (R1, R7, R9, R10, C1, C2).
//!
//! `INTERPLAY_SEED=123 cargo test --release -p interplay-room --test replica -- --nocapture` tells one life of a
//! room; `INTERPLAY_SEEDS=1000000` runs more than the usual number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod driver;
mod node;
#[path = "../support/rules.rs"]
mod rules;
mod sabotage;
mod scenes;
mod store;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use sabotage::Sabotage;
use world::{Counts, Outcome, World};

const SEEDS: u64 = 20_000;

/// In so many lives every mistake must show.
const SABOTAGED: u64 = 3_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn live(seed: u64, tell: bool, sabotage: Option<Sabotage>) -> (Outcome, Counts) {
    let mut world = World::new(seed, tell, sabotage);
    (world.run(), world.counts)
}

#[test]
fn members_on_several_nodes_hear_everything_once_and_in_order_or_of_a_gap() {
    if let Some(seed) = number("INTERPLAY_SEED") {
        live(seed, true, None).0.unwrap();
        return;
    }
    let seeds = number("INTERPLAY_SEEDS").unwrap_or(SEEDS);
    let mut failures = Vec::new();
    let mut sum = Counts::default().all().map(|_| 0);
    for seed in 0..seeds {
        let (outcome, counts) = live(seed, false, None);
        if let Err(violation) = outcome {
            failures.push(format!("INTERPLAY_SEED={seed}: {violation}"));
        }
        for (sum, (_, count)) in sum.iter_mut().zip(counts.all()) {
            *sum += count;
        }
    }
    let names = Counts::default().all().map(|(name, _)| name);
    let told: Vec<String> = names.iter().zip(sum).map(|(name, sum)| format!("{name} {sum}")).collect();
    println!("{seeds} rooms: {}", told.join(", "));
    let some = failures.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {seeds} rooms failed, among them\n{some}", failures.len());
    // Lives in which nothing happened prove nothing. Only a store that breaks its contract says two things, and only
    // clocks that differ make a page stop that should not.
    let rare = names.iter().zip(sum).filter(|(name, _)| !["doubts", "stops"].contains(name));
    let missing: Vec<_> = rare.filter(|(_, sum)| *sum <= seeds / 50).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_mistake_is_found() {
    let mut overlooked = Vec::new();
    for sabotage in Sabotage::ALL {
        let found = (0..SABOTAGED).find_map(|seed| {
            // Some mistakes end in a panic of the test's own.
            let outcome = catch_unwind(AssertUnwindSafe(|| live(seed, false, Some(sabotage)).0));
            outcome.unwrap_or_else(|_| Err("a panic".into())).err().map(|violation| (seed, violation))
        });
        match found {
            Some((seed, violation)) => println!("{sabotage:?}: seed {seed}: {violation}"),
            None => overlooked.push(sabotage),
        }
    }
    assert!(overlooked.is_empty(), "{overlooked:?}");
}
