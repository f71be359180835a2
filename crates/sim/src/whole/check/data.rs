//! The data is complete: what a page that is still there has confirmed is durable.

use base::Frame;
use room::SeatEnding;
use wire::control::{OnPlayerLost, TerminationReason};

use super::endings::is_own;
use super::{Violation, demand};
use crate::whole::Outcome;

const PROPERTY: &str = "data is complete";

pub(super) fn data(outcome: &Outcome) -> Result<(), Violation> {
    let store = &outcome.store;
    demand(store.faults.is_empty(), PROPERTY, || store.faults.join("; "))?;
    let durable = (0..).take_while(|&frame| store.row(frame).is_some()).count() as Frame;
    for (seat, page) in (0_u8..).zip(&outcome.pages) {
        let Some(over) = outcome.over else { continue };
        // A page that is cut off may not have noticed.
        let there = outcome.plan.unreachable(usize::from(seat), over).is_none();
        let Some(page) = page.as_ref().filter(|page| page.connected && page.ended.is_some() && there) else {
            continue;
        };
        demand(page.pending == 0, PROPERTY, || {
            format!("seat {seat} has {} frames that are not durable", page.pending)
        })?;
        // Who was given up may have gone on for itself, and its frames are void.
        let given_up = |ending: &SeatEnding| {
            ending.reason == TerminationReason::ReconnectTimeout || is_own(ending.reason)
        };
        let alone = outcome.plan.rules.on_player_lost == OnPlayerLost::Continue;
        if alone && store.endings.get(&seat).is_some_and(|endings| endings.iter().any(given_up)) {
            continue;
        }
        let last = page.confirmed;
        demand(durable >= last, PROPERTY, || {
            format!("seat {seat} confirmed {last} frames, of which {durable} are durable without a hole")
        })?;
    }
    for (&(reporter, incarnation), reported) in &store.reported {
        for (expected, &frame) in (reported.first..).zip(reported.frames.keys()) {
            demand(frame == expected, PROPERTY, || {
                format!("seat {reporter}.{incarnation} was told that frame {expected} is durable")
            })?;
        }
    }
    Ok(())
}
