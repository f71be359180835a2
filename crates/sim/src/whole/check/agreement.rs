//! Confirmed states are equal at every seat, and what one run of the durable inputs gives.

use core::time::Duration;

use base::{Input, derive_seed};
use rollback::{Environment, Simulation, StepOutcome};

use super::{Violation, demand};
use crate::chaos::Chaos;
use crate::whole::Outcome;
use crate::whole::outcome::Seen;

const PROPERTY: &str = "confirmed states are equal";

pub(super) fn agreement(outcome: &Outcome) -> Result<(), Violation> {
    let truth = serial(outcome);
    // What came of inputs that were lost with all who held them is void.
    let counts = |seen: &&Seen| !outcome.store.is_void(seen.frame, &seen.incarnations);
    let mut common = truth.clone();
    for seen in outcome.seen.iter().filter(counts) {
        let corrupted = |&&(seat, at): &&(u8, Duration)| seat == seen.seat && at <= seen.at;
        if outcome.corrupted.iter().find(corrupted).is_some() {
            // Its state was changed: what it ends with is looked at below.
            continue;
        }
        let at = seen.frame as usize;
        if common.len() <= at {
            common.resize(at + 1, None);
        }
        match common[at] {
            Some(known) => {
                demand(known == seen.hash, PROPERTY, || format!("{known} is the state, yet {seen:?}"))?;
            }
            // Not durable: the first who was seen with it.
            None => common[at] = Some(seen.hash),
        }
    }
    for seat in 0..outcome.plan.seats {
        let Some(last) = outcome.seen.iter().rev().filter(counts).find(|seen| seen.seat == seat) else {
            continue;
        };
        let corrupted =
            outcome.corrupted.iter().filter(|&&(other, _)| other == seat).map(|&(_, at)| at).max();
        // A game that was cut short may not have come to comparing it, or not have had the time to mend it.
        let normal = outcome.store.endings.values().flatten().all(|ending| !ending.is_partial);
        // Nor what nobody could be told of.
        let long_ago = corrupted.is_some_and(|at| {
            let since = at.saturating_sub(Duration::from_secs(4));
            let after = outcome.plan.troubles.iter().filter(|trouble| trouble.ends() >= since);
            let troubled = after.fold(Duration::ZERO, |sum, trouble| sum.saturating_add(trouble.lasts));
            last.at.saturating_sub(at) >= troubled.saturating_add(Duration::from_secs(6))
        });
        // Nor what was changed in the only state that was left: whoever takes that one has nothing to compare it with.
        let compared = outcome.plan.seats > 1 && !outcome.spread;
        if normal
            && compared
            && long_ago
            && let Some(Some(known)) = common.get(last.frame as usize)
        {
            demand(*known == last.hash, PROPERTY, || {
                format!("{known} is the state, yet seat {seat} still has {last:?}, changed at {corrupted:?}")
            })?;
        }
    }
    Ok(())
}

/// The state after every frame that is durable.
fn serial(outcome: &Outcome) -> Vec<Option<base::StateHash>> {
    let plan = &outcome.plan;
    let mut environment = Chaos::new(plan.ending);
    let mut states = Vec::new();
    let mut frame = 0;
    let seed = derive_seed(plan.seed, 4);
    'game: for episode in 0..plan.rules.episodes {
        let Ok(()) = environment.reset(plan.seats, episode, derive_seed(seed, u64::from(episode)));
        for _ in 0..plan.rules.max_frames {
            let Some(row) = outcome.store.row(frame) else { break 'game };
            let inputs: Vec<_> = row.inputs.chunks_exact(plan.input_size).filter_map(Input::new).collect();
            let Ok(StepOutcome { over, .. }) = environment.step(frame, &inputs);
            states.push(Some(environment.state_hash()));
            frame += 1;
            if over {
                break;
            }
        }
    }
    states
}
