//! Nobody reports a desync where there is none, and no honest packet is refused.

use session::SessionEvent;

use super::{Violation, demand};
use crate::outcome::Outcome;

const PROPERTY: &str = "honest seats agree";

/// # Errors
/// When a seat reported that a peer's state differs, never compared any, or refused a packet though nobody attacks.
pub fn agreement(outcome: &Outcome) -> Result<(), Violation> {
    for (seat, found) in outcome.seats.iter().enumerate() {
        let desync = found.events.iter().find(|event| matches!(event, SessionEvent::Desync { .. }));
        demand(desync.is_none() && found.status.desyncs == 0, PROPERTY, || {
            format!("seat {seat}: {desync:?}")
        })?;
        let alone = outcome.seats.len() == 1;
        demand(alone || found.status.compared_hashes > 0, PROPERTY, || {
            format!("seat {seat} has compared no state with anyone")
        })?;
        let attacked = outcome.hostile_packets > 0;
        demand(attacked || found.refused_packets == 0, PROPERTY, || {
            format!("seat {seat} has refused {} honest packets", found.refused_packets)
        })?;
    }
    Ok(())
}
