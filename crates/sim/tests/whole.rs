//! The whole system: seeded troubles, races by name, and machines that are broken on purpose.
//!
//! `cargo xtask sim --seed S --trace` shows one seed; `INTERPLAY_SEEDS=100000` runs more than the usual number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use sim::whole::{Fault, Many, Outcome, Plan, Sabotage, check, many, run, shrink};
use wire::control::OnPlayerLost;
use wire::control::TerminationReason::{
    FocusTimeout, Normal, PartnerExclusion, PartnerLost, SelfExclusion, Withdrawn,
};

const SEEDS: u64 = 5_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_fails_everyone_comes_back_or_ends_together() {
    let seeds = number("INTERPLAY_SEEDS").unwrap_or(SEEDS);
    let Many { failures, counts, .. } = many(0..seeds);
    let failures: Vec<_> =
        failures.iter().map(|(seed, failure)| format!("--seed {seed}: {failure}")).collect();
    let some = failures.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {seeds} seeds failed, among them\n{some}", failures.len());
    let [pauses, resumes, reloads, repairs, restarts, frames, transfers] = counts;
    println!(
        "{seeds} seeds: {pauses} pauses, {resumes} resumed, {reloads} reloads, {repairs} repairs, {restarts} restarts, \
         {transfers} states taken from a peer, {frames} frames"
    );
    // Runs in which nothing went wrong prove nothing.
    assert!(resumes > seeds / 4 && reloads > seeds / 4 && repairs > seeds / 50 && restarts > seeds / 10);
    assert!(transfers > seeds / 100);
}

/// Far seeds that failed once; docs/reliability.md says of what.
#[test]
fn seeds_that_have_failed_pass() {
    for seed in [33_182, 34_037, 50_301, 6_003_554, 6_003_971, 6_005_322, 6_010_490] {
        let plan = Plan::of(seed);
        check::all(&run(&plan, false)).unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
    }
}

