//! What is durable is what was pressed: no confirmed input is lost or changed.

use super::{Violation, demand};
use crate::whole::Outcome;

const PROPERTY: &str = "no confirmed input is lost or changed";

pub(super) fn inputs(outcome: &Outcome) -> Result<(), Violation> {
    let size = outcome.plan.input_size;
    let store = &outcome.store;
    for frame in 0.. {
        let Some(row) = store.row(frame) else { break };
        for seat in 0..outcome.plan.seats {
            let incarnation = store.incarnation_at(seat, frame);
            let made = outcome.made.get(&(seat, incarnation)).and_then(|made| made.get(&frame));
            let at = usize::from(seat) * size;
            let kept = row.inputs.get(at..at + size);
            if let Some(made) = made {
                demand(kept == Some(made.as_bytes()), PROPERTY, || {
                    format!(
                        "frame {frame}: seat {seat} (incarnation {incarnation}) pressed {made:?}, durable is {kept:?}"
                    )
                })?;
            }
        }
    }
    Ok(())
}
