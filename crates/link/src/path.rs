//! What sequence numbers and echoes tell about one path.

use core::time::Duration;

use base::Timestamp;
use wire::packet::Echo;

use crate::PathQuality;

/// How many packets a path remembers: at 60 packets a second, four seconds.
const REMEMBERED: usize = 256;

/// Of how many packets the loss is counted: at 30 packets a second, two seconds. At most 64, one bit each.
const LOSS_WINDOW: u32 = 60;

/// A sequence number so far ahead of the newest is taken for the sender's, not for a loss of all between: the
/// loss window is begun anew.
const JUMP: u32 = 4096;

/// RFC 6298's and RFC 3550's smoothing: an eighth and a sixteenth of what is new.
const ROUND_TRIP_GAIN: f64 = 1.0 / 8.0;
const JITTER_GAIN: f64 = 1.0 / 16.0;

/// Of so many round trips one after another the middle one counts.
const CHECKED: usize = 5;

/// When so long was measured, and so many round trips, a path is not taken for a better one any more: a page that was busy,
/// as it is when it has just been loaded, has had its time.
const CHECK_LENGTH: Duration = Duration::from_secs(3);
const CHECKED_AT_LEAST: u32 = 30;

/// The state of one path, both directions.
#[derive(Debug)]
pub(crate) struct Path {
    next_sequence: u32,
    sent_at: [Timestamp; REMEMBERED],
    newest: Option<Received>,
    /// Bit *n*: packet `newest - n` has come.
    seen: u64,
    /// How many packets there could have been, up to a full window.
    span: u32,
    round_trip_micros: Option<f64>,
    check: Check,
    spacing: Spacing,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    sequence: u32,
    at: Timestamp,
}

/// How long a path is, whatever pages do.
#[derive(Clone, Copy, Debug, Default)]
struct Check {
    last: [Duration; CHECKED],
    count: u32,
    /// When the first one was measured.
    since: Option<Timestamp>,
    is_final: bool,
    /// The least of what was the middle one of the last round trips.
    best: Option<Duration>,
}

/// The time between packets, and how much it varies.
#[derive(Clone, Copy, Debug, Default)]
struct Spacing {
    mean_micros: Option<f64>,
    jitter_micros: Option<f64>,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            next_sequence: 0,
            sent_at: [Timestamp::default(); REMEMBERED],
            newest: None,
            seen: 0,
            span: 0,
            round_trip_micros: None,
            check: Check::default(),
            spacing: Spacing::default(),
        }
    }
}

impl Path {
    /// Another path begins: what was measured says nothing about it. Sequence numbers go on.
    pub(crate) fn forget_measurements(&mut self) {
        self.round_trip_micros = None;
        self.check = Check::default();
        self.spacing = Spacing::default();
    }

    /// Counts a packet out; gives its sequence number, and the echo of the newest one that came.
    pub(crate) fn send(&mut self, now: Timestamp) -> (u32, Option<Echo>) {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        self.sent_at[sequence as usize % REMEMBERED] = now;
        let echo = self.newest.map(|newest| Echo {
            sequence: newest.sequence,
            held_micros: u32::try_from(now.saturating_since(newest.at).as_micros()).unwrap_or(u32::MAX),
        });
        (sequence, echo)
    }

    /// Counts a packet in; false when it came before or is too old to know.
    pub(crate) fn receive(&mut self, sequence: u32, now: Timestamp) -> bool {
        let Some(newest) = self.newest else {
            self.restart(sequence, now);
            return true;
        };
        let ahead = sequence.wrapping_sub(newest.sequence);
        let behind = newest.sequence.wrapping_sub(sequence);
        if behind < 64 {
            let bit = 1_u64 << behind;
            let new = self.seen & bit == 0;
            self.seen |= bit;
            return new;
        }
        if ahead > u32::MAX / 2 {
            return false;
        }
        if ahead > JUMP {
            self.restart(sequence, now);
            return true;
        }
        self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
        self.span = (self.span + ahead).min(LOSS_WINDOW);
        self.spacing.add(now.saturating_since(newest.at), ahead);
        self.newest = Some(Received { sequence, at: now });
        true
    }

