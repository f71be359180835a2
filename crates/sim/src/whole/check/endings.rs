//! Every seat ends exactly once, and for one reason.

use wire::control::{OnPlayerLost, TerminationReason};

use super::{Violation, demand};
use crate::whole::Outcome;

const PROPERTY: &str = "one ending, the same for all";

pub(super) fn endings(outcome: &Outcome) -> Result<(), Violation> {
    let endings = &outcome.store.endings;
    for (seat, endings) in endings {
        demand(endings.len() == 1, PROPERTY, || {
            format!("seat {seat} ended {} times: {endings:?}", endings.len())
        })?;
    }
    let reasons = || endings.values().flatten().map(|ending| ending.reason);
    // Those who were given up ended for themselves, where the others play on.
    let alone = |reason| {
        outcome.plan.rules.on_player_lost == OnPlayerLost::Continue
            && reason == TerminationReason::ReconnectTimeout
    };
    let short = |&reason: &TerminationReason| reason != TerminationReason::Normal && !alone(reason);
    let cut_short: Vec<_> = reasons().filter(short).collect();
    demand(cut_short.iter().all(|&reason| reason == cut_short[0]), PROPERTY, || format!("{endings:?}"))?;
    for (seat, page) in (0..).zip(&outcome.pages) {
        let Some(page) = page.as_ref().filter(|page| page.connected) else { continue };
        let written = endings.get(&seat).and_then(|endings| endings.first()).map(|ending| ending.reason);
        demand(written.is_none() || page.ended.is_none() || page.ended == written, PROPERTY, || {
            format!("seat {seat} was told {:?}, written down is {written:?}", page.ended)
        })?;
    }
    Ok(())
}
