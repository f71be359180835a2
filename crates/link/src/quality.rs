//! How good a path is: one scale everywhere (L4).

use core::time::Duration;

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

/// The scale.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quality {
    /// Up to 100 ms, 1 % and 20 ms.
    Good,
    /// Up to 300 ms, 5 % and 50 ms.
    Fair,
    /// Beyond.
    Poor,
}

impl PathQuality {
    /// Where a path stands on the scale: its worst measure decides. `None` before the first echo.
    #[must_use]
    pub fn grade(&self) -> Option<Quality> {
        let round_trip = grade(self.round_trip?.as_secs_f64() * 1000.0, 100.0, 300.0);
        let loss = grade(self.loss.unwrap_or(0.0), 0.01, 0.05);
        let jitter = grade(self.jitter.unwrap_or_default().as_secs_f64() * 1000.0, 20.0, 50.0);
        Some(round_trip.max(loss).max(jitter))
    }
}

fn grade(value: f64, good: f64, fair: f64) -> Quality {
    if value <= good {
        Quality::Good
    } else if value <= fair {
        Quality::Fair
    } else {
        Quality::Poor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
