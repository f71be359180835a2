//! Who waits for a game, and who may play together (S4).

use std::collections::{BTreeMap, BTreeSet};

use base::{Timestamp, VisitId};
use serde::{Deserialize, Serialize};

/// A game scene of one version of the experiment.
pub(crate) type Place = (String, usize);

/// A search for a group gives up after so many tries, until the next who comes: it must not take long with many who wait.
const MOST_TRIES: u32 = 10_000;

/// How groups are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchBy {
    /// First come, first served.
    #[default]
    First,
    /// Those who are near the server are tried with each other first. What counts is measured between the pages.
    Rtt,
    /// The group of the last game.
    Same,
}

/// Who sits where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seating {
    /// In the order of their coming.
    #[default]
    Coming,
    /// By the visits' ids, which are random: the same people sit the same way in every game.
    Random,
}

/// Somebody who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    pub(crate) visit: VisitId,
    pub(crate) since: Timestamp,
}

/// One lobby.
#[derive(Debug, Default)]
struct Lobby {
    /// In the order of their coming.
    waiting: Vec<Waiting>,
    /// Pairs whose link was not good enough: they are not tried again.
    failed: BTreeSet<(VisitId, VisitId)>,
    /// Pairs that did not come about in time: they are tried again only when there is nobody else.
    late: BTreeSet<(VisitId, VisitId)>,
}

/// One lobby for each game scene.
#[derive(Debug, Default)]
pub(crate) struct Lobbies {
    lobbies: BTreeMap<Place, Lobby>,
}

fn sorted(a: VisitId, b: VisitId) -> (VisitId, VisitId) {
    (a.min(b), a.max(b))
}

impl Lobbies {
    /// Lets a visit wait; one that waits already keeps its place.
    pub(crate) fn enter(&mut self, place: Place, visit: VisitId, since: Timestamp) {
        let waiting = &mut self.lobbies.entry(place).or_default().waiting;
        if waiting.iter().all(|other| other.visit != visit) {
            let at = waiting.partition_point(|other| other.since <= since);
            waiting.insert(at, Waiting { visit, since });
        }
    }

    /// Two have tried, and are not tried with each other again as long as they wait here; unless `for_good` they are when
    /// there is nobody else.
    pub(crate) fn keep_apart(&mut self, place: &Place, a: VisitId, b: VisitId, for_good: bool) {
        let lobby = self.lobbies.entry(place.clone()).or_default();
        let pairs = if for_good { &mut lobby.failed } else { &mut lobby.late };
        pairs.insert(sorted(a, b));
    }

    /// Takes a visit away for good. True if it waited.
    pub(crate) fn leave(&mut self, place: &Place, visit: VisitId) -> bool {
        let Some(lobby) = self.lobbies.get_mut(place) else { return false };
        let before = lobby.waiting.len();
        lobby.waiting.retain(|other| other.visit != visit);
        for pairs in [&mut lobby.failed, &mut lobby.late] {
            pairs.retain(|&(a, b)| a != visit && b != visit);
        }
        lobby.waiting.len() < before
    }

    /// Takes a visit away wherever it waits.
    pub(crate) fn forget(&mut self, visit: VisitId) {
        for lobby in self.lobbies.values_mut() {
            lobby.waiting.retain(|other| other.visit != visit);
        }
    }

    pub(crate) fn waiting(&self, place: &Place) -> &[Waiting] {
        self.lobbies.get(place).map_or(&[], |lobby| &lobby.waiting)
    }

    /// Everyone who waits, and where.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Place, Waiting)> {
        self.lobbies.iter().flat_map(|(place, lobby)| lobby.waiting.iter().map(move |one| (place, *one)))
    }

    /// Takes a group out of those who wait, if there is one: all of it are there, and any two of it may meet. Who has
    /// waited longest comes first, of those who `may_call` for one; who goes with them is tried by `order`, then in the order of
    /// coming.
    pub(crate) fn group(
        &mut self,
        place: &Place,
        players: u8,
        is_there: impl Fn(Waiting) -> bool,
        may_call: impl Fn(VisitId) -> bool,
        may_meet: impl Fn(VisitId, VisitId) -> bool,
        order: impl Fn(VisitId) -> u32,
    ) -> Option<Vec<VisitId>> {
        let lobby = self.lobbies.get_mut(place)?;
        let there: Vec<_> = lobby.waiting.iter().filter(|one| is_there(**one)).map(|one| one.visit).collect();
        let fits = |a, b| !lobby.failed.contains(&sorted(a, b)) && may_meet(a, b);
        let is_new = |a, b| fits(a, b) && !lobby.late.contains(&sorted(a, b));
        let callers: Vec<_> = there.iter().copied().filter(|&visit| may_call(visit)).collect();
        let mut by_order = there.clone();
        by_order.sort_by_key(|&visit| order(visit));
        let group = find(&callers, &by_order, players.into(), &is_new)
            .or_else(|| find(&callers, &by_order, players.into(), &fits))?;
        // In the order of coming.
        let group: Vec<_> = there.into_iter().filter(|visit| group.contains(visit)).collect();
        lobby.waiting.retain(|one| !group.contains(&one.visit));
        Some(group)
    }
}

