//! In the lobby (S4).

use core::time::Duration;
use std::collections::BTreeMap;

use base::{GameId, Timestamp, VisitId};
use serde_json::json;
use wire::control::{ServerMessage, TerminationReason, VisitEnding};

use super::{Stager, Visit};
use crate::effect::Effect;
use crate::experiment::GameScene;
use crate::game::{Cancelled, Game};
use crate::lobby::{MatchBy, Place, Seating, Waiting};

fn limit(scene: &GameScene) -> Duration {
    Duration::from_millis(scene.lobby.max_wait_millis.into())
}

/// One for whom no group can come about any more.
const NO_OTHERS: VisitEnding = VisitEnding::WaitroomTimeout;

/// Whether two who wait in one lobby may play together.
pub(super) fn may_meet(visits: &BTreeMap<VisitId, Visit>, a: VisitId, b: VisitId) -> bool {
    let company = |id| visits.get(&id).map(Visit::company);
    company(a) == company(b)
}

impl Stager {
    fn game_scene(&self, place: &Place) -> Option<&GameScene> {
        self.experiments.get(&place.0)?.game(place.1)
    }

    pub(super) fn enter_lobby(&mut self, id: VisitId, now: Timestamp) {
        if self.is_full_for(id, now) {
            return self.turn_away_full(id, now);
        }
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let (place, since) = (visit.place(), *visit.waits_since.get_or_insert(now));
        self.lobbies.enter(place.clone(), id, since);
        if self.has_lost_its_group(id, &place) {
            // One lobby may lead to another where it is the same.
            if self.visits.get(&id).is_some_and(|visit| visit.has_been_turned_away(NO_OTHERS)) {
                self.lobbies.leave(&place, id);
                return self.end_visit(id, NO_OTHERS, now);
            }
            return self.stop_waiting(id, NO_OTHERS, now);
        }
        match self.group(&place, now) {
            Some(group) => self.begin_game(&place, group, now),
            None => self.tell_lobby(&place, now),
        }
    }

    /// Takes those out of a lobby who are to play together, if they are complete.
    pub(super) fn group(&mut self, place: &Place, now: Timestamp) -> Option<Vec<VisitId>> {
        let is_bots_turn = !self.somebody_is_here();
        let scene = self.experiments.get(&place.0)?.game(place.1)?;
        let (visits, limit, by) = (&self.visits, limit(scene), scene.lobby.match_by);
        let is_there = |one: Waiting| {
            let visit = visits.get(&one.visit).filter(|visit| visit.is_here());
            visit.is_some_and(|visit| visit.is_bot || now < one.since + limit)
        };
        let may_call = |id| visits.get(&id).is_some_and(|visit: &Visit| !visit.is_bot || is_bots_turn);
        let last = |id| visits.get(&id).map_or(&[][..], |visit| visit.progress.group.as_slice());
        let is_matched = |a, b| match by {
            MatchBy::First | MatchBy::Rtt => true,
            MatchBy::Same => match (last(a), last(b)) {
                ([], []) => true,
                (of_a, of_b) => of_a.contains(&b) && of_b.contains(&a),
            },
        };
        let may_meet = |a, b| is_matched(a, b) && may_meet(visits, a, b);
        // Whose distance is not known comes last.
        let order = |id| match by {
            MatchBy::Rtt => visits
                .get(&id)
                .and_then(|visit| visit.monitor.rtt_millis())
                .map_or(u32::MAX, |ping| ping as u32),
            MatchBy::First | MatchBy::Same => 0,
        };
        let mut group = self.lobbies.group(place, scene.players, is_there, may_call, may_meet, order)?;
        if scene.lobby.seats == Seating::Random {
            group.sort_unstable();
        }
        Some(group)
    }

    /// Whether a visit waits for the group of its last game, and one of that has come to its end.
    fn has_lost_its_group(&self, id: VisitId, place: &Place) -> bool {
        let waits = self.game_scene(place).is_some_and(|scene| scene.lobby.match_by == MatchBy::Same);
        let has_ended = |other: &VisitId| self.ended.contains(other);
        waits && self.visits.get(&id).is_some_and(|visit| visit.progress.group.iter().any(has_ended))
    }

    /// A visit has come to its end: who waits for it need not wait any longer.
    pub(super) fn release_group(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get(&id) else { return };
        for other in visit.progress.group.clone() {
            let place = self.visits.get(&other).map(Visit::place);
            let Some(place) = place.filter(|_| other != id) else { continue };
            let waits = self.lobbies.waiting(&place).iter().any(|one| one.visit == other);
            if waits && self.has_lost_its_group(other, &place) {
                self.stop_waiting(other, NO_OTHERS, now);
            }
        }
    }

    /// Tells all who wait how many they are, and how long it may still take.
    pub(super) fn tell_lobby(&mut self, place: &Place, now: Timestamp) {
        let Some(needed) = self.game_scene(place).map(|scene| scene.players) else { return };
        let everyone = self.lobbies.waiting(place).to_vec();
        let known = |one: &Waiting| self.visits.get(&one.visit);
        // Worked out once for each, and not for each two.
        let companies: Vec<_> = everyone.iter().map(|one| known(one).map(Visit::company)).collect();
        let here: Vec<_> = everyone.iter().map(|one| known(one).is_some_and(Visit::is_here)).collect();
        // There may be more who cannot play with each other: one is missing at least.
        let most = usize::from(needed).saturating_sub(1);
        let count =
            |own: &_| companies.iter().zip(&here).filter(|&(other, here)| *here && other == own).count();
        let counts: Vec<_> = companies.iter().map(|own| count(own).min(most) as u8).collect();
        for (one, waiting) in everyone.into_iter().zip(counts) {
            self.tell_waiting(place, one, waiting, now);
        }
    }

