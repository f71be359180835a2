//! Nobody waits past the deadline.

use core::time::Duration;

use wire::control::OnPlayerLost;

use super::{Violation, demand};
use crate::whole::Outcome;

const PROPERTY: &str = "no one waits past the deadline";

/// What commits may add to a pause.
const SLACK: Duration = Duration::from_secs(8);

pub(super) fn deadlines(outcome: &Outcome) -> Result<(), Violation> {
    let pauses = outcome.plan.rules.pauses;
    let timeout = Duration::from_millis(pauses.timeout_millis.into());
    // A server that was away leaves ten seconds at least.
    let most = timeout.max(Duration::from_secs(10)) + Duration::from_secs(11) * outcome.restarts + SLACK;
    // Each who is given up gives the others as long again.
    let times =
        if outcome.plan.rules.on_player_lost == OnPlayerLost::Continue { outcome.plan.seats } else { 1 };
    let most = most * u32::from(times);
    for (_, kind, detail) in &outcome.store.events {
        if matches!(*kind, "p2p_resume" | "p2p_pause_ended_game") {
            let lasted = Duration::from_millis(detail["durationMs"].as_u64().unwrap_or(u64::MAX));
            demand(lasted <= most, PROPERTY, || {
                format!("a pause of {lasted:?}, {most:?} at most: {detail}")
            })?;
        }
    }
    // Waiting for what others have left behind is nobody's loss, nor is agreeing without somebody.
    let counts = |detail: &serde_json::Value| {
        !["finishing", "player_left"].iter().any(|reason| detail["reason"] == *reason)
    };
    let pauses_of = outcome.store.events.iter().filter(|(_, kind, _)| *kind == "p2p_pause");
    let count = pauses_of.filter(|(_, _, detail)| counts(detail)).count();
    demand(count <= pauses.most as usize, PROPERTY, || format!("{count} pauses, {} at most", pauses.most))?;
    demand(outcome.over.is_some() || outcome.store.live.is_empty(), PROPERTY, || {
        format!("a game is still on after {:?}", outcome.lasted)
    })
}