/// A group of one of these and others, any two of whom fit.
fn find(
    callers: &[VisitId],
    by_order: &[VisitId],
    players: usize,
    fits: &impl Fn(VisitId, VisitId) -> bool,
) -> Option<Vec<VisitId>> {
    let mut tries = MOST_TRIES;
    callers.iter().find_map(|&first| {
        let mut group = vec![first];
        complete(&mut group, by_order, players, fits, &mut tries).then_some(group)
    })
}

/// Adds to a group until it is complete. False, and the group as it was, when that cannot be done.
fn complete(
    group: &mut Vec<VisitId>,
    candidates: &[VisitId],
    players: usize,
    fits: &impl Fn(VisitId, VisitId) -> bool,
    tries: &mut u32,
) -> bool {
    if group.len() >= players {
        return true;
    }
    for (index, &candidate) in candidates.iter().enumerate() {
        let Some(left) = tries.checked_sub(1) else { return false };
        *tries = left;
        if group.contains(&candidate) || !group.iter().all(|&one| fits(one, candidate)) {
            continue;
        }
        group.push(candidate);
        if complete(group, &candidates[index + 1..], players, fits, tries) {
            return true;
        }
        group.pop();
    }
    false
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn visit(number: u8) -> VisitId {
        VisitId::from_random([number; 16])
    }

    fn place() -> Place {
        ("1".to_owned(), 0)
    }

    /// So many have come one after another.
    fn lobbies(count: u8) -> Lobbies {
        let mut lobbies = Lobbies::default();
        for number in 0..count {
            let since = Timestamp::default() + Duration::from_secs(number.into());
            lobbies.enter(place(), visit(number), since);
        }
        lobbies
    }

    fn group(lobbies: &mut Lobbies, players: u8) -> Option<Vec<VisitId>> {
        lobbies.group(&place(), players, |_| true, |_| true, |_, _| true, |_| 0)
    }

    #[test]
    fn who_comes_first_plays_first() {
        let mut lobbies = lobbies(5);
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(0), visit(1)]));
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(2), visit(3)]));
        assert_eq!(group(&mut lobbies, 2), None);
    }

    #[test]
    fn who_comes_back_has_its_place_in_the_row() {
        let mut lobbies = lobbies(4);
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(0), visit(1)]));
        lobbies.enter(place(), visit(1), Timestamp::default() + Duration::from_secs(1));
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(1), visit(2)]));
    }

    #[test]
    fn a_pair_that_failed_is_never_in_one_group_again_until_one_of_them_leaves() {
        let mut lobbies = lobbies(4);
        lobbies.keep_apart(&place(), visit(1), visit(0), true);
        lobbies.keep_apart(&place(), visit(0), visit(2), true);
        assert_eq!(group(&mut lobbies, 3), Some(vec![visit(1), visit(2), visit(3)]));
        for number in 1..4 {
            lobbies.enter(place(), visit(number), Timestamp::default() + Duration::from_secs(number.into()));
        }
        assert_eq!(group(&mut lobbies, 4), None);
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(0), visit(3)]));
        lobbies.leave(&place(), visit(0));
        lobbies.enter(place(), visit(0), Timestamp::default());
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(0), visit(1)]));
    }

    #[test]
    fn who_was_too_late_is_tried_again_when_there_is_nobody_else() {
        let mut lobbies = lobbies(3);
        lobbies.keep_apart(&place(), visit(0), visit(1), false);
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(0), visit(2)]));
        lobbies.enter(place(), visit(0), Timestamp::default());
        assert_eq!(group(&mut lobbies, 2), Some(vec![visit(0), visit(1)]));
    }

    #[test]
    fn those_who_are_near_are_tried_first() {
        let mut lobbies = lobbies(4);
        let ping = |visit: VisitId| [300, 250, 20, 10][usize::from(visit.to_bytes()[0])];
        let got = lobbies.group(&place(), 2, |_| true, |_| true, |_, _| true, ping);
        assert_eq!(got, Some(vec![visit(0), visit(3)]), "who has waited longest is in it");
    }

    #[test]
    fn a_search_that_cannot_succeed_ends() {
        let mut lobbies = lobbies(200);
        let odd = |visit: VisitId| visit.to_bytes()[0] % 2;
        // Any two of a kind go together, three never do.
        let count = std::cell::Cell::new(0);
        let never = |a, b| {
            count.set(count.get() + 1);
            odd(a) != odd(b)
        };
        assert_eq!(lobbies.group(&place(), 8, |_| true, |_| true, never, |_| 0), None);
        assert!(count.get() < 100_000, "{}", count.get());
    }
}
