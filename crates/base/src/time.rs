//! Time as a value that is passed in. No machine reads a clock.

use core::ops::{Add, AddAssign};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on one machine's monotonic clock, in microseconds since a start of that machine's choosing.
/// Moments of different machines do not compare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment so many microseconds after the clock's start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment so many milliseconds after the clock's start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the clock's start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// Milliseconds since the Unix epoch, as a wall clock told them. For records, never for deadlines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub u64);

/// When to wake a machine, and why: a log then says what it woke for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline<R> {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: R,
}

/// The earliest of some deadlines that may not be set.
pub fn earliest<R>(deadlines: impl IntoIterator<Item = Option<Deadline<R>>>) -> Option<Deadline<R>> {
    deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let (early, late) = (Timestamp::from_millis(1), Timestamp::from_millis(3));
        assert_eq!(late.saturating_since(early), Duration::from_millis(2));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
        assert_eq!(
            Timestamp::from_micros(u64::MAX) + Duration::from_secs(1),
            Timestamp::from_micros(u64::MAX)
        );
    }

    #[test]
    fn the_earliest_deadline_wins() {
        let at = |millis, reason| Some(Deadline { at: Timestamp::from_millis(millis), reason });
        assert_eq!(earliest([at(5, 'a'), None, at(2, 'b')]).map(|deadline| deadline.reason), Some('b'));
    }
}