    fn restart(&mut self, sequence: u32, now: Timestamp) {
        self.newest = Some(Received { sequence, at: now });
        self.seen = 1;
        self.span = 1;
    }

    /// Learns the round trip. An echo of a packet that was never sent, or was sent too long ago, says nothing.
    pub(crate) fn echoed(&mut self, echo: Echo, now: Timestamp) {
        let age = self.next_sequence.wrapping_sub(1).wrapping_sub(echo.sequence);
        if age as usize >= REMEMBERED || age >= self.next_sequence {
            return;
        }
        let sent_at = self.sent_at[echo.sequence as usize % REMEMBERED];
        let held = Duration::from_micros(u64::from(echo.held_micros));
        let Some(round_trip) = now.saturating_since(sent_at).checked_sub(held) else { return };
        self.check.add(round_trip, now);
        let micros = round_trip.as_secs_f64() * 1e6;
        let smoothed = self.round_trip_micros.unwrap_or(micros);
        self.round_trip_micros = Some(smoothed + ROUND_TRIP_GAIN * (micros - smoothed));
    }

    /// How long the path is, once that is known, and whether that is the last word.
    pub(crate) fn checked(&self) -> Option<(Duration, bool)> {
        Some((self.check.best?, self.check.is_final))
    }

    pub(crate) fn last_heard(&self) -> Option<Timestamp> {
        self.newest.map(|newest| newest.at)
    }

    pub(crate) fn quality(&self) -> PathQuality {
        let micros = |value: f64| Duration::from_secs_f64(value.max(0.0) / 1e6);
        PathQuality {
            round_trip: self.round_trip_micros.map(micros),
            loss: self.loss(),
            jitter: self.spacing.jitter_micros.map(micros),
        }
    }

    fn loss(&self) -> Option<f64> {
        if self.span < LOSS_WINDOW {
            return None;
        }
        let window = (1_u64 << LOSS_WINDOW) - 1;
        let come = (self.seen & window).count_ones();
        Some(1.0 - f64::from(come) / f64::from(LOSS_WINDOW))
    }
}

impl Check {
    fn add(&mut self, round_trip: Duration, now: Timestamp) {
        if self.is_final {
            return;
        }
        let since = *self.since.get_or_insert(now);
        self.last[self.count as usize % CHECKED] = round_trip;
        self.count += 1;
        self.is_final = self.count >= CHECKED_AT_LEAST && now.saturating_since(since) >= CHECK_LENGTH;
        if self.count as usize >= CHECKED {
            let mut sorted = self.last;
            sorted.sort_unstable();
            let middle = sorted[CHECKED / 2];
            self.best = Some(self.best.map_or(middle, |best| best.min(middle)));
        }
    }
}

