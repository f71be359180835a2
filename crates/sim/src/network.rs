//! The paths between seats: unordered, unreliable, as a data channel without retransmission is, and worse.

use core::time::Duration;

use base::{MAX_SEATS, Rng};

/// What the paths do to packets. Each packet's fate is its own, so packets overtake each other.
#[derive(Clone, Copy, Debug)]
pub struct Paths {
    /// The share of packets that vanish.
    pub loss: f64,
    /// The share of packets that come twice.
    pub repeats: f64,
    /// The least time under way.
    pub delay: Duration,
    /// The most time on top of that.
    pub jitter: Duration,
    /// How often one direction of one pair is cut, a second and direction.
    pub cuts_per_second: f64,
    /// The longest that it stays cut.
    pub longest_cut: Duration,
}

/// All paths of one game.
#[derive(Debug)]
pub struct Network {
    paths: Paths,
    faults_end: Duration,
    rng: Rng,
    /// Until when each direction is cut, and from when on a cut may begin again.
    cut_until: [[Duration; MAX_SEATS]; MAX_SEATS],
    next_cut: [[Duration; MAX_SEATS]; MAX_SEATS],
    /// Packets that did not arrive.
    pub lost: u64,
}

impl Network {
    /// Paths over which nothing has gone yet.
    #[must_use]
    pub fn new(paths: Paths, faults_end: Duration, mut rng: Rng) -> Self {
        let mut next_cut = [[Duration::MAX; MAX_SEATS]; MAX_SEATS];
        for next in next_cut.iter_mut().flatten() {
            *next = until_next(&mut rng, paths.cuts_per_second);
        }
        Self {
            paths,
            faults_end,
            rng,
            cut_until: [[Duration::ZERO; MAX_SEATS]; MAX_SEATS],
            next_cut,
            lost: 0,
        }
    }

    /// When a packet that is sent now arrives: never, once or twice.
    pub fn arrivals(&mut self, from: usize, to: usize, now: Duration) -> [Option<Duration>; 2] {
        if now >= self.faults_end {
            return [Some(now + self.time_under_way()), None];
        }
        let next = &mut self.next_cut[from][to];
        if now >= *next {
            let length = self.paths.longest_cut.mul_f64(self.rng.unit());
            self.cut_until[from][to] = now + length;
            *next = now
                .saturating_add(length)
                .saturating_add(until_next(&mut self.rng, self.paths.cuts_per_second));
        }
        if now < self.cut_until[from][to] || self.rng.chance(self.paths.loss) {
            self.lost += 1;
            return [None, None];
        }
        let first = now + self.time_under_way();
        let second = self.rng.chance(self.paths.repeats).then(|| now + self.time_under_way());
        [Some(first), second]
    }

    fn time_under_way(&mut self) -> Duration {
        self.paths.delay + self.paths.jitter.mul_f64(self.rng.unit())
    }
}

/// How long until something happens that happens so often: exponentially distributed.
pub(crate) fn until_next(rng: &mut Rng, per_second: f64) -> Duration {
    if per_second <= 0.0 {
        return Duration::MAX;
    }
    Duration::from_secs_f64(-(1.0 - rng.unit()).ln() / per_second)
}
