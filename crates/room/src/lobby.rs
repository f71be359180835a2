//! Who waits for a game.

use std::collections::BTreeMap;

use base::{Timestamp, VisitId};

/// A game scene of one version of the experiment.
pub(crate) type Place = (String, usize);

/// Somebody who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    pub(crate) visit: VisitId,
    pub(crate) since: Timestamp,
}

/// One queue for each game scene: first come, first served (S4).
#[derive(Debug, Default)]
pub(crate) struct Lobbies {
    waiting: BTreeMap<Place, Vec<Waiting>>,
}

impl Lobbies {
    /// Lets a visit wait; one that waits already keeps its place.
    pub(crate) fn enter(&mut self, place: Place, visit: VisitId, since: Timestamp) {
        let waiting = self.waiting.entry(place).or_default();
        if waiting.iter().all(|other| other.visit != visit) {
            waiting.push(Waiting { visit, since });
        }
    }

    /// Takes a visit away. True if it waited.
    pub(crate) fn leave(&mut self, place: &Place, visit: VisitId) -> bool {
        let Some(waiting) = self.waiting.get_mut(place) else { return false };
        let before = waiting.len();
        waiting.retain(|other| other.visit != visit);
        waiting.len() < before
    }

    /// Takes a visit away wherever it waits.
    pub(crate) fn forget(&mut self, visit: VisitId) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|other| other.visit != visit);
        }
    }

    pub(crate) fn waiting(&self, place: &Place) -> &[Waiting] {
        self.waiting.get(place).map_or(&[], Vec::as_slice)
    }

    /// Everyone who waits, and where.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Place, Waiting)> {
        self.waiting.iter().flat_map(|(place, waiting)| waiting.iter().map(move |one| (place, *one)))
    }

    /// Takes the first `players` out of those for whom `is_there` holds, if there are so many: a game begins
    /// with people who are connected.
    pub(crate) fn group(
        &mut self,
        place: &Place,
        players: u8,
        is_there: impl Fn(VisitId) -> bool,
    ) -> Option<Vec<VisitId>> {
        let waiting = self.waiting.get_mut(place)?;
        let there = waiting.iter().map(|one| one.visit).filter(|&visit| is_there(visit));
        let group: Vec<_> = there.take(usize::from(players)).collect();
        if group.len() < usize::from(players) {
            return None;
        }
        waiting.retain(|one| !group.contains(&one.visit));
        Some(group)
    }
}
