//! The ledger adds up: every pause has an end, and every reload and repair a pause.

use super::{Violation, demand};
use crate::whole::Outcome;

const PROPERTY: &str = "the ledger adds up";

pub(super) fn ledger(outcome: &Outcome) -> Result<(), Violation> {
    let events = &outcome.store.events;
    let ids = |kind: &'static str| {
        let of = move |(_, known, detail): &(Option<u8>, &str, serde_json::Value)| {
            (*known == kind).then(|| detail["pauseId"].as_u64().unwrap_or(0))
        };
        events.iter().filter_map(of).collect::<Vec<_>>()
    };
    let begun = ids("p2p_pause");
    let expected: Vec<u64> = (1..=begun.len() as u64).collect();
    demand(begun == expected, PROPERTY, || format!("pauses {begun:?} began"))?;
    let mut ended = ids("p2p_resume");
    ended.extend(ids("p2p_pause_ended_game"));
    ended.sort_unstable();
    let open: Vec<_> = begun.iter().copied().filter(|id| !ended.contains(id)).collect();
    demand(open.is_empty(), PROPERTY, || format!("pauses {open:?} never ended"))?;
    ended.dedup();
    let twice = ids("p2p_resume").len() + ids("p2p_pause_ended_game").len() != ended.len();
    demand(!twice, PROPERTY, || format!("a pause ended twice: {ended:?}"))
}
