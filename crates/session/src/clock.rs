//! When the next frame is due.

use core::time::Duration;

use base::Timestamp;

/// How many ticks are made up after the driver was late; what is older is dropped, and the pace mends it. At
/// 30 frames a second, a quarter of a second.
const MAX_LATE_TICKS: u32 = 8;

/// Ticks at a nominal rate that the pace may bend.
#[derive(Clone, Debug)]
pub(crate) struct FrameClock {
    interval: Duration,
    next: Timestamp,
}

impl FrameClock {
    pub(crate) fn new(fps: u16, now: Timestamp) -> Self {
        Self { interval: Duration::from_secs(1) / u32::from(fps.max(1)), next: now }
    }

    /// The nominal time between two frames.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// When the next tick is due.
    pub(crate) fn next(&self) -> Timestamp {
        self.next
    }

    /// Whether a tick is due; if so, the next is set `stretch` intervals later.
    pub(crate) fn tick(&mut self, now: Timestamp, stretch: f64) -> bool {
        if now < self.next {
            return false;
        }
        if now.saturating_since(self.next) > self.interval * MAX_LATE_TICKS {
            self.next = now;
        }
        self.next += self.interval.mul_f64(stretch);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(clock: &mut FrameClock, now: Timestamp, stretch: f64) -> usize {
        (0..100).take_while(|_| clock.tick(now, stretch)).count()
    }

    #[test]
    fn a_second_has_as_many_ticks_as_frames() {
        let mut clock = FrameClock::new(60, Timestamp::from_millis(0));
        let count: usize =
            (0..1000).map(|millis| ticks(&mut clock, Timestamp::from_millis(millis), 1.0)).sum();
        assert_eq!(count, 60);
    }

    #[test]
    fn a_late_driver_makes_up_its_ticks() {
        let mut clock = FrameClock::new(30, Timestamp::from_millis(0));
        assert_eq!(ticks(&mut clock, Timestamp::from_millis(0), 1.0), 1);
        assert_eq!(ticks(&mut clock, Timestamp::from_millis(200), 1.0), 6);
    }

    #[test]
    fn a_frozen_page_does_not_owe_an_hour_of_ticks() {
        let mut clock = FrameClock::new(30, Timestamp::from_millis(0));
        assert_eq!(ticks(&mut clock, Timestamp::from_millis(3_600_000), 1.0), 1);
    }
}