impl Spacing {
    /// Learns from the time that `count` packets took. The mean spacing stands for the sender's, which packets
    /// do not carry; what deviates from it is the path's (and the sender's own unsteadiness).
    fn add(&mut self, took: Duration, count: u32) {
        let micros = took.as_secs_f64() * 1e6;
        let mean = self.mean_micros.unwrap_or(micros / f64::from(count));
        let deviation = (micros - mean * f64::from(count)).abs();
        let jitter = self.jitter_micros.unwrap_or(0.0);
        self.jitter_micros = Some(jitter + JITTER_GAIN * (deviation - jitter));
        self.mean_micros = Some(mean + JITTER_GAIN * (micros / f64::from(count) - mean));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_round_trip_leaves_out_the_time_that_the_peer_held_the_packet() {
        let mut path = Path::default();
        let (sequence, _) = path.send(at(0));
        path.echoed(Echo { sequence, held_micros: 30_000 }, at(70));
        assert_eq!(path.quality().round_trip, Some(Duration::from_millis(40)));
    }

    /// Round trips, measured at a time in milliseconds.
    fn measure(path: &mut Path, time: u64, round_trips: &[u64]) {
        for &millis in round_trips {
            let (sequence, _) = path.send(at(time - millis));
            path.echoed(Echo { sequence, held_micros: 0 }, at(time));
        }
    }

    #[test]
    fn a_check_takes_the_middle_of_five_round_trips_and_gives_a_busy_page_its_time() {
        let mut path = Path::default();
        let checked = |path: &Path| path.checked().map(|(time, last)| (time.as_millis(), last));
        measure(&mut path, 1000, &[900, 21, 300, 400]);
        assert_eq!(checked(&path), None);
        measure(&mut path, 1100, &[500]);
        assert_eq!(checked(&path), Some((400, false)));
        measure(&mut path, 3900, &[22, 20, 23, 21, 900]);
        assert_eq!(checked(&path), Some((22, false)));
        measure(&mut path, 4000, &[700; 10]);
        assert_eq!(checked(&path), Some((22, false)), "too few");
        measure(&mut path, 4100, &[700; 10]);
        assert_eq!(checked(&path), Some((22, true)));
        measure(&mut path, 5000, &[1; 20]);
        assert_eq!(checked(&path), Some((22, true)), "the last word");
        path.forget_measurements();
        measure(&mut path, 5000, &[50; 40]);
        assert_eq!(checked(&path), Some((50, false)), "too soon");
    }

    #[test]
    fn an_echo_of_what_was_never_sent_says_nothing() {
        let mut path = Path::default();
        path.echoed(Echo { sequence: 0, held_micros: 0 }, at(5));
        path.send(at(0));
        for sequence in [1, 500, u32::MAX] {
            path.echoed(Echo { sequence, held_micros: 0 }, at(5));
        }
        path.echoed(Echo { sequence: 0, held_micros: u32::MAX }, at(5));
        assert_eq!(path.quality().round_trip, None);
    }

    #[test]
    fn every_packet_counts_once_in_any_order() {
        let mut path = Path::default();
        let fresh = |path: &mut Path, sequence| path.receive(sequence, at(u64::from(sequence)));
        assert!(fresh(&mut path, 5));
        assert!(fresh(&mut path, 7));
        assert!(fresh(&mut path, 6));
        for sequence in [5, 6, 7] {
            assert!(!fresh(&mut path, sequence), "{sequence}");
        }
        assert!(fresh(&mut path, 500));
        assert!(!fresh(&mut path, 7), "too old to know");
    }

    #[test]
    fn the_sequence_may_wrap() {
        let mut path = Path::default();
        assert!(path.receive(u32::MAX, at(0)));
        assert!(path.receive(0, at(1)));
        assert!(!path.receive(u32::MAX, at(2)));
    }

    #[test]
    fn one_packet_in_four_lost_is_a_loss_of_a_quarter() {
        let mut path = Path::default();
        for sequence in (0..200).filter(|sequence| sequence % 4 != 0) {
            path.receive(sequence, at(u64::from(sequence) * 33));
        }
        let loss = path.quality().loss.unwrap();
        assert!((loss - 0.25).abs() < 0.02, "{loss}");
    }

    #[test]
    fn even_packets_have_no_jitter_and_uneven_ones_have_theirs() {
        let run = |delay: fn(u32) -> u64| {
            let mut path = Path::default();
            for sequence in 0..400 {
                path.receive(sequence, at(u64::from(sequence) * 33 + delay(sequence)));
            }
            path.quality().jitter.unwrap().as_millis()
        };
        assert_eq!(run(|_| 80), 0);
        let uneven = run(|sequence| u64::from(sequence % 2) * 20);
        assert!((18..=22).contains(&uneven), "{uneven} ms");
    }
}
