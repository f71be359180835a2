//! How good a path is: one scale everywhere (L4).

use core::time::Duration;

use base::Timestamp;
use wire::lane::{Lane, Quality};

/// How often a path is measured.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// How many samples in a row make another grade.
const CONVINCING: u8 = 2;

/// What is known about a path.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PathQuality {
    /// The smoothed round trip; `None` before the first echo.
    pub round_trip: Option<Duration>,
    /// Lost packets among the last ones, 0.0 to 1.0; `None` before there were enough to tell.
    pub loss: Option<f64>,
    /// The mean deviation of the time between packets; `None` before the second packet.
    pub jitter: Option<Duration>,
}

impl PathQuality {
    /// Where a path stands on the scale: its worst measure decides. `None` before the first echo.
    #[must_use]
    pub fn grade(&self) -> Option<Quality> {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let jitter = millis(self.jitter.unwrap_or_default());
        Some(Quality::of(millis(self.round_trip?), self.loss.unwrap_or(0.0), jitter))
    }
}

/// One measurement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// Of which lane: the one in use.
    pub lane: Lane,
    /// What is known of its path.
    pub path: PathQuality,
    /// Bytes that came since the last, over all lanes.
    pub bytes: u32,
    /// Packets that came since the last, over all lanes.
    pub packets: u32,
}

/// Measures every 2 s, and changes its mind when two measurements agree.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    next: Option<Timestamp>,
    bytes: u32,
    packets: u32,
    grade: Option<Quality>,
    /// Another grade than that, and how often it was seen in a row.
    other: Option<(Quality, u8)>,
}

impl Monitor {
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.next = Some(now + SAMPLE_EVERY);
        (self.bytes, self.packets) = (0, 0);
    }

    /// A packet came.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u32);
        self.packets = self.packets.saturating_add(1);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.next
    }

    pub(crate) fn grade(&self) -> Option<Quality> {
        self.grade
    }

    /// A sample if one is due, and the grade if that changes it.
    pub(crate) fn measure(
        &mut self,
        lane: Lane,
        path: PathQuality,
        now: Timestamp,
    ) -> (Option<Sample>, Option<Quality>) {
        if self.next.is_none_or(|due| now < due) {
            return (None, None);
        }
        self.next = Some(now + SAMPLE_EVERY);
        let sample = Sample { lane, path, bytes: self.bytes, packets: self.packets };
        (self.bytes, self.packets) = (0, 0);
        (Some(sample), path.grade().and_then(|grade| self.consider(grade)))
    }

    fn consider(&mut self, grade: Quality) -> Option<Quality> {
        if self.grade == Some(grade) {
            self.other = None;
            return None;
        }
        let seen = self.other.filter(|(other, _)| *other == grade).map_or(0, |(_, seen)| seen) + 1;
        self.other = Some((grade, seen));
        if self.grade.is_some() && seen < CONVINCING {
            return None;
        }
        self.other = None;
        self.grade = Some(grade);
        Some(grade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grade_changes_when_two_samples_in_a_row_agree() {
        let mut monitor = Monitor::default();
        let mut told = Vec::new();
        monitor.begin(Timestamp::default());
        use Quality::{Fair, Good, Poor};
        for (at, grade) in [Good, Poor, Good, Fair, Poor, Poor, Poor, Good, Good].into_iter().enumerate() {
            let millis = [50, 200, 400][grade as usize];
            let path = PathQuality { round_trip: Some(Duration::from_millis(millis)), ..Default::default() };
            let now = Timestamp::from_millis(2000 * (at as u64 + 1));
            assert_eq!(monitor.measure(Lane::Direct, path, now + Duration::from_millis(1)).1.is_some(), {
                let changes = [0, 5, 8].contains(&at);
                if changes {
                    told.push(grade);
                }
                changes
            });
        }
        assert_eq!(told, [Good, Poor, Good]);
    }

    #[test]
    fn the_worst_measure_decides() {
        let path = |millis, loss, jitter| PathQuality {
            round_trip: Some(Duration::from_millis(millis)),
            loss: Some(loss),
            jitter: Some(Duration::from_millis(jitter)),
        };
        assert_eq!(path(100, 0.01, 20).grade(), Some(Quality::Good));
        assert_eq!(path(101, 0.0, 0).grade(), Some(Quality::Fair));
        assert_eq!(path(20, 0.051, 0).grade(), Some(Quality::Poor));
        assert_eq!(path(20, 0.0, 51).grade(), Some(Quality::Poor));
        assert_eq!(PathQuality::default().grade(), None);
    }
}
