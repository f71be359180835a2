//! Once faults stop, everyone finishes in time.

use session::SessionEvent;

use super::{Violation, demand};
use crate::outcome::Outcome;

const PROPERTY: &str = "everyone finishes in time";

/// # Errors
/// When a seat was not done by the bound, did not tell so once, or woke for nothing.
pub fn finish(outcome: &Outcome) -> Result<(), Violation> {
    for (seat, found) in outcome.seats.iter().enumerate() {
        demand(found.complete_at.is_some(), PROPERTY, || {
            let bound = outcome.conditions.bound();
            format!("seat {seat} is not done after {bound:?}: {:?}", found.status)
        })?;
        let told = found.events.iter().filter(|event| matches!(event, SessionEvent::Finished { .. })).count();
        demand(told == 1, PROPERTY, || format!("seat {seat} told {told} times that it has finished"))?;
        demand(found.needless_wakes == 0, PROPERTY, || {
            format!(
                "seat {seat} asked {} times to be woken for a moment that had passed",
                found.needless_wakes
            )
        })?;
    }
    Ok(())
}
