//! Once faults stop, the game goes on to its end in bounded time, and everyone arrives.

use super::{Violation, demand};
use crate::whole::Outcome;

const PROPERTY: &str = "once faults stop, everyone arrives";

pub(super) fn settles(outcome: &Outcome) -> Result<(), Violation> {
    demand(outcome.over.is_some(), PROPERTY, || {
        format!("after {:?} not everyone has arrived: {:?}", outcome.lasted, outcome.pages)
    })
}
