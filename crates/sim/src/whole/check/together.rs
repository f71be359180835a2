//! All stand still, or all run, within a bound; and once faults stop, all run.

use core::time::Duration;

use super::Violation;
use crate::whole::Plan;

const PROPERTY: &str = "all stand still or all run";
const SETTLES: &str = "once faults stop, all run within a bound";

/// For how long a page may differ from the game.
const BOUND: Duration = Duration::from_secs(8);

/// For how long a game may stand still when nothing is wrong any more.
const CALM: Duration = Duration::from_secs(25);

/// What is durable of the game, and how long each page has differed from it.
pub(in crate::whole) struct Together {
    paused: Option<bool>,
    since: Duration,
    differs: Vec<Option<Duration>>,
}

impl Together {
    pub(in crate::whole) fn new(seats: usize) -> Self {
        Self { paused: None, since: Duration::ZERO, differs: vec![None; seats] }
    }

    /// What was written down of the game.
    pub(in crate::whole) fn saved(&mut self, state: Option<&str>, now: Duration) {
        let state: Option<serde_json::Value> = state.and_then(|state| serde_json::from_str(state).ok());
        let paused = state.and_then(|state| match &state["phase"] {
            serde_json::Value::Object(phase) => phase.contains_key("Paused").then_some(true),
            serde_json::Value::String(phase) => (phase == "Playing").then_some(false),
            _ => None,
        });
        if self.paused != paused {
            self.paused = paused;
            self.since = now;
            self.differs.fill(None);
        }
    }

    pub(in crate::whole) fn forget(&mut self, seat: usize) {
        self.differs[seat] = None;
    }

    /// Whether a page stands still; none when it cannot know better.
    pub(in crate::whole) fn page(
        &mut self,
        seat: usize,
        halted: Option<bool>,
        now: Duration,
    ) -> Option<Violation> {
        let differs = matches!((self.paused, halted), (Some(paused), Some(halted)) if paused != halted);
        if !differs {
            self.differs[seat] = None;
            return None;
        }
        let since = *self.differs[seat].get_or_insert(now);
        (now - since > BOUND).then(|| {
            let (game, page) =
                if self.paused == Some(true) { ("stands still", "runs") } else { ("runs", "stands still") };
            Violation::new(PROPERTY, format!("the game {game}, seat {seat} {page} since {since:?}"))
        })
    }

    /// Looked at once a second while the server lives.
    pub(in crate::whole) fn look(&mut self, plan: &Plan, now: Duration) -> Option<Violation> {
        let calm = now > plan.faults_end() + CALM && now > self.since + CALM && !plan.someone_stays_away();
        (self.paused == Some(true) && calm).then(|| {
            Violation::new(SETTLES, format!("the game stands still since {:?}, and all is well", self.since))
        })
    }
}
