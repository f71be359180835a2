//! Ending where others go on: load balancers hear first that this node is about to stop, and sockets that another node can serve as
//! well are closed one after another, so that those who come back do not come all in the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The part of a turn by which each differs from the one before it, in units of 2^-32: the golden ratio's. However many turns there
/// are, and whichever of them are still waited for, they lie about as far from each other as they can (Knuth, TAOCP 3, 6.4).
const STEP: u32 = 0x9E37_79B9;

/// When this process lets go of what is open.
#[derive(Clone)]
pub(crate) struct Drain {
    inner: Arc<Inner>,
}

struct Inner {
    /// How long it takes.
    takes: Duration,
    begun: watch::Sender<Option<Instant>>,
    turns: AtomicU32,
}

impl Drain {
    pub(crate) fn new(takes: Duration) -> Self {
        let inner = Inner { takes, begun: watch::Sender::new(None), turns: AtomicU32::new(0) };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn begin(&self) {
        self.inner
            .begun
            .send_if_modified(|begun| begun.is_none().then(|| *begun = Some(Instant::now())).is_some());
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.inner.begun.borrow().is_some()
    }

    /// Answers when it begins, with the moment at which it did.
    pub(crate) async fn begun(&self) -> Instant {
        let mut begun = self.inner.begun.subscribe();
        let known = begun.wait_for(Option::is_some).await.ok().and_then(|begun| *begun);
        match known {
            Some(begun) => begun,
            // The sender is in this very value.
            None => std::future::pending().await,
        }
    }

    /// Answers when it is over.
    pub(crate) async fn over(&self) {
        sleep_until(self.begun().await + self.inner.takes).await;
    }

    /// Answers when it is a socket's turn to close.
    pub(crate) async fn turn(&self) {
        let number = self.inner.turns.fetch_add(1, Ordering::Relaxed);
        let opened = Instant::now();
        let begun = self.begun().await;
        sleep_until(turn(number, begun + self.inner.takes, begun.max(opened))).await;
    }
}

/// When a socket's turn comes, by its number, until everything is over; one that was opened late has it in what is left.
fn turn(number: u32, end: Instant, from: Instant) -> Instant {
    let share = f64::from(number.wrapping_mul(STEP)) / f64::from(u32::MAX);
    from + end.saturating_duration_since(from).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn turns_are_spread_evenly_whoever_is_still_there() {
        let begun = Instant::now();
        for (first, count) in [(0, 2), (3, 7), (1_000_000, 200), (u32::MAX - 50, 100)] {
            let turns = (0..count).map(|at: u32| turn(at.wrapping_add(first), begun + SECOND, begun) - begun);
            let mut turns: Vec<_> = turns.collect();
            turns.sort_unstable();
            turns.push(SECOND);
            let mut before = Duration::ZERO;
            for next in turns {
                assert!(next - before <= SECOND * 2 / count, "{first}: {before:?} {next:?}");
                before = next;
            }
        }
    }

    #[test]
    fn who_comes_late_has_its_turn_in_what_is_left() {
        let begun = Instant::now();
        let (late, end) = (begun + SECOND * 3 / 4, begun + SECOND);
        assert!((0..100).map(|number| turn(number, end, late)).all(|turn| turn >= late && turn <= end));
        assert_eq!(turn(7, end, end + SECOND), end + SECOND, "its time is over");
        assert_eq!(turn(7, begun, begun), begun, "there is none");
    }
}
