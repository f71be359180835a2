//! Which nodes live, and what time it is for all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base::{Timestamp, WallTime};
use live::Beat;
use room::replica::NodeId;

use crate::rooms::lock;
use crate::stage::wall_time;

/// How often a node says that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// After so long without an answer to that, who is on this node reaches others on it only.
const SILENCE: Duration = Duration::from_millis(2500);

/// For how long another node is believed to live that was never among those that the store tells: it may have just begun.
const BENEFIT: Duration = Duration::from_secs(4);

/// Of how many nodes it is remembered that they are gone: as many as may still be in a room's log.
const GONE: usize = 1024;

/// What is known of nodes.
pub(super) struct Nodes {
    own: NodeId,
    /// The clock: the wall's at the start, and monotonic from then on.
    started: (Instant, WallTime),
    known: Mutex<Known>,
}

struct Known {
    /// When the store last answered.
    answered: Instant,
    /// How far its clock is ahead of this node's, in milliseconds.
    ahead: i64,
    living: BTreeSet<NodeId>,
    /// Whether the store tells all that live.
    is_whole: bool,
    /// Those that lived, and do no more.
    gone: BTreeSet<NodeId>,
    /// Since when others are known, of which the store has never told.
    doubtful: HashMap<NodeId, Instant>,
}

impl Nodes {
    pub(super) fn new(own: NodeId) -> Self {
        let (living, gone, doubtful) = Default::default();
        let known = Known { answered: Instant::now(), ahead: 0, living, is_whole: false, gone, doubtful };
        Self { own, started: (Instant::now(), wall_time()), known: Mutex::new(known) }
    }

    fn clock(&self) -> Timestamp {
        let (start, wall) = self.started;
        Timestamp::from_millis(wall.0) + start.elapsed()
    }

    /// The store's time, as well as this node knows it.
    pub(super) fn now(&self) -> Timestamp {
        let ahead = lock(&self.known).ahead;
        let by = Duration::from_millis(ahead.unsigned_abs());
        let clock = self.clock();
        if ahead >= 0 {
            return clock + by;
        }
        Timestamp::from_micros(clock.as_micros().saturating_sub(by.as_micros() as u64))
    }

    /// The store has answered: its time, asked for at `asked`, and who lives. Tells whether some do no more.
    pub(super) fn beaten(&self, asked: Instant, Beat { time, nodes, is_whole }: Beat) -> bool {
        let middle = self.clock().as_micros().saturating_sub(asked.elapsed().as_micros() as u64 / 2) / 1000;
        let mut known = lock(&self.known);
        known.answered = Instant::now();
        known.ahead = i64::try_from(i128::from(time.0) - i128::from(middle)).unwrap_or_default();
        known.is_whole = is_whole;
        if !is_whole {
            known.living.extend(nodes);
            return false;
        }
        known.doubtful.retain(|node, _| !nodes.contains(node));
        let before = std::mem::replace(&mut known.living, nodes);
        let gone: Vec<_> = before.difference(&known.living).copied().collect();
        known.gone.extend(&gone);
        while known.gone.len() > GONE {
            known.gone.pop_first();
        }
        !gone.is_empty()
    }

    /// Whether the store has answered lately.
    pub(super) fn is_answered(&self) -> bool {
        lock(&self.known).answered.elapsed() < SILENCE
    }

    /// Whether another node lives, for all that is known.
    pub(super) fn lives(&self, node: NodeId) -> bool {
        let mut known = lock(&self.known);
        let is_known = known.is_whole && known.answered.elapsed() < SILENCE;
        if node == self.own || !is_known || known.living.contains(&node) {
            return true;
        }
        if known.gone.contains(&node) {
            return false;
        }
        known.doubtful.entry(node).or_insert_with(Instant::now).elapsed() < BENEFIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(nodes: &[u64], is_whole: bool) -> Beat {
        Beat { time: WallTime(5_000), nodes: nodes.iter().copied().map(NodeId).collect(), is_whole }
    }

    #[test]
    fn who_is_not_told_of_is_given_time_and_who_is_told_of_no_more_is_not() {
        let nodes = Nodes::new(NodeId(1));
        assert!(!nodes.beaten(Instant::now(), beat(&[1, 2], true)));
        assert!(nodes.lives(NodeId(2)) && nodes.lives(NodeId(3)));
        lock(&nodes.known).doubtful.insert(NodeId(3), Instant::now().checked_sub(BENEFIT).unwrap());
        assert!(!nodes.lives(NodeId(3)));
        assert!(!nodes.beaten(Instant::now(), beat(&[1, 2, 3], true)) && nodes.lives(NodeId(3)));
        assert!(nodes.beaten(Instant::now(), beat(&[1, 2], true)) && !nodes.lives(NodeId(3)));
        // A store that is new does not know all yet, and one that does not answer may have heard from anybody.
        assert!(!nodes.beaten(Instant::now(), beat(&[1], false)) && nodes.lives(NodeId(3)));
        assert!(!nodes.beaten(Instant::now(), beat(&[1, 2], true)) && !nodes.lives(NodeId(3)));
        lock(&nodes.known).answered = Instant::now().checked_sub(SILENCE).unwrap();
        assert!(nodes.lives(NodeId(3)) && !nodes.is_answered());
    }

    #[test]
    fn the_time_is_the_stores() {
        let nodes = Nodes::new(NodeId(1));
        for time in [1_000, 4_000_000_000_000] {
            nodes.beaten(Instant::now(), Beat { time: WallTime(time), ..beat(&[], true) });
            let now = nodes.now().as_micros() / 1000;
            assert!((time..time + 1000).contains(&now), "{now} is not {time}");
        }
    }
}
