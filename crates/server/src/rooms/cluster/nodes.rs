//! Which nodes live, and what time it is for all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base::{Timestamp, WallTime};
use room::replica::NodeId;

use crate::rooms::lock;
use crate::stage::wall_time;

/// How often a node says that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// After so long without an answer to that, who is on this node reaches others on it only.
const SILENCE: Duration = Duration::from_millis(2500);

/// For how long another node is believed to live that was heard of otherwise than by its own word: it has just begun, or the
/// store has.
const BENEFIT: Duration = Duration::from_secs(4);

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
    /// Since when others are known that are not among them.
    doubtful: HashMap<NodeId, Instant>,
}

impl Nodes {
    pub(super) fn new(own: NodeId) -> Self {
        let (living, doubtful) = Default::default();
        let known = Known { answered: Instant::now(), ahead: 0, living, doubtful };
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

    /// The store has answered: its time, asked for at `asked`, and who lives.
    pub(super) fn beaten(&self, asked: Instant, time: WallTime, living: BTreeSet<NodeId>) {
        let middle = self.clock().as_micros().saturating_sub(asked.elapsed().as_micros() as u64 / 2) / 1000;
        let mut known = lock(&self.known);
        known.answered = Instant::now();
        known.ahead = i64::try_from(i128::from(time.0) - i128::from(middle)).unwrap_or_default();
        known.doubtful.retain(|node, _| !living.contains(node));
        known.living = living;
    }

    /// Whether the store has answered lately.
    pub(super) fn is_answered(&self) -> bool {
        lock(&self.known).answered.elapsed() < SILENCE
    }

    /// Whether another node lives, for all that is known.
    pub(super) fn lives(&self, node: NodeId) -> bool {
        let mut known = lock(&self.known);
        if node == self.own || known.answered.elapsed() >= SILENCE || known.living.contains(&node) {
            return true;
        }
        known.doubtful.entry(node).or_insert_with(Instant::now).elapsed() < BENEFIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_in_the_list_is_given_time() {
        let nodes = Nodes::new(NodeId(1));
        nodes.beaten(Instant::now(), WallTime(5_000), BTreeSet::from([NodeId(1), NodeId(2)]));
        assert!(nodes.lives(NodeId(2)) && nodes.lives(NodeId(3)));
        lock(&nodes.known).doubtful.insert(NodeId(3), Instant::now().checked_sub(BENEFIT).unwrap());
        assert!(!nodes.lives(NodeId(3)));
        // Nobody is held for dead while the store does not answer.
        lock(&nodes.known).answered = Instant::now().checked_sub(SILENCE).unwrap();
        assert!(nodes.lives(NodeId(3)) && !nodes.is_answered());
        nodes.beaten(Instant::now(), WallTime(5_000), BTreeSet::from([NodeId(3)]));
        assert!(nodes.lives(NodeId(3)));
    }

    #[test]
    fn the_time_is_the_stores() {
        let nodes = Nodes::new(NodeId(1));
        for time in [1_000, 4_000_000_000_000] {
            nodes.beaten(Instant::now(), WallTime(time), BTreeSet::new());
            let now = nodes.now().as_micros() / 1000;
            assert!((time..time + 1000).contains(&now), "{now} is not {time}");
        }
    }
}
