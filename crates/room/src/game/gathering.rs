//! Before the first frame: environments are loaded, links are made and checked (S4). The link that passes is the game's.

use core::time::Duration;
use std::collections::BTreeMap;

use base::{Seat, SeatSet, Timestamp};
use serde::{Deserialize, Serialize};
use wire::lane::Lane;

/// What links must be like for a game to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinkRules {
    /// Over which lane it may go.
    pub require: RequiredLane,
    /// The longest round trip between any two, in milliseconds.
    pub max_rtt_millis: Option<u32>,
    /// How long a group has to load the environment and to pass, in milliseconds.
    pub limit_millis: u32,
}

impl Default for LinkRules {
    fn default() -> Self {
        Self { require: RequiredLane::Any, max_rtt_millis: None, limit_millis: 20_000 }
    }
}

/// The lanes over which a game may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequiredLane {
    /// Whichever carries.
    #[default]
    Any,
    /// The data channel, by TURN or not.
    Direct,
}

/// How long the others wait for one who is not connected, before there is a game to come back to.
const AWAY_LIMIT: Duration = Duration::from_secs(5);

/// What is known so far.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) ready: SeatSet,
    deadline: Timestamp,
    /// Since when somebody is not connected.
    pub(super) away: Option<Timestamp>,
    /// What the first has measured of its link to the second.
    links: BTreeMap<(Seat, Seat), Measured>,
}

/// What a page has measured of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) lane: Lane,
    pub(crate) rtt_millis: f32,
    /// Whether it stays at that.
    pub(crate) is_final: bool,
}

/// What is to be done about a group.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Wait,
    Go,
    /// Some pairs are not for this game.
    Fail(Vec<(Seat, Seat)>),
}

#[derive(PartialEq, Eq)]
enum Pair {
    Passed,
    Unknown,
    Failed,
}

impl Gathering {
    pub(super) const fn new(ready: SeatSet, deadline: Timestamp) -> Self {
        Self { ready, deadline, away: None, links: BTreeMap::new() }
    }

    /// When it is over, unless the game begins.
    pub(super) fn poll_timeout(&self) -> Timestamp {
        self.away.map_or(self.deadline, |since| self.deadline.min(since + AWAY_LIMIT))
    }

