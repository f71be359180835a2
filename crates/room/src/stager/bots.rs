//! Scripted participants, with whom somebody can try a study alone (H1).
//!
//! They go through their scenes and wait in lobbies as everybody does. What is different:
//!
//! - A bot waits as long as it takes, and calls no group together: a game is begun for somebody else, and bots fill it up.
//! - When nobody else is on the way through the study, they play among themselves. Those games are left when somebody comes.
//! - Who waits in the first lobby in vain is not left alone while a bot waits elsewhere, as in the second lobby for somebody
//!   who has closed the page: that one leaves the study, and its driver begins another visit.

use core::time::Duration;

use base::{Seat, SeatSet, Timestamp, VisitId};

use super::{Stager, Visit};
use crate::experiment::SceneSpecKind;
use crate::game::Game;
use crate::lobby::Place;

/// How long somebody waits in vain before bots that wait elsewhere are called away from there.
const IN_VAIN: Duration = Duration::from_secs(1);

impl Stager {
    pub(super) fn is_bot(&self, id: VisitId) -> bool {
        self.visits.get(&id).is_some_and(|visit| visit.is_bot)
    }

    /// The seats of a group that can make no connections of their own.
    pub(super) fn relayed(&self, group: &[VisitId]) -> SeatSet {
        let seats = Seat::all(group.len() as u8).zip(group);
        seats.filter(|(_, visit)| self.is_bot(**visit)).map(|(seat, _)| seat).collect()
    }

    /// Whether anybody who is no bot is on the way through the study; who has just lost the connection still is.
    pub(super) fn somebody_is_here(&self) -> bool {
        self.visits.values().any(|visit| !visit.is_bot && visit.progress.ended.is_none())
    }

    /// Somebody has come: bots leave the games that they have among themselves.
    pub(super) fn free_bots(&mut self, now: Timestamp) {
        let are_bots = |game: &Game| game.remaining().all(|(_, visit)| self.is_bot(visit));
        let games = self.games.values().filter(|game| are_bots(game));
        let bots: Vec<_> = games.flat_map(Game::remaining).map(|(_, visit)| visit).collect();
        for bot in bots {
            self.leave_study(bot, now);
        }
    }

    /// Somebody has gone: if it was the last, bots play among themselves.
    pub(super) fn let_bots_play(&mut self, now: Timestamp) {
        if self.somebody_is_here() {
            return;
        }
        let places: Vec<Place> = self.lobbies.all().map(|(place, _)| place.clone()).collect();
        for place in places {
            while let Some(group) = self.group(&place, now) {
                self.begin_game(&place, group, now);
            }
        }
    }

    /// The lobby to which visits come first that begin now.
    fn first_lobby(&self) -> Option<Place> {
        let is_game = |kind: &SceneSpecKind| matches!(kind, SceneSpecKind::Game(_));
        let first = self.current.scenes.iter().position(|scene| is_game(&scene.kind))?;
        Some((self.current.version.clone(), first))
    }

    /// A bot that waits in another lobby.
    fn idle_bot(&self, place: &Place) -> Option<VisitId> {
        let elsewhere = self.lobbies.all().filter(|(at, _)| *at != place);
        elsewhere.map(|(_, one)| one.visit).find(|&visit| self.is_bot(visit))
    }

    /// When a bot is to be called away from where it waits.
    pub(super) fn recall_at(&self) -> Option<Timestamp> {
        let place = self.first_lobby()?;
        let here = |id| self.visits.get(&id).is_some_and(|visit: &Visit| visit.is_here() && !visit.is_bot);
        let since = self.lobbies.waiting(&place).iter().find(|one| here(one.visit))?.since;
        self.idle_bot(&place).map(|_| since + IN_VAIN)
    }

    /// Calls one away.
    pub(super) fn recall_bot(&mut self, now: Timestamp) {
        if let Some(bot) = self.first_lobby().and_then(|place| self.idle_bot(&place)) {
            self.leave_study(bot, now);
        }
    }
}
