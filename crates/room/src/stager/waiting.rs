//! In the lobby (S4).

use core::time::Duration;

use base::{Timestamp, VisitId};
use wire::control::{ServerMessage, VisitEnding};

use super::{Stager, Visit};
use crate::experiment::GameScene;
use crate::lobby::{Place, Waiting};

fn limit(scene: &GameScene) -> Duration {
    Duration::from_millis(scene.lobby.max_wait_millis.into())
}

impl Stager {
    fn game_scene(&self, place: &Place) -> Option<&GameScene> {
        self.experiments.get(&place.0)?.game(place.1)
    }

    pub(super) fn enter_lobby(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let (place, since) = (visit.place(), *visit.waits_since.get_or_insert(now));
        self.lobbies.enter(place.clone(), id, since);
        let here = |id| self.visits.get(&id).is_some_and(Visit::is_here);
        let Some(players) = self.game_scene(&place).map(|scene| scene.players) else { return };
        match self.lobbies.group(&place, players, here) {
            Some(group) => self.begin_game(&place, group, now),
            None => self.tell_lobby(&place, now),
        }
    }

    /// Tells all who wait how many they are, and how long it may still take.
    pub(super) fn tell_lobby(&mut self, place: &Place, now: Timestamp) {
        let Some((needed, limit)) = self.game_scene(place).map(|scene| (scene.players, limit(scene))) else {
            return;
        };
        let everyone = self.lobbies.waiting(place).to_vec();
        let here = everyone.iter().filter(|one| self.visits.get(&one.visit).is_some_and(Visit::is_here));
        let waiting = u8::try_from(here.count()).unwrap_or(u8::MAX);
        for Waiting { visit, since } in everyone {
            let left = (since + limit).saturating_since(now).as_millis();
            let remaining_ms = u32::try_from(left).unwrap_or(u32::MAX);
            self.send(visit, ServerMessage::LobbyStatus { waiting, needed, remaining_ms });
        }
    }

    /// Takes a visit out of a lobby, if it waits there; the others are told.
    pub(super) fn leave_lobby(&mut self, place: &Place, id: VisitId, now: Timestamp) -> bool {
        let waited = self.lobbies.leave(place, id);
        if waited {
            self.tell_lobby(place, now);
        }
        waited
    }

    /// Until when a visit waits at most.
    pub(super) fn wait_ends(&self, place: &Place, waiting: Waiting) -> Option<Timestamp> {
        Some(waiting.since + limit(self.game_scene(place)?))
    }

    /// A visit does not wait any longer.
    pub(super) fn stop_waiting(&mut self, id: VisitId, why: VisitEnding, now: Timestamp) {
        let place = self.visits.get(&id).map(Visit::place);
        let Some(place) = place.filter(|place| self.lobbies.leave(place, id)) else {
            // Nobody waits who is not there: its deadline would come again and again.
            return self.lobbies.forget(id);
        };
        self.tell_lobby(&place, now);
        let to = self.game_scene(&place).and_then(|scene| scene.lobby.on_timeout.clone());
        self.turn_away(id, why, to.as_deref(), now);
    }
}