    /// Whether it takes longer than it may, whoever is here.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        now >= self.deadline
    }

    /// A seat has measured its link to another.
    pub(super) fn measure(&mut self, from: Seat, peer: Seat, measured: Measured) {
        self.links.insert((from, peer), measured);
    }

    /// A seat's page was loaded anew: everybody's link to it is made anew.
    pub(super) fn forget(&mut self, seat: Seat) {
        self.ready = SeatSet::EMPTY;
        self.links.retain(|&(from, peer), _| from != seat && peer != seat);
    }

    /// Whether a game of these seats may begin.
    pub(super) fn verdict(&self, seats: SeatSet, rules: LinkRules) -> Verdict {
        let failed = self.pairs(seats, rules, |pair| pair == Pair::Failed);
        if !failed.is_empty() {
            return Verdict::Fail(failed);
        }
        let is_ready = self.ready.len() == seats.len() && self.open(seats, rules).is_empty();
        if is_ready { Verdict::Go } else { Verdict::Wait }
    }

    /// The pairs that have measured their link and not passed.
    pub(super) fn refused(&self, seats: SeatSet, rules: LinkRules) -> Vec<(Seat, Seat)> {
        let measured = |&(a, b): &_| self.links.contains_key(&(a, b)) && self.links.contains_key(&(b, a));
        self.open(seats, rules).into_iter().filter(measured).collect()
    }

    /// The pairs that have not passed.
    pub(super) fn open(&self, seats: SeatSet, rules: LinkRules) -> Vec<(Seat, Seat)> {
        self.pairs(seats, rules, |pair| pair != Pair::Passed)
    }

    fn pairs(&self, seats: SeatSet, rules: LinkRules, wanted: impl Fn(Pair) -> bool) -> Vec<(Seat, Seat)> {
        let all = seats.iter().flat_map(|a| seats.iter().filter(move |&b| a < b).map(move |b| (a, b)));
        all.filter(|&(a, b)| wanted(self.pair(a, b, rules))).collect()
    }

    fn pair(&self, a: Seat, b: Seat, rules: LinkRules) -> Pair {
        if rules.require == RequiredLane::Any && rules.max_rtt_millis.is_none() {
            // Then a page is ready when it has a link, and there is nothing more to ask.
            return if self.ready.contains(a) || self.ready.contains(b) {
                Pair::Passed
            } else {
                Pair::Unknown
            };
        }
        let (Some(one), Some(other)) = (self.links.get(&(a, b)), self.links.get(&(b, a))) else {
            return Pair::Unknown;
        };
        let is_direct = [one.lane, other.lane] == [Lane::Direct; 2];
        if rules.require == RequiredLane::Direct && !is_direct {
            // A direct lane may come yet, and is as long as it is.
            return Pair::Unknown;
        }
        // A page that is busy measures too much, never too little.
        let round_trip = one.rtt_millis.min(other.rtt_millis);
        if rules.max_rtt_millis.is_some_and(|most| f64::from(round_trip) > f64::from(most)) {
            return if one.is_final && other.is_final { Pair::Failed } else { Pair::Unknown };
        }
        Pair::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(number: u8) -> Seat {
        Seat::new(number).unwrap()
    }

    /// A group of three, whose links are (from, to, lane, ms), all ready.
    fn verdict(rules: LinkRules, links: &[(u8, u8, Lane, f32)]) -> Verdict {
        let seats: SeatSet = Seat::all(3).collect();
        let mut gathering = Gathering::new(seats, Timestamp::default());
        for &(from, to, lane, rtt) in links {
            gathering.measure(
                seat(from),
                seat(to),
                Measured { lane, rtt_millis: rtt, is_final: rtt > 100.0 },
            );
        }
        gathering.verdict(seats, rules)
    }

    const D: Lane = Lane::Direct;
    const S: Lane = Lane::Server;

    #[test]
    fn whoever_is_ready_may_play_where_nothing_is_asked() {
        assert_eq!(verdict(LinkRules::default(), &[]), Verdict::Go);
    }

    #[test]
    fn every_pair_must_be_fast_enough_and_the_slow_ones_are_named() {
        let rules = LinkRules { max_rtt_millis: Some(150), ..LinkRules::default() };
        let fast = [(0, 1, D, 20.0), (1, 0, D, 150.0), (0, 2, D, 5.0), (2, 0, D, 5.0), (1, 2, S, 90.0)];
        assert_eq!(verdict(rules, &fast), Verdict::Wait, "one has not said anything");
        assert_eq!(verdict(rules, &[&fast[..], &[(2, 1, S, 400.0)]].concat()), Verdict::Go, "a busy page");
        let slow = [&fast[..4], &[(1, 2, S, 151.0), (2, 1, D, 400.0)]].concat();
        assert_eq!(verdict(rules, &slow), Verdict::Fail(vec![(seat(1), seat(2))]));
        let strict = LinkRules { max_rtt_millis: Some(10), ..rules };
        assert_eq!(verdict(strict, &fast[..2]), Verdict::Wait, "a page that was just loaded may be busy");
    }

    #[test]
    fn a_direct_lane_is_waited_for() {
        let rules = LinkRules { require: RequiredLane::Direct, ..LinkRules::default() };
        let mut links = vec![(0, 1, D, 20.0), (1, 0, D, 20.0), (0, 2, D, 5.0), (2, 0, D, 5.0)];
        links.extend([(1, 2, D, 9.0), (2, 1, S, 90.0)]);
        assert_eq!(verdict(rules, &links), Verdict::Wait);
        links.push((2, 1, D, 9.0));
        assert_eq!(verdict(rules, &links), Verdict::Go);
    }

    #[test]
    fn a_page_that_was_loaded_anew_is_measured_anew() {
        let rules = LinkRules { max_rtt_millis: Some(150), ..LinkRules::default() };
        let seats: SeatSet = Seat::all(2).collect();
        let mut gathering = Gathering::new(seats, Timestamp::default());
        let near = Measured { lane: D, rtt_millis: 1.0, is_final: false };
        gathering.measure(seat(0), seat(1), near);
        gathering.measure(seat(1), seat(0), near);
        assert_eq!(gathering.verdict(seats, rules), Verdict::Go);
        gathering.forget(seat(1));
        gathering.ready = seats;
        assert_eq!(gathering.verdict(seats, rules), Verdict::Wait);
        assert_eq!(gathering.open(seats, rules), [(seat(0), seat(1))]);
    }
}
