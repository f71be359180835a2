//! How far a seat is ahead of a peer, and how much slower or faster it should tick for that (N3).

use core::time::Duration;

use base::Frame;

/// Smoothing of what single packets say: a sixteenth of what is new, half a second at 30 packets a second.
const GAIN: f64 = 1.0 / 16.0;

/// Being less than this far ahead or behind, in frames, is left alone.
const DEAD_ZONE: f64 = 0.75;

/// The pace changes by this share for every frame ahead or behind, at most by [`MOST`]: nobody feels 10 %.
const PER_FRAME: f64 = 0.03;
const MOST: f64 = 0.1;

/// Further behind than this, in frames, a seat ticks at twice the rate: it stood still, and the others wait.
const FAR_BEHIND: f64 = -4.0;

/// What is known of one peer's progress.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Advantage {
    local: Option<f64>,
    remote: f64,
}

impl Advantage {
    /// Learns from a packet: where both stood when it came, and what the peer believes.
    pub(crate) fn learn(
        &mut self,
        own: Frame,
        peers: Frame,
        one_way: Duration,
        interval: Duration,
        remote: i8,
    ) {
        let travelled = one_way.as_secs_f64() / interval.as_secs_f64();
        let ahead = (f64::from(own) - f64::from(peers) - travelled).clamp(-100.0, 100.0);
        let smoothed = self.local.unwrap_or(ahead);
        self.local = Some(smoothed + GAIN * (ahead - smoothed));
        self.remote += GAIN * (f64::from(remote) - self.remote);
    }

    /// What the next packet tells the peer.
    pub(crate) fn told(&self) -> i8 {
        self.local.unwrap_or(0.0).round() as i8
    }

    /// How many frames this seat is really ahead; the path's delay, which both beliefs hold, falls out.
    fn ahead(&self) -> Option<f64> {
        self.local.map(|local| (local - self.remote) / 2.0)
    }
}

/// How many nominal intervals the next tick should take: the slowest peer sets the pace.
pub(crate) fn stretch(peers: impl Iterator<Item = Advantage>) -> f64 {
    let Some(ahead) = peers.filter_map(|peer| peer.ahead()).reduce(f64::max) else { return 1.0 };
    if ahead < FAR_BEHIND {
        0.5
    } else if ahead.abs() < DEAD_ZONE {
        1.0
    } else {
        1.0 + (ahead * PER_FRAME).clamp(-MOST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(33);

    fn settled(own: Frame, peers: Frame, remote: i8) -> Advantage {
        let mut advantage = Advantage::default();
        for _ in 0..200 {
            advantage.learn(own, peers, Duration::from_millis(50), INTERVAL, remote);
        }
        advantage
    }

    #[test]
    fn equal_clocks_are_left_alone_however_long_the_path() {
        // Both believe to be behind by the same: the estimate of the delay is wrong, not the clocks.
        assert_eq!(stretch([settled(100, 98, 1), settled(100, 102, -3)].into_iter()), 1.0);
    }

    #[test]
    fn who_is_ahead_slows_down_and_who_is_behind_speeds_up() {
        let slower = stretch([settled(104, 100, -2)].into_iter());
        assert!((1.05..=1.1).contains(&slower), "{slower}");
        let faster = stretch([settled(100, 101, 2)].into_iter());
        assert!((0.9..1.0).contains(&faster), "{faster}");
    }

    #[test]
    fn who_stood_still_catches_up_at_twice_the_rate() {
        assert_eq!(stretch([settled(100, 106, 7)].into_iter()), 0.5);
    }

    #[test]
    fn the_slowest_peer_sets_the_pace() {
        let pace = stretch([settled(104, 100, -2), settled(100, 106, 7)].into_iter());
        assert!(pace > 1.0, "{pace}");
    }
}
