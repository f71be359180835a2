//! What happens to packets on their way from one host to another.

use std::time::Duration;

use base::Rng;

/// One direction between two hosts.
#[derive(Clone, Debug)]
pub(crate) struct Impairment {
    /// The time that every packet takes.
    pub(crate) delay: Duration,
    /// At most so much more or less.
    pub(crate) jitter: Duration,
    /// The share of packets that is lost.
    pub(crate) loss: f64,
    /// How many are lost in a row, on average.
    pub(crate) burst: f64,
    /// Whether packets may overtake each other.
    pub(crate) reorder: bool,
    /// Nothing passes.
    pub(crate) cut: bool,
    flap: Option<(Duration, Duration)>,
    losing: bool,
    last: Duration,
    pub(crate) passed: u64,
    pub(crate) lost: u64,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            reorder: false,
            cut: false,
            flap: None,
            losing: false,
            last: Duration::ZERO,
            passed: 0,
            lost: 0,
        }
    }
}

impl Impairment {
    /// Up and down by turns from now on; both zero ends it.
    pub(crate) fn flap(&mut self, up: Duration, down: Duration) {
        self.flap = (!(up + down).is_zero()).then_some((up, down));
    }

    /// When a packet that is sent now arrives; `None` when it does not.
    pub(crate) fn arrival(&mut self, now: Duration, rng: &mut Rng) -> Option<Duration> {
        if self.cut || self.is_down(now) || self.loses(rng) {
            self.lost += 1;
            return None;
        }
        self.passed += 1;
        let varied = self.jitter.mul_f64(2.0 * rng.unit());
        let mut arrival = (now + self.delay + varied).saturating_sub(self.jitter).max(now);
        if !self.reorder {
            arrival = arrival.max(self.last);
            self.last = arrival;
        }
        Some(arrival)
    }

    fn is_down(&self, now: Duration) -> bool {
        self.flap.is_some_and(|(up, down)| {
            let period = (up + down).as_nanos();
            now.as_nanos() % period >= up.as_nanos()
        })
    }

    /// Gilbert's model: packets are lost while a bad state lasts.
    fn loses(&mut self, rng: &mut Rng) -> bool {
        if self.loss <= 0.0 {
            return false;
        }
        let ends = 1.0 / self.burst;
        let begins = (ends * self.loss / (1.0 - self.loss).max(1e-9)).min(1.0);
        self.losing = if self.losing { !rng.chance(ends) } else { rng.chance(begins) };
        self.losing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(impairment: &mut Impairment, count: u64) -> Vec<Option<Duration>> {
        let rng = &mut Rng::from_seed(7);
        (0..count).map(|at| impairment.arrival(Duration::from_millis(at), rng)).collect()
    }

    #[test]
    fn so_much_is_lost_in_bursts_of_that_length() {
        let mut impairment = Impairment { loss: 0.3, burst: 5.0, ..Impairment::default() };
        let lost: Vec<bool> = arrivals(&mut impairment, 100_000).iter().map(Option::is_none).collect();
        let share = lost.iter().filter(|&&lost| lost).count() as f64 / 100_000.0;
        let bursts = lost.windows(2).filter(|pair| pair == &[false, true]).count() as f64;
        assert!((0.28..0.32).contains(&share), "{share}");
        let length = share * 100_000.0 / bursts;
        assert!((4.7..5.3).contains(&length), "{length}");
    }

    #[test]
    fn packets_overtake_only_when_they_may() {
        let delayed = |reorder| {
            let millis = Duration::from_millis;
            let mut impairment =
                Impairment { delay: millis(100), jitter: millis(75), reorder, ..Impairment::default() };
            let arrivals: Vec<_> = arrivals(&mut impairment, 1000).into_iter().flatten().collect();
            assert!(arrivals.iter().zip(0..).all(|(&arrival, sent)| arrival >= millis(sent + 25)));
            arrivals.is_sorted()
        };
        assert!(!delayed(true));
        assert!(delayed(false));
    }

    #[test]
    fn a_flapping_path_is_down_for_its_share() {
        let mut impairment = Impairment::default();
        impairment.flap(Duration::from_millis(600), Duration::from_millis(400));
        arrivals(&mut impairment, 10_000);
        assert_eq!((impairment.passed, impairment.lost), (6000, 4000));
    }
}
