//! Who gets which condition, when (S1).

use core::time::Duration;

use base::{Timestamp, VisitId};
use serde_json::json;
use wire::control::VisitEnding;

use super::{Stager, Visit};
use crate::conditions::{self, Counted, Unit};

impl Stager {
    /// Visits that had got a condition before this server was started, of whatever version: they count. Comes before all
    /// else.
    pub fn restore_conditions(&mut self, counted: impl IntoIterator<Item = Counted>, now: Timestamp) {
        let limit = Duration::from_millis(self.current.assignment.dropout_millis.into());
        for visit in counted {
            self.tally.restore(visit, limit, now);
        }
    }

    /// A visit goes on: it gets a condition of its own, if it has none and should have one. False when there is no room for
    /// it, and it has been turned away.
    pub(super) fn assign_person(&mut self, id: VisitId, now: Timestamp) -> bool {
        let Some(visit) = self.visits.get(&id) else { return false };
        // Who has been turned away goes on to the end, and counts nowhere.
        visit.has_been_turned_away(VisitEnding::ScreenedOut)
            || visit.experiment.assignment.unit != Unit::Person
            || self.assign(&[id], now)
    }

    /// A group is complete: it gets a condition, if it has none and should have one. False when there is no room for it, and
    /// all of it have been turned away.
    pub(super) fn assign_group(&mut self, group: &[VisitId], now: Timestamp) -> bool {
        let unit = group.first().and_then(|first| self.visits.get(first)).map(Visit::unit);
        unit != Some(Unit::Group) || self.assign(group, now)
    }

    /// Whether a visit that comes to a game could not play it, because there is no room for its group.
    pub(super) fn is_full_for(&self, id: VisitId, now: Timestamp) -> bool {
        let Some(visit) = self.visits.get(&id) else { return false };
        let Some(game) = visit.game_scene().filter(|_| visit.unit() == Unit::Group) else { return false };
        let conditions = &visit.experiment.conditions;
        let counts = self.tally.counts(conditions, now);
        !conditions.is_empty()
            && visit.progress.condition.is_none()
            && conditions::assign(conditions, &counts, game.players.into(), id).is_none()
    }

    /// Gives visits of one version the same condition, unless they have one.
    fn assign(&mut self, visits: &[VisitId], now: Timestamp) -> bool {
        let Some((&first, visit)) = visits.first().and_then(|first| Some((first, self.visits.get(first)?)))
        else {
            return false;
        };
        let conditions = &visit.experiment.conditions;
        if conditions.is_empty() || visit.progress.condition.is_some() {
            return true;
        }
        let counts = self.tally.counts(conditions, now);
        // Bots count nowhere, and follow those with whom they are to play.
        let people = visits.iter().filter(|&&id| !self.is_bot(id)).count() as u32;
        let followed =
            self.condition_to_follow(first).and_then(|id| conditions.iter().find(|known| known.id == id));
        let assigned = || conditions::assign(conditions, &counts, people, first);
        let Some(condition) = followed.or_else(assigned).cloned() else {
            visits.iter().for_each(|&id| self.turn_away_full(id, now));
            return false;
        };
        for &id in visits {
            let Some(visit) = self.visits.get_mut(&id) else { continue };
            visit.progress.condition = Some(condition.id.clone());
            visit.progress.variables.extend(condition.variables.clone());
            if !visit.is_bot {
                self.tally.put(id, &condition.id);
            }
            self.record_visit(id, "condition", condition.id.clone(), json!({ "counts": counts }));
            self.write_progress(id);
        }
        true
    }

    /// A group did not come about: who has its condition from it has none, and may be in another group with anybody.
    pub(super) fn release_condition(&mut self, id: VisitId) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let has_played = !visit.progress.group.is_empty();
        if visit.unit() != Unit::Group || has_played {
            return;
        }
        let Some(condition) = visit.progress.condition.take() else { return };
        let known = visit.experiment.conditions.iter().find(|known| known.id == condition);
        for variable in known.into_iter().flat_map(|known| known.variables.keys()) {
            visit.progress.variables.remove(variable);
        }
        self.tally.remove(id);
        self.record_visit(id, "released", condition, json!({}));
        self.write_progress(id);
    }

    /// There is no room for a visit in any condition.
    pub(super) fn turn_away_full(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get(&id) else { return };
        // Once: where they go from there leads on, or to the end.
        let again = visit.has_been_turned_away(VisitEnding::ScreenedOut);
        let to = visit.experiment.assignment.on_full.clone().filter(|_| !again);
        self.turn_away(id, VisitEnding::ScreenedOut, to.as_deref(), now);
    }
}
