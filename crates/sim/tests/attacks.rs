//! A seat that attacks another while both play (N4).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::time::Duration;

use base::Seat;
use sim::attack::{Attack, Malice};
use sim::{Conditions, Outcome, check};

/// A calm game, so that whatever goes wrong is the attacker's doing.
fn calm(seed: u64, seats: u8) -> Conditions {
    let mut conditions = Conditions::of(seed);
    conditions.seats = seats;
    conditions.rules.fps = 30;
    conditions.rules.episodes = 2;
    conditions.rules.max_frames = 150;
    conditions.rules.window = 8;
    conditions.rules.input_delay = 2;
    conditions.ending = None;
    conditions.paths.loss = 0.05;
    conditions.paths.repeats = 0.05;
    conditions.paths.delay = Duration::from_millis(30);
    conditions.paths.jitter = Duration::from_millis(20);
    conditions.paths.cuts_per_second = 0.0;
    conditions.freezes_per_second = 0.0;
    conditions.faults_end = Duration::from_secs(10);
    conditions
}

fn attacked(conditions: &Conditions, kinds: &[Malice], burst: u32) -> Outcome {
    let [victim, attacker] = [0, conditions.seats - 1].map(|number| Seat::new(number).unwrap());
    let mut attack = Attack::new(conditions, [attacker, victim], kinds, burst, Duration::from_millis(1));
    sim::run(conditions, Some(&mut attack))
}

/// Resident memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn each_kind_alone() {
    for (seed, &kind) in (0..).zip(&Malice::ALL) {
        let outcome = attacked(&calm(seed, 3), &[kind], 3);
        assert!(outcome.hostile_packets > 10_000, "{kind:?}: {}", outcome.hostile_packets);
        check::all(&outcome).unwrap_or_else(|violation| panic!("{kind:?}: {violation}"));
    }
}

fn a_million_of_all_kinds() {
    let mut sent = 0;
    let mut refused = 0;
    for seed in 0..4 {
        let outcome = attacked(&calm(seed, 3), &Malice::ALL, 30);
        sent += outcome.hostile_packets;
        refused += outcome.seats[0].refused_packets;
        check::all(&outcome).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        assert!(outcome.seats[0].most_pending < 300, "{}", outcome.seats[0].most_pending);
    }
    println!("{sent} hostile packets, {refused} refused");
    assert!(sent >= 1_000_000, "{sent}");
    assert!(refused > sent / 3, "{refused} of {sent}");
}

/// One test, so that nothing else in this process takes memory meanwhile.
#[test]
fn hostile_packets_change_nothing_and_cost_no_memory() {
    each_kind_alone();
    let before = resident_kib();
    a_million_of_all_kinds();
    let grown = resident_kib().saturating_sub(before);
    println!("resident memory grew by {grown} KiB");
    // More than 500 MB came in; a fiftieth of that kept would show.
    assert!(grown < 8 * 1024, "{grown} KiB");
}