#[test]
fn a_seed_repeats_its_run() {
    for seed in 0..20 {
        let [one, two] = [0, 1].map(|_| run(&Plan::of(seed), true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
    }
}

/// Plays a plan with a few seeds' chances; all must hold.
fn holds(name: &str, plan: impl Fn(u64) -> Plan) -> Vec<Outcome> {
    let outcomes: Vec<_> = (0..20).map(|seed| run(&plan(seed), false)).collect();
    for outcome in &outcomes {
        if let Err(violation) = check::all(outcome) {
            panic!("{name}: {violation}\n{}", outcome.plan);
        }
    }
    outcomes
}

fn sum(outcomes: &[Outcome], which: usize) -> u64 {
    outcomes.iter().map(|outcome| outcome.counts()[which]).sum()
}

const RESUMED: usize = 1;
const RELOADS: usize = 2;
const REPAIRS: usize = 3;

#[test]
fn a_short_cut_of_everything_is_no_pause() {
    let outcomes =
        holds("two seconds offline", |seed| Plan::quiet(seed, 2).with(3000, 2000, Fault::Offline(1)));
    assert_eq!(sum(&outcomes, 0), 0);
}

#[test]
fn ten_seconds_offline_are_one_pause() {
    let outcomes =
        holds("ten seconds offline", |seed| Plan::quiet(seed, 3).with(3000, 10_000, Fault::Offline(1)));
    assert_eq!((sum(&outcomes, 0), sum(&outcomes, RESUMED)), (20, 20));
}

#[test]
fn a_server_that_is_gone_costs_no_pause_while_pages_hear_each_other() {
    let outcomes = holds("server down", |seed| Plan::quiet(seed, 2).with(2000, 4000, Fault::ServerDown));
    assert_eq!(sum(&outcomes, 0), 0);
}

#[test]
fn server_and_direct_path_down_together() {
    holds("server and path down", |seed| {
        let down = Plan::quiet(seed, 2).with(2000, 6000, Fault::ServerDown);
        down.with(2500, 7000, Fault::Cut(0, 1))
    });
}

#[test]
fn a_late_timeout_after_a_resume() {
    // The pause is over just before its deadline; what the deadline would have done must not happen.
    holds("late timeout", |seed| Plan::quiet(seed, 2).with(2000, 31_000, Fault::Offline(1)));
}

#[test]
fn timeout_and_return_within_fifty_milliseconds_in_both_orders() {
    let (mut back, mut ended) = (0, 0);
    // How long the page takes to be back differs; somewhere in between lies the deadline.
    for lasts in (30_500..33_500).step_by(10) {
        let plan = Plan::quiet(lasts, 2).with(2000, lasts, Fault::Offline(1));
        let outcome = run(&plan, false);
        check::all(&outcome).unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
        if outcome.counts()[RESUMED] == 1 {
            back += 1;
        } else {
            ended += 1;
        }
    }
    assert!(back > 10 && ended > 10, "back in {back} cases, ended in {ended}");
}

#[test]
fn a_second_loss_during_the_countdown() {
    let outcomes = holds("second loss", |seed| {
        let mut plan = Plan::quiet(seed, 2);
        plan.rules.pauses.countdown_millis = 3000;
        plan.rules.grace_millis = 500;
        plan.with(2000, 3000, Fault::Offline(1)).with(5500 + seed * 50, 3000, Fault::Offline(0))
    });
    assert!(sum(&outcomes, 0) > 30, "{} pauses", sum(&outcomes, 0));
}

#[test]
fn two_reload_one_before_the_other_is_done() {
    let outcomes = holds("two reload", |seed| {
        let first = Plan::quiet(seed, 3).with(2000, 800, Fault::Reload(0));
        first.with(2600 + seed * 30, 700, Fault::Reload(1))
    });
    assert_eq!(sum(&outcomes, RELOADS), 40);
}

#[test]
fn all_reload() {
    let outcomes = holds("all reload", |seed| {
        let first = Plan::quiet(seed, 2).with(2500, 900, Fault::Reload(0));
        first.with(2500 + seed * 20, 900, Fault::Reload(1))
    });
    assert_eq!((sum(&outcomes, RELOADS), sum(&outcomes, RESUMED)), (40, 20));
}

#[test]
fn the_last_input_of_a_vanished_third_reaches_only_one_survivor() {
    let outcomes = holds("vanished third", |seed| {
        // The third is not heard by the second for the last moments before its page is gone.
        let plan = Plan::quiet(seed, 3).with(3000, 150 + seed * 10, Fault::OneWay(2, 1));
        let mut plan = plan.with(3150 + seed * 10, 2000, Fault::Reload(2));
        plan.rules.lanes = wire::control::LaneUse::Warm;
        plan.rules.on_direct_loss = wire::control::OnDirectLoss::Pause;
        plan
    });
    assert!(sum(&outcomes, RESUMED) >= 20);
}

#[test]
fn the_partner_leaves_just_as_the_scene_ends() {
    // Two episodes of five seconds and half a second between them, from about a second on.
    for at in (10_400..12_400).step_by(50) {
        for fault in [Fault::Reload(1), Fault::Offline(1)] {
            let plan = Plan::quiet(at, 2).with(at, 5_000, fault);
            let outcome = run(&plan, false);
            check::all(&outcome).unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
        }
    }
}

#[test]
fn a_participant_leaves_the_study_at_any_moment() {
    // In mid-game, and every 50 ms around its end.
    for at in (800..2400).step_by(200).chain((10_400..12_400).step_by(50)) {
        for (seats, on_player_lost) in
            [(2, OnPlayerLost::End), (3, OnPlayerLost::End), (3, OnPlayerLost::Continue)]
        {
            let mut plan = Plan::quiet(at, seats).with(at, 0, Fault::Leaves(1));
            plan.rules.on_player_lost = on_player_lost;
            let outcome = run(&plan, false);
            check::all(&outcome).unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
            if at < 10_000 {
                let others =
                    if plan.rules.on_player_lost == OnPlayerLost::End { PartnerLost } else { Normal };
                let expected: Vec<_> =
                    (0..seats).map(|seat| if seat == 1 { Withdrawn } else { others }).collect();
                assert_eq!(outcome.endings(), expected, "{plan}");
            } else if seats == 3 && outcome.endings().contains(&Normal) {
                // Where one has played to the end, all there is to know is known: nobody else is cut short.
                assert!(!outcome.endings().contains(&PartnerLost), "{:?}\n{plan}", outcome.endings());
            }
        }
    }
}

#[test]
fn nobody_is_stranded_before_the_first_frame() {
    // Everyone comes within 200 ms; then environments are loaded, and links made and checked.
    for at in (0..1500).step_by(50) {
        for seats in [2, 3] {
            for (fault, lasts) in [
                (Fault::Leaves(1), 0),
                (Fault::Reload(1), 300),
                (Fault::Reload(1), 8_000),
                (Fault::Offline(1), 7_000),
                (Fault::ServerDown, 1_000),
            ] {
                let plan = Plan::quiet(at, seats).with(at, lasts, fault);
                let outcome = run(&plan, false);
                check::all(&outcome).unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
                let away_for_good = matches!(fault, Fault::Leaves(_));
                let normal = outcome.endings().iter().filter(|reason| **reason == Normal).count();
                assert!(away_for_good || normal == usize::from(seats), "{:?}\n{plan}", outcome.endings());
            }
        }
    }
}

#[test]
fn two_exclusions_at_once() {
    let both = |seed: u64, seats: u8| {
        let all =
            (0..seats).fold(Plan::quiet(seed, seats), |plan, seat| plan.with(3000, 0, Fault::SlowPing(seat)));
        Plan { disk: Duration::from_millis(seed * 10), ..all }
    };
    let outcomes = holds("two exclusions at once", |seed| both(seed, 2));
    for outcome in &outcomes {
        let mut endings = outcome.endings();
        endings.sort_by_key(|reason| reason.name());
        assert_eq!(endings, [PartnerExclusion, SelfExclusion], "the first wins\n{}", outcome.plan);
    }
    let second: usize = outcomes.iter().map(|outcome| outcome.count_of("mid_game_exclusion") - 1).sum();
    assert!(second > 0, "the second's own cause is recorded");
    holds("three exclusions at once, of which one leaves two to play on", |seed| {
        let mut plan = both(seed, 3);
        plan.rules.on_player_lost = OnPlayerLost::Continue;
        plan
    });
}

#[test]
fn an_exclusion_at_any_moment() {
    for at in (7_000..10_500).step_by(100) {
        let plan = Plan::quiet(at, 2).with(at, 0, Fault::SlowPing(0));
        for plan in [
            plan.clone(),
            plan.clone().with(at + 1_500, 1_000, Fault::Offline(1)),
            plan.clone().with(at + 2_000, 2_000, Fault::ServerDown),
            plan.with(at + 2_200, 1_500, Fault::Reload(1)),
        ] {
            let outcome = run(&plan, false);
            check::all(&outcome).unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
        }
    }
}

#[test]
fn a_page_in_the_background_is_waited_for() {
    let outcomes = holds("hidden for a while", |seed| {
        Plan::quiet(seed, 2 + (seed % 2) as u8).with(2000, 200 + 400 * seed, Fault::Hidden(1))
    });
    assert_eq!((sum(&outcomes, 0), sum(&outcomes, RESUMED)), (20, 20));
    assert!(outcomes.iter().all(|outcome| outcome.endings().iter().all(|reason| *reason == Normal)));
    holds("hidden, and much else", |seed| {
        let hidden = Plan::quiet(seed, 3).with(2000, 9_000, Fault::Hidden(1));
        hidden.with(
            3000 + seed * 300,
            2_500,
            [Fault::Reload(1), Fault::Offline(1), Fault::ServerDown][seed as usize % 3],
        )
    });
    holds("hidden before the game begins", |seed| {
        Plan::quiet(seed, 2).with(seed * 10, 3_000, Fault::Hidden(0))
    });
}

#[test]
fn a_page_that_stays_in_the_background_is_taken_out_when_the_time_is_over() {
    let away = |seed: u64, seats: u8| {
        let mut plan = Plan::quiet(seed, seats).with(2000, 60_000, Fault::Hidden(1));
        plan.rules.pauses.timeout_millis = 5_000;
        plan
    };
    for outcome in holds("hidden for too long", |seed| away(seed, 2)) {
        let mut endings = outcome.endings();
        endings.sort_by_key(|reason| reason.name());
        assert_eq!(endings, [FocusTimeout, PartnerExclusion], "{}", outcome.plan);
    }
    for outcome in
        holds("both hidden for too long", |seed| away(seed, 2).with(2100, 60_000, Fault::Hidden(0)))
    {
        assert_eq!(outcome.count_of("mid_game_exclusion"), 2, "the second's own cause is recorded");
    }
    for outcome in holds("too often", |seed| {
        let mut plan =
            Plan::quiet(seed, 2).with(2000, 300, Fault::Hidden(1)).with(5000, 300, Fault::Hidden(1));
        plan.rules.pauses.most = 1;
        plan
    }) {
        assert_eq!(outcome.count_of("p2p_pause_refused"), 1);
        assert!(outcome.endings().contains(&FocusTimeout));
    }
    for outcome in holds("the others play on", |seed| {
        let mut plan = away(seed, 3);
        plan.rules.on_player_lost = OnPlayerLost::Continue;
        plan
    }) {
        let mut endings = outcome.endings();
        endings.sort_by_key(|reason| reason.name());
        assert_eq!(endings, [FocusTimeout, Normal, Normal], "{}", outcome.plan);
    }
}

#[test]
fn the_ending_arrives_after_the_scene_was_left() {
    // The deadline passes while the other is loading; it arrives at the end and hears of no game.
    for lasts in (29_000..36_000).step_by(100) {
        let plan = Plan::quiet(lasts, 2).with(2000, lasts, Fault::Reload(1));
        let outcome = run(&plan, false);
        check::all(&outcome).unwrap_or_else(|violation| panic!("{violation}\n{plan}"));
    }
}

#[test]
fn a_state_that_was_changed_is_found_and_made_anew() {
    let outcomes = holds("changed state", |seed| Plan::quiet(seed, 3).with(3000, 10, Fault::Corrupt(1)));
    assert_eq!((sum(&outcomes, REPAIRS), sum(&outcomes, RESUMED)), (20, 20));
}

#[test]
fn a_server_killed_in_mid_pause_goes_on_with_it() {
    let outcomes = holds("killed in mid-pause", |seed| {
        let offline = Plan::quiet(seed, 2).with(2000, 14_000, Fault::Offline(1));
        offline.with(6000 + seed * 100, 3000, Fault::ServerDown)
    });
    assert_eq!((sum(&outcomes, 0), sum(&outcomes, RESUMED)), (20, 20));
}

#[test]
fn the_others_play_on_without_one_who_does_not_come_back() {
    let outcomes = holds("plays on", |seed| {
        let mut plan = Plan::quiet(seed, 3).with(2000, 0, Fault::Offline((seed % 3) as u8));
        plan.troubles[0].lasts = Duration::MAX;
        plan.rules.pauses.timeout_millis = 5000;
        plan.rules.on_player_lost = OnPlayerLost::Continue;
        plan
    });
    assert_eq!(sum(&outcomes, RESUMED), 20);
    // Ten seconds of play, of which the lost one saw two.
    assert!(outcomes.iter().all(|outcome| outcome.counts()[5] > 2 * 250));
    holds("plays on after a reload and a late return", |seed| {
        let mut plan = Plan::quiet(seed, 3).with(2000, 9000, Fault::Offline((seed % 3) as u8));
        plan.rules.pauses.timeout_millis = 4000;
        plan.rules.on_player_lost = OnPlayerLost::Continue;
        plan.with(9500, 600, Fault::Reload(((seed + 1) % 3) as u8))
    });
}

/// A machine that is broken on purpose must be caught by the checker that is for it, and made shorter.
fn is_caught(sabotage: Sabotage, property: &str, plan: impl Fn(u64) -> Plan) {
    let caught = (0..20).find_map(|seed| {
        let plan = Plan { sabotage: Some(sabotage), ..plan(seed) };
        let violation = check::all(&run(&plan, false)).err()?;
        Some((plan, violation))
    });
    let (plan, violation) = caught.unwrap_or_else(|| panic!("{sabotage:?} was not caught"));
    assert_eq!(violation.property(), property, "{sabotage:?}: {violation}");
    let (shorter, violation) = shrink(&plan).unwrap();
    assert_eq!(violation.property(), property);
    assert!(shorter.troubles.len() <= plan.troubles.len());
}

#[test]
fn every_checker_catches_what_it_is_for() {
    let quiet = |seed| Plan::quiet(seed, 2);
    let offline = |seed| Plan::quiet(seed, 2).with(2000, 6000, Fault::Offline(1));
    let gone = |seed| {
        let mut plan = Plan::quiet(seed, 2).with(2000, 0, Fault::Offline(1));
        plan.troubles[0].lasts = Duration::MAX;
        plan
    };
    is_caught(Sabotage::ForgedUploads, "no confirmed input is lost or changed", quiet);
    is_caught(Sabotage::LyingHashes, "confirmed states are equal", |seed| {
        // One long episode: another begins from a state that is nobody's.
        let mut plan = Plan::quiet(seed, 2).with(2000, 10, Fault::Corrupt(1));
        (plan.rules.episodes, plan.rules.max_frames) = (1, 400);
        plan
    });
    is_caught(Sabotage::TwoEndings, "one ending, the same for all", quiet);
    is_caught(Sabotage::DoubleMessages, "every message once and in order", quiet);
    is_caught(Sabotage::NoResume, "all stand still or all run", offline);
    is_caught(Sabotage::NoDeadlines, "no one waits past the deadline", gone);
    is_caught(Sabotage::LostFrame, "data is complete", quiet);
    is_caught(Sabotage::NoLedger, "the ledger adds up", offline);
    is_caught(Sabotage::NeverBack, "once faults stop, all run within a bound", |seed| {
        let mut plan = Plan::quiet(seed, 2).with(2000, 8000, Fault::Offline(1));
        plan.rules.pauses.timeout_millis = 100_000;
        plan
    });
    is_caught(Sabotage::NeverBack, "once faults stop, everyone arrives", |seed| {
        let mut plan = Plan::quiet(seed, 2).with(2000, 8000, Fault::Offline(1));
        plan.rules.pauses.timeout_millis = 20_000;
        plan
    });
}
