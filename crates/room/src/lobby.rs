//! Who waits for a game.

use std::collections::BTreeMap;

use base::VisitId;

/// One queue for each game scene: first come, first served (S4).
#[derive(Debug, Default)]
pub(crate) struct Lobbies {
    waiting: BTreeMap<usize, Vec<VisitId>>,
}

impl Lobbies {
    /// Lets a visit wait; one that waits already keeps its place.
    pub(crate) fn enter(&mut self, scene: usize, visit: VisitId) {
        let waiting = self.waiting.entry(scene).or_default();
        if !waiting.contains(&visit) {
            waiting.push(visit);
        }
    }

    /// Takes a visit away. True if it waited.
    pub(crate) fn leave(&mut self, scene: usize, visit: VisitId) -> bool {
        let waiting = self.waiting.entry(scene).or_default();
        let before = waiting.len();
        waiting.retain(|&other| other != visit);
        waiting.len() < before
    }

    pub(crate) fn waiting(&self, scene: usize) -> &[VisitId] {
        self.waiting.get(&scene).map_or(&[], Vec::as_slice)
    }

    /// Takes the first `players` out of those for whom `is_there` holds, if there are so many: a game begins
    /// with people who are connected.
    pub(crate) fn group(
        &mut self,
        scene: usize,
        players: u8,
        is_there: impl Fn(VisitId) -> bool,
    ) -> Option<Vec<VisitId>> {
        let waiting = self.waiting.get_mut(&scene)?;
        let there = waiting.iter().copied().filter(|&visit| is_there(visit));
        let group: Vec<_> = there.take(usize::from(players)).collect();
        if group.len() < usize::from(players) {
            return None;
        }
        waiting.retain(|visit| !group.contains(visit));
        Some(group)
    }
}
