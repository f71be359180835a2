//! Whether a participant's connection and page are still what the study needs (X2).

use core::time::Duration;
use std::collections::VecDeque;

use base::Timestamp;
use serde::{Deserialize, Serialize};

/// What a game asks of its players' connections and pages.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MonitorRules {
    /// The slowest way to the server, in milliseconds; none when that is nobody's business.
    pub max_ping_millis: Option<u32>,
    /// How many measurements are looked at, the last ones.
    pub window: u8,
    /// How many of them must be too slow.
    pub violations: u8,
    /// What a page in the background means.
    pub on_hidden: OnHidden,
    /// After how long in the background the page warns, in milliseconds.
    pub tab_warning_millis: u32,
    /// After how long in the background the participant is taken out, in milliseconds.
    pub tab_exclude_millis: u32,
}

impl Default for MonitorRules {
    fn default() -> Self {
        Self {
            max_ping_millis: None,
            window: 5,
            violations: 3,
            on_hidden: OnHidden::Continue,
            tab_warning_millis: 3_000,
            tab_exclude_millis: 10_000,
        }
    }
}

/// What a page in the background means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHidden {
    /// Nothing: no key is held there.
    #[default]
    Continue,
    /// Everyone waits until the page is in front again, for no longer than a pause may last.
    Pause,
    /// The participant is taken out of the game after a while.
    Exclude,
}

/// What is known of one participant.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    /// Which of the last measurements were too slow.
    slow: VecDeque<bool>,
    /// Since when the page is in the background; later when the game stood still meanwhile.
    hidden: Option<Timestamp>,
    /// The last measurement of the way to the server, in milliseconds.
    rtt_millis: Option<f32>,
}

impl Monitor {
    /// A measurement of the way to the server. True when there were too many slow ones.
    pub(crate) fn measure(&mut self, rules: &MonitorRules, rtt_millis: f32) -> bool {
        let Some(limit) = rules.max_ping_millis else { return false };
        if self.slow.len() >= rules.window.into() {
            self.slow.pop_front();
        }
        self.slow.push_back(rtt_millis > limit as f32);
        self.slow.iter().filter(|slow| **slow).count() >= rules.violations.into()
    }

    /// Notes a measurement, whether or not it counts.
    pub(crate) const fn note(&mut self, rtt_millis: f32) {
        self.rtt_millis = Some(rtt_millis);
    }

    /// The last measurement of the way to the server, in milliseconds.
    pub(crate) const fn rtt_millis(&self) -> Option<f32> {
        self.rtt_millis
    }

    /// Whether the page is in the background.
    pub(crate) const fn is_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Forgets the measurements: those of before a pause say nothing about after it.
    pub(crate) fn clear(&mut self) {
        self.slow.clear();
    }

    pub(crate) fn set_hidden(&mut self, hidden: bool, now: Timestamp) {
        self.hidden = hidden.then(|| self.hidden.unwrap_or(now));
    }

    /// The time in the background begins anew, if that is where the page is: the game stands still.
    pub(crate) fn restart(&mut self, now: Timestamp) {
        if self.hidden.is_some() {
            self.hidden = Some(now);
        }
    }

    /// Whether the page was in the background so long before a moment.
    pub(crate) fn was_hidden_at(&self, moment: Timestamp, before: Duration) -> bool {
        self.hidden.is_some_and(|since| since + before <= moment)
    }

    /// When the page has been in the background for too long.
    pub(crate) fn poll_timeout(&self, rules: &MonitorRules) -> Option<Timestamp> {
        let since = self.hidden.filter(|_| rules.on_hidden == OnHidden::Exclude)?;
        Some(since + Duration::from_millis(rules.tab_exclude_millis.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_slow_measurements_are_taken_and_too_many_are_not() {
        let rules = MonitorRules { max_ping_millis: Some(200), ..MonitorRules::default() };
        let mut monitor = Monitor::default();
        let mut told = |rtt: &[f32]| rtt.iter().map(|rtt| monitor.measure(&rules, *rtt)).collect::<Vec<_>>();
        assert_eq!(told(&[201.0, 10.0, 201.0, 10.0, 10.0]), [false; 5], "two of five");
        assert_eq!(told(&[300.0, 200.0, 300.0]), [false, false, false], "200 is not over 200");
        assert_eq!(told(&[f32::INFINITY]), [true], "three of the last five");
        monitor.clear();
        assert!(!monitor.measure(&rules, 900.0));
        assert!(!monitor.measure(&MonitorRules::default(), 900.0), "nobody asked");
    }

    #[test]
    fn time_in_the_background_is_counted_from_when_it_began() {
        let rules = MonitorRules { on_hidden: OnHidden::Exclude, ..MonitorRules::default() };
        let at = Timestamp::from_millis;
        let mut monitor = Monitor::default();
        assert_eq!(monitor.poll_timeout(&rules), None);
        monitor.set_hidden(true, at(1_000));
        monitor.set_hidden(true, at(4_000));
        assert_eq!(monitor.poll_timeout(&rules), Some(at(11_000)));
        assert_eq!(monitor.poll_timeout(&MonitorRules::default()), None);
        monitor.restart(at(5_000));
        assert_eq!(monitor.poll_timeout(&rules), Some(at(15_000)));
        monitor.set_hidden(false, at(6_000));
        monitor.restart(at(7_000));
        assert_eq!(monitor.poll_timeout(&rules), None);
    }
}
