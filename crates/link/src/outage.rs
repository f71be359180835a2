//! What is done about a direct lane that does not deliver (L7).

use core::time::Duration;

use base::Timestamp;
use wire::lane::Cause;

/// The most ICE restarts in one outage.
pub const MAX_RESTARTS: u8 = 3;

/// How long the lane must have been bad without a break before a restart.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a restart may take.
const RESTART_LIMIT: Duration = Duration::from_secs(5);

/// How long a rebuild may take.
const REBUILD_LIMIT: Duration = Duration::from_secs(10);

/// How long the lane must have been good without a break before the outage is over.
const STABLE: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Restart ICE; which attempt, from 1.
    Restart(u8),
    /// Make the connection anew.
    Rebuild,
}

/// What a moment says of the lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Observed {
    Good,
    Bad,
    /// Nothing: what was true before it still is.
    Unclear,
}

/// What an outage knows of its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Connection {
    /// A restart cannot mend it.
    pub(crate) dead: bool,
    /// The browser has given it up, and a restart may mend it.
    pub(crate) failed: bool,
    /// Whether this end restarts.
    pub(crate) leads: bool,
}

/// From when the direct lane became suspect until it has been good for 2 s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outage {
    pub(crate) cause: Cause,
    condition: Condition,
    restarts: u8,
    rebuilt: bool,
    /// When the last attempt was begun, and until when it has time.
    begun: Timestamp,
    under_way: Option<Timestamp>,
    /// The last moment said nothing.
    unclear: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    BadSince(Timestamp),
    GoodSince(Timestamp),
}

impl Outage {
    pub(crate) fn new(cause: Cause, now: Timestamp) -> Self {
        Self {
            cause,
            condition: Condition::BadSince(now),
            restarts: 0,
            rebuilt: false,
            begun: now,
            under_way: None,
            unclear: false,
        }
    }

    /// What was begun before has time until then.
    pub(crate) fn wait_until(&mut self, limit: Timestamp) {
        self.under_way = Some(limit);
    }

    /// Learns what a moment says of the lane, over which something last came at `heard`. True when it has been good
    /// for long enough.
    pub(crate) fn observe(&mut self, observed: Observed, heard: Timestamp, now: Timestamp) -> bool {
        self.unclear = observed == Observed::Unclear;
        match (observed, self.condition) {
            // What came before it was bad does not say that it is good.
            (Observed::Good, Condition::BadSince(since)) if heard >= since => {
                self.condition = Condition::GoodSince(now);
            }
            (Observed::Bad, Condition::GoodSince(_)) => self.condition = Condition::BadSince(now),
            _ => {}
        }
        // Nor does it say that what was begun has succeeded.
        if observed == Observed::Good && heard > self.begun {
            self.under_way = None;
        }
        let stable = |since| now.saturating_since(since) >= STABLE;
        observed == Observed::Good && matches!(self.condition, Condition::GoodSince(since) if stable(since))
    }

    /// Whether the lane was bad when it was last clear.
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self.condition, Condition::BadSince(_))
    }

    /// For how long the lane has been bad without a break.
    pub(crate) fn bad_for(&self, now: Timestamp) -> Duration {
        match self.condition {
            Condition::BadSince(since) => now.saturating_since(since),
            Condition::GoodSince(_) => Duration::ZERO,
        }
    }

    /// What was begun has come to nothing: the browser says so.
    pub(crate) fn attempt_failed(&mut self) {
        self.under_way = None;
    }

    /// What to begin now, if anything; it is then under way.
    pub(crate) fn next_step(&mut self, connection: Connection, now: Timestamp) -> Option<Step> {
        let Condition::BadSince(since) = self.condition else { return None };
        if self.under_way.is_some_and(|limit| now < limit) {
            return None;
        }
        self.under_way = None;
        if connection.dead {
            return self.rebuild(now);
        }
        let due = connection.failed || now.saturating_since(since) >= PATIENCE;
        if !connection.leads || !due {
            return None;
        }
        if self.restarts == MAX_RESTARTS {
            return self.rebuild(now);
        }
        self.restarts += 1;
        (self.begun, self.under_way) = (now, Some(now + RESTART_LIMIT));
        Some(Step::Restart(self.restarts))
    }

    fn rebuild(&mut self, now: Timestamp) -> Option<Step> {
        if core::mem::replace(&mut self.rebuilt, true) {
            return None;
        }
        (self.begun, self.under_way) = (now, Some(now + REBUILD_LIMIT));
        Some(Step::Rebuild)
    }

    /// Whether the next clear moment must be waited for.
    pub(crate) fn is_unclear(&self) -> bool {
        self.unclear
    }

    /// When something may have to be done, unless all that is missing is a clear moment.
    pub(crate) fn poll_timeout(&self, leads: bool) -> Option<Timestamp> {
        match (self.condition, self.under_way) {
            (Condition::GoodSince(_), _) if self.unclear => None,
            (Condition::GoodSince(since), _) => Some(since + STABLE),
            (Condition::BadSince(_), Some(limit)) => Some(limit),
            (Condition::BadSince(since), None) if leads && !self.rebuilt => Some(since + PATIENCE),
            (Condition::BadSince(_), None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: Connection = Connection { dead: false, failed: false, leads: true };

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Every step of an outage in which nothing helps, with its time.
    fn steps(connection: Connection) -> Vec<(u64, Step)> {
        let mut outage = Outage::new(Cause::Silence, at(0));
        let mut steps = Vec::new();
        for millis in (0..60_000).step_by(10) {
            assert!(!outage.observe(Observed::Bad, at(millis), at(millis)));
            steps.extend(outage.next_step(connection, at(millis)).map(|step| (millis, step)));
        }
        steps
    }

    #[test]
    fn three_restarts_then_one_rebuild_then_nothing() {
        let restart = |at, attempt| (at, Step::Restart(attempt));
        let expected = [restart(1_000, 1), restart(6_000, 2), restart(11_000, 3), (16_000, Step::Rebuild)];
        assert_eq!(steps(LEADER), expected);
    }

    #[test]
    fn what_the_browser_has_given_up_is_restarted_at_once() {
        assert_eq!(steps(Connection { failed: true, ..LEADER })[0], (0, Step::Restart(1)));
    }

    #[test]
    fn what_cannot_be_restarted_is_rebuilt_at_once_by_either_side() {
        for leads in [true, false] {
            assert_eq!(steps(Connection { dead: true, leads, ..LEADER }), [(0, Step::Rebuild)]);
        }
    }

    #[test]
    fn one_side_leads() {
        assert_eq!(steps(Connection { leads: false, ..LEADER }), []);
    }

    #[test]
    fn a_good_moment_ends_what_is_under_way_and_two_good_seconds_the_outage() {
        let mut outage = Outage::new(Cause::Silence, at(0));
        assert_eq!(outage.next_step(LEADER, at(1_000)), Some(Step::Restart(1)));
        assert!(!outage.observe(Observed::Good, at(1_500), at(1_500)));
        assert!(!outage.observe(Observed::Bad, at(2_000), at(2_000)));
        assert_eq!(outage.next_step(LEADER, at(2_900)), None, "bad for less than a second");
        assert_eq!(outage.next_step(LEADER, at(3_000)), Some(Step::Restart(2)));
        assert!(!outage.observe(Observed::Good, at(3_500), at(3_500)));
        assert!(!outage.observe(Observed::Unclear, at(5_500), at(5_500)), "an unclear moment ends nothing");
        assert!(outage.observe(Observed::Good, at(5_510), at(5_510)));
    }
}
