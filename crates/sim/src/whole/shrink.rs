//! Makes a plan that fails shorter, as long as it fails in the same way.

use core::time::Duration;

use super::check::{self, Violation};
use super::plan::Plan;
use super::run;

/// The shortest plan that was found to break the same property, and how it breaks it. None when the plan breaks none.
#[must_use]
pub fn shrink(plan: &Plan) -> Option<(Plan, Violation)> {
    let breaks = |plan: &Plan| check::all(&run(plan, false)).err();
    let mut found = breaks(plan)?;
    let mut shortest = plan.clone();
    let try_it = |candidate: Plan, shortest: &mut Plan, found: &mut Violation| match breaks(&candidate) {
        Some(violation) if violation.property() == found.property() => {
            (*shortest, *found) = (candidate, violation);
            true
        }
        _ => false,
    };
    let mut shorter = true;
    while shorter {
        shorter = false;
        for number in (0..shortest.troubles.len()).rev() {
            let mut candidate = shortest.clone();
            candidate.troubles.remove(number);
            shorter |= try_it(candidate, &mut shortest, &mut found);
        }
        for number in 0..shortest.troubles.len() {
            let lasts = shortest.troubles[number].lasts;
            if lasts == Duration::MAX || lasts < Duration::from_millis(100) {
                continue;
            }
            let mut candidate = shortest.clone();
            candidate.troubles[number].lasts = lasts / 2;
            shorter |= try_it(candidate, &mut shortest, &mut found);
        }
        if shortest.seats > 2 {
            let seats = shortest.seats - 1;
            let mut candidate = Plan { seats, ..shortest.clone() };
            candidate
                .troubles
                .retain(|trouble| format!("{:?}", trouble.fault).bytes().all(|c| c != b'0' + seats));
            shorter |= try_it(candidate, &mut shortest, &mut found);
        }
        if shortest.rules.episodes > 1 {
            let mut candidate = shortest.clone();
            candidate.rules.episodes -= 1;
            shorter |= try_it(candidate, &mut shortest, &mut found);
        }
    }
    Some((shortest, found))
}
