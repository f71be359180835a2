//! What must hold of every run of the whole system: one property a file.

mod agreement;
mod data;
mod deadlines;
mod endings;
mod inputs;
mod ledger;
mod settles;
mod together;

pub use crate::check::Violation;
use crate::check::demand;
use crate::whole::Outcome;

pub(super) use together::Together;

/// Every property.
///
/// # Errors
/// The first that does not hold.
pub fn all(outcome: &Outcome) -> Result<(), Violation> {
    if let Some(found) = outcome.found.first() {
        return Err(found.clone());
    }
    inputs::inputs(outcome)?;
    agreement::agreement(outcome)?;
    endings::endings(outcome)?;
    deadlines::deadlines(outcome)?;
    data::data(outcome)?;
    ledger::ledger(outcome)?;
    settles::settles(outcome)
}
