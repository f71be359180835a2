//! Seeded games under seeded conditions.
//!
//! `INTERPLAY_SEED=123 cargo test --release -p interplay-sim --test games -- --nocapture` replays one game; `INTERPLAY_SEEDS=100000`
//! plays more than the usual number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use sim::{Conditions, Outcome, check};

const GAMES: u64 = 1000;

/// What happened in some games.
#[derive(Debug, Default)]
struct Seen {
    frames: usize,
    lost_packets: u64,
    rollbacks: u64,
    stalled_ticks: u64,
    compared_hashes: u64,
    repeated_frames: u64,
    batches: u64,
    most_pending: usize,
}

impl Seen {
    fn add(&mut self, outcome: &Outcome) {
        self.lost_packets += outcome.lost_packets;
        for seat in &outcome.seats {
            self.frames += seat.records.frames.len();
            self.rollbacks += seat.status.rollbacks;
            self.stalled_ticks += seat.status.stalled_frames;
            self.compared_hashes += seat.status.compared_hashes;
            self.repeated_frames += seat.records.repeated;
            self.batches += seat.records.batches;
            self.most_pending = self.most_pending.max(seat.most_pending);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_game_ends_with_equal_states_and_complete_records() {
    if let Some(seed) = number("INTERPLAY_SEED") {
        let outcome = sim::run(&Conditions::of(seed), None);
        println!("{:#?}", outcome.conditions);
        for (seat, found) in outcome.seats.iter().enumerate() {
            println!("seat {seat}, done at {:?}: {:#?}", found.complete_at, found.status);
        }
        check::all(&outcome).unwrap();
        return;
    }
    let games = number("INTERPLAY_SEEDS").unwrap_or(GAMES);
    let mut seen = Seen::default();
    let mut failures = Vec::new();
    for seed in 0..games {
        let play = || {
            let outcome = sim::run(&Conditions::of(seed), None);
            (check::all(&outcome), outcome)
        };
        match catch_unwind(AssertUnwindSafe(play)) {
            Ok((Ok(()), outcome)) => seen.add(&outcome),
            Ok((Err(violation), _)) => failures.push(format!("INTERPLAY_SEED={seed}: {violation}")),
            Err(_) => failures.push(format!("INTERPLAY_SEED={seed}: a panic")),
        }
    }
    println!("{games} games: {seen:?}");
    let some = failures.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {games} games failed, among them\n{some}", failures.len());
    // Games in which nothing went wrong prove nothing.
    assert!(seen.lost_packets > 100 * games && seen.rollbacks > 10 * games, "{seen:?}");
    assert!(seen.stalled_ticks > games && seen.repeated_frames > games, "{seen:?}");
}

#[test]
fn a_seed_repeats_its_game() {
    for seed in 0..20 {
        let [one, two] = [0, 1].map(|_| sim::run(&Conditions::of(seed), None));
        for (one, two) in one.seats.iter().zip(&two.seats) {
            assert_eq!((one.complete_at, &one.status), (two.complete_at, &two.status), "seed {seed}");
            assert_eq!(one.records.frames, two.records.frames, "seed {seed}");
        }
    }
}