    /// Tells one whose group is complete and has not begun.
    pub(super) fn tell_complete(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let (place, since) = (visit.place(), *visit.waits_since.get_or_insert(now));
        let Some(players) = self.game_scene(&place).map(|scene| scene.players) else { return };
        self.tell_waiting(&place, Waiting { visit: id, since }, players, now);
    }

    fn tell_waiting(&mut self, place: &Place, one: Waiting, waiting: u8, now: Timestamp) {
        let Some((needed, limit)) = self.game_scene(place).map(|scene| (scene.players, limit(scene))) else {
            return;
        };
        let left = (one.since + limit).saturating_since(now).as_millis();
        let remaining_ms = u32::try_from(left).unwrap_or(u32::MAX);
        self.send(one.visit, ServerMessage::LobbyStatus { waiting, needed, remaining_ms });
    }

    /// Takes a visit out of a lobby, if it waits there; the others are told.
    pub(super) fn leave_lobby(&mut self, place: &Place, id: VisitId, now: Timestamp) -> bool {
        let waited = self.lobbies.leave(place, id);
        if waited {
            self.tell_lobby(place, now);
        }
        waited
    }

    /// Until when a visit waits at most; a bot waits as long as it takes.
    pub(super) fn wait_ends(&self, place: &Place, waiting: Waiting) -> Option<Timestamp> {
        if self.is_bot(waiting.visit) {
            return None;
        }
        Some(waiting.since + limit(self.game_scene(place)?))
    }

    /// A visit does not wait any longer. One whose group is being tried takes itself out of it.
    pub(super) fn stop_waiting(&mut self, id: VisitId, why: VisitEnding, now: Timestamp) {
        let Some(visit) = self.visits.get(&id) else { return self.lobbies.forget(id) };
        let (place, game) = (visit.place(), visit.game);
        let gathering = game.filter(|game| self.games.get(game).is_some_and(Game::is_gathering));
        if let Some(game) = gathering {
            self.leave_group(game, id, TerminationReason::Left, now);
        }
        if !self.lobbies.leave(&place, id) && gathering.is_none() {
            // Nobody waits who is not there: its deadline would come again and again.
            return self.lobbies.forget(id);
        }
        self.tell_lobby(&place, now);
        let to = self.game_scene(&place).and_then(|scene| scene.lobby.on_timeout.clone());
        self.turn_away(id, why, to.as_deref(), now);
    }

    /// Somebody leaves a group that has not begun, for a reason of their own; the others wait for another.
    pub(super) fn leave_group(
        &mut self,
        id: GameId,
        visit: VisitId,
        reason: TerminationReason,
        now: Timestamp,
    ) {
        let why = Cancelled { reason: reason.name(), failed: Vec::new(), late: Vec::new() };
        self.cancel_game(id, &why, Some(visit), now);
    }

    /// Takes a group apart that has not begun. All of it wait for another group, but for one who leaves it and is taken
    /// care of by the caller.
    pub(super) fn cancel_game(
        &mut self,
        id: GameId,
        why: &Cancelled,
        leaves: Option<VisitId>,
        now: Timestamp,
    ) {
        let Some(game) = self.close_game(id, TerminationReason::PartnerLost, now) else { return };
        let Cancelled { reason, failed, late } = why;
        let detail = json!({ "reason": reason, "failed": failed, "late": late, "visits": game.seats });
        self.effects.push_back(Effect::Record { game: id, seat: None, kind: "game_cancelled", detail });
        let pairs = failed.iter().map(|pair| (pair, true)).chain(late.iter().map(|pair| (pair, false)));
        for (&(a, b), for_good) in pairs {
            let (Some(a), Some(b)) = (game.visit_at(a), game.visit_at(b)) else { continue };
            if let Some(place) = self.visits.get(&a).map(Visit::place) {
                self.lobbies.keep_apart(&place, a, b, for_good);
            }
        }
        self.effects.push_back(Effect::CancelGame { game: id, seats: game.count() });
        let others = game.remaining().map(|(_, visit)| visit);
        let others: Vec<_> = others.filter(|&visit| leaves != Some(visit)).collect();
        for visit in others.iter().copied().chain(leaves) {
            self.release_condition(visit);
        }
        for &visit in &others {
            let Some(known) = self.visits.get_mut(&visit) else { continue };
            known.game = None;
            self.send(visit, ServerMessage::GameCancelled { game_id: id });
        }
        if let Some(known) = leaves.and_then(|visit| self.visits.get_mut(&visit)) {
            known.game = None;
        }
        for visit in others {
            // One of them may be in another group by now.
            let waits = self.visits.get(&visit).is_some_and(|known| known.is_here() && known.game.is_none());
            if waits {
                self.enter_lobby(visit, now);
            }
        }
    }
}
