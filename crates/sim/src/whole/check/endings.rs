//! Every seat ends exactly once, and for one reason.

use wire::control::TerminationReason::{Normal, PartnerExclusion, PartnerLost, ReconnectTimeout, Withdrawn};
use wire::control::{OnPlayerLost, TerminationReason, VisitEnding};

use super::{Violation, demand};
use crate::whole::{Fault, Outcome};

const PROPERTY: &str = "one ending, the same for all";

pub(super) fn endings(outcome: &Outcome) -> Result<(), Violation> {
    let someone_leaves =
        outcome.plan.troubles.iter().any(|trouble| matches!(trouble.fault, Fault::Leaves(_)));
    let leaves = |seat| outcome.plan.troubles.iter().any(|trouble| trouble.fault == Fault::Leaves(seat));
    let endings = &outcome.store.endings;
    for (seat, endings) in endings {
        demand(endings.len() == 1, PROPERTY, || {
            format!("seat {seat} ended {} times: {endings:?}", endings.len())
        })?;
    }
    let reasons = || endings.values().flatten().map(|ending| ending.reason);
    // Those without whom the others played on ended for themselves.
    let plays_on = outcome.plan.rules.on_player_lost == OnPlayerLost::Continue;
    let alone = |reason: &TerminationReason| plays_on && (*reason == ReconnectTimeout || is_own(*reason));
    let cut_short: Vec<_> = reasons().filter(|reason| *reason != Normal && !alone(reason)).collect();
    let own = cut_short.iter().copied().filter(|reason| is_own(*reason)).count();
    // Where one has finished, nobody else's leaving cuts the rest short.
    let one_has_finished = reasons().any(|reason| reason == Normal);
    demand(own <= 1 || one_has_finished, PROPERTY, || {
        format!("who was first ends the game, and {own} did: {endings:?}")
    })?;
    let mut others = cut_short.iter().filter(|reason| !is_own(**reason));
    let expected = match cut_short.iter().find(|reason| is_own(**reason)) {
        Some(Withdrawn) => Some(PartnerLost),
        Some(_) => Some(PartnerExclusion),
        None => others.clone().next().copied(),
    };
    demand(others.all(|reason| Some(*reason) == expected), PROPERTY, || format!("{endings:?}"))?;
    for (seat, page) in (0..).zip(&outcome.pages) {
        let Some(page) = page.as_ref().filter(|page| page.connected) else { continue };
        let written = endings.get(&seat).and_then(|endings| endings.first()).map(|ending| ending.reason);
        let expected = |reason: TerminationReason| match page.ended {
            Some(VisitEnding::Withdrawn) => leaves(seat),
            // Who is left alone before the game has begun waits for somebody else, who does not come here.
            Some(VisitEnding::WaitroomTimeout) => reason == PartnerLost && someone_leaves,
            ended => ended == Some(reason.into()),
        };
        let fits = page.ended.is_none() || written.is_none_or(expected);
        demand(fits, PROPERTY, || {
            format!("seat {seat} was told {:?}, written down is {written:?}", page.ended)
        })?;
    }
    Ok(())
}

/// What only the one who causes it ends with.
pub(super) const fn is_own(reason: TerminationReason) -> bool {
    reason.is_exclusion() || matches!(reason, Withdrawn)
}
